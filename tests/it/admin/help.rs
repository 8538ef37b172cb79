use std::process::Command;

use crate::harness::{Sandbox, finish};

/// Asks a command for its help, then its commands for theirs; gives how many there are.
///
/// Parsing alone checks that the command tree is sound: in debug builds, clap asserts it.
fn visit(program: &dyn Fn() -> Command, path: &[String]) -> usize {
    let help = |flag| {
        let finished = finish(program().args(path).arg(flag));
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(0), ""), "{path:?} {flag}");
        finished.stdout
    };
    let (short, long) = (help("-h"), help("--help"));
    assert!(long.contains("Usage:"), "{path:?}: {long}");
    assert!(!short.lines().next().unwrap().starts_with("Usage:"), "{path:?} does not say what it does");
    for option in section(&short, "Options:") {
        let text = option.trim_start().split_once("  ").map_or("", |(_, text)| text.trim());
        assert!(!text.is_empty(), "{path:?} does not explain {option}");
    }

    let mut commands = 0;
    for line in section(&short, "Commands:") {
        let (name, text) = line.trim_start().split_once(' ').unwrap_or_default();
        assert!(!text.trim().is_empty(), "{path:?} does not explain {line}");
        if name != "help" {
            commands += 1 + visit(program, &[path, &[name.to_owned()]].concat());
        }
    }
    commands
}

/// The lines of a section of a help text.
fn section<'a>(help: &'a str, title: &str) -> impl Iterator<Item = &'a str> {
    help.lines().skip_while(move |line| *line != title).skip(1).take_while(|line| !line.is_empty())
}

#[test]
fn every_command_and_option_is_explained() {
    let sandbox = Sandbox::new();
    let commands = visit(&|| sandbox.admin_command(&[]), &[]);
    assert!(commands >= 5, "migrate, schema, config, keys, keys status: only {commands} found");
    visit(&|| sandbox.server_command(), &[]);
}

#[test]
fn the_help_of_a_command_says_what_its_exit_status_means() {
    let sandbox = Sandbox::new();
    for command in [
        &["keys", "rewrap"],
        &["keys", "verify"],
        &["users", "import"],
        &["users", "show"],
        &["attributes", "check"],
    ] {
        let help = sandbox.admin_ok(&[command.as_slice(), &["--help"]].concat());
        assert!(help.contains("Exit status: 0"), "{command:?}: {help}");
    }
}

#[test]
fn both_binaries_tell_their_version() {
    let sandbox = Sandbox::new();
    for (mut command, name) in
        [(sandbox.admin_command(&[]), "oubliette-admin"), (sandbox.server_command(), "oubliette")]
    {
        let finished = finish(command.arg("--version"));
        assert_eq!(finished.stdout, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_shell_completes_commands() {
    let sandbox = Sandbox::new();
    sandbox.write("completions", &sandbox.admin_ok(&["completions", "bash"]));
    for (words, completed) in [
        ("ke", "keys"),
        ("keys re", "rewrap retire retire-check"),
        ("keys local pro", "promote"),
        ("keys retire-check --js", "--json"),
    ] {
        let complete = format!(
            "source ./completions; COMP_WORDS=(oubliette-admin {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _oubliette__admin oubliette-admin ${{COMP_WORDS[-1]}} ${{COMP_WORDS[-2]}}; echo ${{COMPREPLY[*]}}"
        );
        let finished = finish(Command::new("bash").args(["-c", &complete]).current_dir(sandbox.path("")));
        assert_eq!(finished.stdout.trim(), completed, "{words}: {}", finished.stderr);
    }
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        assert!(sandbox.admin_ok(&["completions", shell]).contains("rewrap"), "{shell}");
    }
}
