use std::fs;

use humantime_serde::re::humantime::parse_duration;
use oubliette::config::{ConfigSources, report};
use reqwest::Url;
use toml::{Table, Value};

use super::{Page, repository};

/// All values of a table, each under its whole key.
pub(super) fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                found.extend(leaves(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => found.push((name.clone(), value.clone())),
        }
    }
    found
}

/// A section that is commented out, and the section that it stands in.
#[derive(Debug)]
struct Example {
    under: String,
    /// Without the marks.
    text: String,
    lines: std::ops::Range<usize>,
}

fn default_toml() -> String {
    fs::read_to_string(repository("config/default.toml")).unwrap()
}

/// Sections that are commented out, whole: from a `# [section]` to the first line that is none of it. One that follows without
/// a gap and goes on with the same name belongs to it.
fn examples() -> Vec<Example> {
    let text = default_toml();
    let (mut examples, mut under) = (Vec::<Example>::new(), String::new());
    for (number, line) in text.lines().enumerate() {
        if let Some(section) = line.strip_prefix('[') {
            under = section.trim_end_matches(']').to_owned();
            continue;
        }
        let Some(bare) = line.strip_prefix("# ") else { continue };
        let goes_on = examples.last().is_some_and(|example| example.lines.end == number);
        let is_section = bare.starts_with('[');
        let is_key = bare
            .split_once(" = ")
            .is_some_and(|(name, _)| name.chars().all(|char| char.is_ascii_lowercase() || char == '_'));
        if is_section && !goes_on {
            examples.push(Example { under: under.clone(), text: String::new(), lines: number..number });
        } else if !goes_on || !(is_section || is_key || bare.starts_with(' ')) {
            continue;
        }
        let example = examples.last_mut().unwrap();
        example.text.push_str(bare);
        example.text.push('\n');
        example.lines.end = number + 1;
    }
    examples
}

/// With a name of its own in place of one that an operator chooses.
fn named(text: &str, example: &Example) -> String {
    let name = format!("n{}", example.lines.start);
    ["backends", "attributes", "sinks"].iter().fold(text.to_owned(), |text, section| {
        text.replace(&format!("{section}.NAME"), &format!("{section}.{name}"))
    })
}

/// The table that `default.toml` makes with these lines uncommented.
fn with_uncommented(example: &Example) -> Table {
    let text = default_toml();
    let lines = text.lines().enumerate().map(|(number, line)| {
        let bare = line.strip_prefix("# ").filter(|_| example.lines.contains(&number));
        named(bare.unwrap_or(line), example)
    });
    lines.collect::<Vec<_>>().join("\n").parse().unwrap_or_else(|error| panic!("{example:?}: {error}"))
}

/// What all examples set, and the values, for whoever compares them with the manual.
pub(super) fn all_examples() -> Vec<(String, Value)> {
    examples().iter().flat_map(|example| leaves(&example.text.parse().unwrap())).collect()
}

/// Whether two values mean the same: a day is 24 hours, and a URL without a path ends with a slash.
fn same(one: &Value, other: &Value) -> bool {
    let duration = |value: &Value| parse_duration(value.as_str()?).ok();
    let url = |value: &Value| Url::parse(value.as_str()?).ok();
    one == other
        || duration(one).is_some_and(|length| Some(length) == duration(other))
        || url(one).is_some_and(|url_of_one| Some(url_of_one) == url(other))
}

#[test]
fn an_example_that_is_uncommented_adds_what_it_says_and_changes_nothing_else() {
    let plain: Table = default_toml().parse().unwrap();
    let examples = examples();
    let names: Vec<_> = examples.iter().map(|example| example.text.lines().next().unwrap()).collect();
    let heads: Vec<_> = names.iter().map(|name| name.split(']').next().unwrap()).collect();
    assert_eq!(
        heads,
        [
            "[http.tls",
            "[auth.jwt",
            "[keys.backends.NAME",
            "[keys.backends.NAME",
            "[attributes.NAME",
            "[ledger.signer",
            "[ledger.signer",
            "[ledger.sinks.NAME",
        ]
    );
    for example in examples {
        let mut expected = leaves(&plain);
        let added: Table = named(&example.text, &example).parse().unwrap();
        expected.extend(leaves(&added));
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        let mut found = leaves(&with_uncommented(&example));
        found.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(found, expected, "{example:?}");

        let section = added.keys().next().unwrap();
        assert!(example.under.starts_with(section.as_str()), "[{section}] stands under [{}]", example.under);
    }
}

/// A configuration without one of its sections.
fn without(toml: &str, section: &str) -> String {
    let Some((before, after)) = toml.split_once(section) else { return toml.to_owned() };
    let rest = after.split_once("\n[").map(|(_, rest)| format!("[{rest}")).unwrap_or_default();
    before.to_owned() + &rest
}

#[test]
fn an_example_that_is_uncommented_is_taken() {
    for example in examples() {
        // An ellipsis stands for what only the reader knows.
        let text = named(&example.text, &example).replace('…', "example.com");
        let folder = tempfile::TempDir::new().unwrap();
        for file in ["default.toml", "local.toml"] {
            fs::copy(repository("config").join(file), folder.path().join(file)).unwrap();
        }
        let local = fs::read_to_string(folder.path().join("local.toml")).unwrap();
        let local = without(&local, text.split_inclusive(']').next().unwrap());
        fs::write(folder.path().join("local.toml"), format!("{local}\n{text}")).unwrap();
        let sources = ConfigSources {
            dir: folder.path().to_owned(),
            profile: "local".to_owned(),
            overrides: Vec::new(),
        };
        let loaded = sources.load().unwrap_or_else(|error| panic!("{text}: {error}"));
        let config = &loaded.config;
        let expected: Table = text.parse().unwrap();
        // As the configuration tells it itself; URLs, which may hold secrets, in its report only.
        let taken = leaves(&Table::try_from(config).unwrap());
        let reported = report(&loaded).unwrap();
        for (key, value) in leaves(&expected) {
            let found = taken.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone());
            let is_url = key.ends_with("_url") || key.starts_with("ledger.sinks.");
            let line = || reported.iter().find(|line| line.key == key && is_url);
            let found = found.or_else(|| Some(Value::String(line()?.value.clone())));
            assert!(found.as_ref().is_some_and(|found| same(found, &value)), "{key} is {found:?}");
        }
        if let Some(backend) = config.keys.backends.get(&format!("n{}", example.lines.start)) {
            assert!(text.contains(&format!("kind = \"{}\"", backend.kind)));
        }
    }
}

#[test]
fn the_code_in_the_readme_is_that_of_the_clinic() {
    let blocks = Page::read("README.md").blocks();
    let blocks: Vec<_> = blocks.iter().filter(|block| block.language == "rust").collect();
    let [model, uses] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let source = |file| fs::read_to_string(repository(&format!("examples/clinic/src/{file}"))).unwrap();
    assert!(source("visit.rs").contains(&model.text), "{}", model.text);
    let clinic = source("clinic.rs");
    for line in uses.text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        assert!(clinic.contains(line), "{line}");
    }
}
