use clap::Args;
use clap_complete::Shell;

/// Prints a shell's completions, to be stored where the shell looks for them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    oubliette-admin completions bash > /etc/bash_completion.d/oubliette-admin\n  \
    oubliette-admin completions zsh > ~/.zfunc/_oubliette-admin")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut program: clap::Command) -> String {
        let mut script = Vec::new();
        let name = program.get_name().to_owned();
        clap_complete::generate(self.shell, &mut program, &name, &mut script);
        // For bash, the generator calls a command with a dash by two names (clap-rs/clap, issue 6421).
        String::from_utf8_lossy(&script).replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
    }
}
