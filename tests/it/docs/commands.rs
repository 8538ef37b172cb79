use clap::{Args, Command, Subcommand, error::ErrorKind};
use oubliette::{admin, config::ConfigArguments};

use super::{manual, none_of, settings};

fn admin_program() -> Command {
    admin::Command::augment_subcommands(server_program("oubliette-admin")).subcommand_required(true)
}

fn server_program(name: &'static str) -> Command {
    ConfigArguments::augment_args(Command::new(name)).version("0")
}

/// A command of a shell, as far as the documents need one.
#[derive(Debug, Default)]
struct Line {
    variables: Vec<String>,
    words: Vec<String>,
}

/// The commands in a line: those that a pipe or `;` parts, and those within `$(…)`.
fn commands(text: &str) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut word = String::new();
    let mut quote = None;
    let mut chars = format!("{text} ").chars().collect::<Vec<_>>().into_iter().peekable();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (None, '\'' | '"') => quote = Some(char),
            (None, '#') if word.is_empty() => break,
            (Some('"') | None, '$') if chars.peek() == Some(&'(') => {
                let inner: String = chars.clone().skip(1).take_while(|char| *char != ')').collect();
                lines.splice(0..0, commands(&inner));
                chars.by_ref().take_while(|char| *char != ')').for_each(drop);
                word.push_str("2026-11-28T00:00:00Z");
            }
            (None, '|' | ';' | ' ' | '\n' | '>' | '<') => {
                let line = lines.last_mut().unwrap();
                let word = std::mem::take(&mut word);
                let is_variable = line.words.is_empty()
                    && word.split_once('=').is_some_and(|(name, _)| !name.contains(['-', '.', '/']));
                if is_variable {
                    line.variables.push(word);
                } else if !word.is_empty() {
                    line.words.push(word);
                }
                if !" ".contains(char) {
                    lines.push(Line::default());
                }
            }
            (_, char) => word.push(char),
        }
    }
    lines
}

/// The words after the program's name, if it is one of ours.
fn arguments<'a>(line: &'a Line, program: &str) -> Option<&'a [String]> {
    let words: Vec<_> = line.words.iter().map(String::as_str).collect();
    let own = match program {
        "oubliette" => ["cargo", "run", "--"].as_slice(),
        _ => &["cargo", "run", "--bin", "oubliette-admin", "--"],
    };
    let skipped = if words.starts_with(own) {
        own.len()
    } else if words.first() == Some(&program) {
        1
    } else {
        return None;
    };
    Some(&line.words[skipped..])
}

#[test]
fn every_command_in_a_block_parses() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in manual() {
        for block in page.blocks().iter().filter(|block| block.language == "sh") {
            let text = block.text.replace("\\\n", " ");
            for line in text.lines().flat_map(commands) {
                for variable in &line.variables {
                    let (name, value) = variable.split_once('=').unwrap();
                    let Some(name) = name.strip_prefix("OUBLIETTE_") else { continue };
                    let key = name.to_lowercase().replace("__", ".");
                    let is_known = ["profile", "config_dir"].contains(&key.as_str())
                        || name.starts_with("TEST_")
                        || settings::exists(&key, value);
                    // One is there to show what a slip looks like.
                    if !is_known && name != "HTTP_LISTEN" {
                        wrong.push(format!("{}: {variable}", page.name));
                    }
                }
                for (name, program) in
                    [("oubliette", server_program("oubliette")), ("oubliette-admin", admin_program())]
                {
                    let Some(arguments) = arguments(&line, name) else { continue };
                    seen += 1;
                    let words = std::iter::once(name).chain(arguments.iter().map(String::as_str));
                    if let Err(error) = program.try_get_matches_from(words) {
                        wrong.push(format!("{}: {:?}: {error}", page.name, line.words));
                    }
                    for pair in arguments.windows(2).filter(|pair| pair[0] == "--set") {
                        let (key, value) = pair[1].split_once('=').unwrap();
                        if !settings::exists(key, value) {
                            wrong.push(format!("{}: --set {}", page.name, pair[1]));
                        }
                    }
                }
            }
        }
    }
    none_of("commands that do not parse", &wrong);
    assert!(seen > 50, "only {seen} commands found");
}

/// In a sentence, values may be missing, or stand for others: `users forget ID`.
#[test]
fn every_command_in_a_sentence_exists() {
    let program = admin_program();
    let groups = program.get_subcommands().filter(|command| command.has_subcommands());
    let groups: Vec<_> = groups.map(|command| format!("{} ", command.get_name())).collect();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in manual() {
        for code in page.code() {
            let code = code.replace(" …", "");
            let bare = code.strip_prefix("oubliette-admin ");
            let Some(text) =
                bare.or_else(|| groups.iter().any(|group| code.starts_with(group)).then_some(&code))
            else {
                continue;
            };
            let lines = commands(text);
            let words = lines.first().unwrap().words.iter().map(String::as_str);
            seen += 1;
            let parsed =
                admin_program().try_get_matches_from(std::iter::once("oubliette-admin").chain(words));
            let kind = parsed.as_ref().err().map(clap::Error::kind);
            if let (Some(ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand), Err(error)) =
                (kind, &parsed)
            {
                wrong.push(format!("{}: `{code}`: {error}", page.name));
            }
        }
    }
    none_of("commands that do not exist", &wrong);
    assert!(seen > 40, "only {seen} commands found");
}

/// The examples in the help of a command and of those below it.
fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut found: Vec<_> = help
        .lines()
        .filter(|line| line.contains("oubliette-admin "))
        .map(|line| line.trim().to_owned())
        .collect();
    found.extend(command.get_subcommands().flat_map(examples));
    found
}

#[test]
fn every_example_in_a_help_parses() {
    let all = examples(&admin_program());
    let mut wrong = Vec::new();
    for example in &all {
        let lines = commands(example);
        let ours = lines.iter().filter_map(|line| arguments(line, "oubliette-admin"));
        for arguments in ours {
            let words = std::iter::once("oubliette-admin").chain(arguments.iter().map(String::as_str));
            if let Err(error) = admin_program().try_get_matches_from(words) {
                wrong.push(format!("{example}: {error}"));
            }
        }
    }
    none_of("examples that do not parse", &wrong);
    assert!(all.len() > 10, "only {} examples found", all.len());
}
