use oubliette::config::ConfigSources;
use regex::Regex;

use super::{Page, everything, examples, manual, none_of, repository};
use crate::harness::Sandbox;

/// Whether the configuration has this key. It says so itself: it refuses what it does not know, before anything else.
pub(super) fn exists(key: &str, value: &str) -> bool {
    let kinds: &[&[&str]] = match key.split('.').collect::<Vec<_>>()[..] {
        ["keys", "backends", name, ..] => {
            &[&[name, "kind=local", "file=x"], &[name, "kind=aws-kms", "key_id=x"]]
        }
        _ => &[&[]],
    };
    kinds.iter().any(|kind| {
        let kind = kind
            .split_first()
            .map(|(name, lines)| lines.iter().map(move |line| format!("keys.backends.{name}.{line}")));
        let mut overrides: Vec<_> = kind.into_iter().flatten().collect();
        overrides.push(format!("{key}={value}"));
        let sources = ConfigSources { dir: repository("config"), profile: "local".to_owned(), overrides };
        sources.load().err().is_none_or(|error| {
            let error = oubliette::causes::line(&error);
            !error.contains("unknown field") && !error.contains("unknown variant")
        })
    })
}

#[test]
fn every_setting_that_is_named_exists() {
    let sections = "http|metrics|auth|limits|database|keys|ledger|audit|graphql|log|memory|peers";
    let setting = Regex::new(&format!(r"^((?:{sections})(?:\.[A-Za-z_]+)+)(?:\.\*)?(?: = (.*))?$")).unwrap();
    let file = Regex::new(r"\.(md|rs|toml|yml|db|jsonl|json)$").unwrap();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in everything().iter().filter(|page| page.name != "CHANGELOG.md") {
        for code in page.code() {
            let Some(found) = setting.captures(&code).filter(|_| !file.is_match(&code)) else { continue };
            seen += 1;
            // A value that fits in most places, where none is given.
            let value = found.get(2).map_or("\"1s\"", |value| value.as_str());
            let key = if code.ends_with(".*") { format!("{}.x", &found[1]) } else { found[1].to_owned() };
            let is_section = exists(&format!("{key}.nothing_of_this_name"), value) || code.ends_with(".*");
            if !exists(&key, value) && !is_section && !key_of_a_choice(&key) {
                wrong.push(format!("{}: {code}", page.name));
            }
        }
    }
    none_of("settings that do not exist", &wrong);
    assert!(seen > 100, "only {seen} settings found");
}

/// Settings that take one of several words refuse others as unknown, too.
fn key_of_a_choice(key: &str) -> bool {
    let choices = ["off", "json", "local", "test", "[\"RS256\"]"];
    choices.iter().any(|value| exists(key, value))
}

#[test]
fn every_setting_in_a_block_exists() {
    let mut wrong = Vec::new();
    for page in manual() {
        for block in page.blocks().iter().filter(|block| block.language == "toml") {
            let table: toml::Table = block.text.parse().unwrap();
            // Not a configuration: a key file.
            if table.contains_key("primary") {
                continue;
            }
            for (key, value) in examples::leaves(&table) {
                if !exists(&key, &value.to_string()) {
                    wrong.push(format!("{}: {key}", page.name));
                }
            }
        }
    }
    none_of("settings that do not exist", &wrong);
}

#[test]
fn the_manual_shows_the_configuration_as_the_program_does() {
    let local = std::fs::read_to_string(repository("config/local.toml")).unwrap();
    let sandbox = Sandbox::new()
        .with_profile("local", &local)
        .with_env("OUBLIETTE_HTTP__LISTEN", "127.0.0.1:9001")
        .with_env("OUBLIETTE_DATABASE__URL", "postgres://ada:s3cret@db/oubliette");
    let slip = Sandbox::new().with_env("OUBLIETTE_HTTP_LISTEN", "127.0.0.1:9001");
    let blocks = Page::read("docs/configuration.md").blocks();
    let shown = |begin: &str| blocks.iter().find(|block| block.text.starts_with(begin)).unwrap().text.clone();
    assert_eq!(shown("KEY "), sandbox.admin_ok(&["config"]));
    assert_eq!(shown("error: configuration key `http_listen`"), slip.admin_error(&["config"]));
}
