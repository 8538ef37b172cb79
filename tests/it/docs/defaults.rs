use std::{collections::BTreeSet, fs};

use toml::{Table, Value};

use super::{Page, examples, manual, none_of, repository};

fn file(name: &str) -> Vec<(String, Value)> {
    let table: Table = fs::read_to_string(repository(name)).unwrap().parse().unwrap();
    examples::leaves(&table)
}

/// As the tables write it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) if !all.is_empty() => all.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// The keys that a cell names, and what the cell of the default has in backticks, if anything.
fn keys(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn quoted(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.split('`').next()
}

fn lookup<'a>(values: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    values.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

#[test]
fn every_default_in_a_table_is_the_one_that_holds() {
    let (defaults, examples) = (file("config/default.toml"), examples::all_examples());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in manual() {
        for [key, default] in page.rows(["key", "default"]) {
            for key in keys(&key) {
                seen += 1;
                let example = lookup(&examples, key).filter(|_| quoted(&default).is_some());
                let held = lookup(&defaults, key).or(example).map(shown);
                let fits = match (&held, quoted(&default)) {
                    (held, Some(quoted)) => held.as_deref() == Some(quoted),
                    (held, None) => held.is_none() || default == "all three",
                };
                if !fits {
                    wrong.push(format!("{}: {key}: {default}, and it is {held:?}", page.name));
                }
            }
        }
    }
    none_of("defaults that are others", &wrong);
    assert!(seen > 60, "only {seen} defaults found");
}

#[test]
fn what_the_profile_local_sets_is_in_the_table() {
    let page = Page::read("docs/configuration.md");
    let mut local = file("config/local.toml");
    // What it declares is shown on a page of its own, as it stands.
    let declared = fs::read_to_string(repository("config/local.toml")).unwrap();
    let declared = declared.split("\n\n").filter(|section| section.contains("[attributes."));
    let manual = fs::read_to_string(repository("docs/attributes.md")).unwrap();
    let mut wrong: Vec<_> = declared
        .map(|section| section.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n"))
        .filter(|section| !manual.contains(section))
        .collect();
    local.retain(|(key, _)| !key.starts_with("attributes."));
    for [key, value] in page.rows(["key", "`local`"]) {
        for key in keys(&key) {
            let key = key.replace("backends.NAME", "backends.local").replace("sinks.NAME", "sinks.local");
            let place = local.iter().position(|(name, _)| *name == key);
            let held = place.map(|place| shown(&local.remove(place).1));
            if held.as_deref() != quoted(&value) {
                wrong.push(format!("{key}: {value}, and it is {held:?}"));
            }
        }
    }
    wrong.extend(local.iter().map(|(key, _)| format!("{key} is not in the table")));
    none_of("what the profile local sets", &wrong);
}

#[test]
fn every_setting_has_a_line_in_the_manual() {
    let mut settings: BTreeSet<_> =
        file("config/default.toml").into_iter().chain(examples::all_examples()).map(|(key, _)| key).collect();
    settings
        .extend(["database.url", "database.url_file", "metrics.listen", "keys.active"].map(str::to_owned));
    settings.insert("auth.jwt.jwks_file".to_owned());
    let mut lines = BTreeSet::new();
    for page in manual() {
        for [key, _] in page.rows(["key", "default"]) {
            lines.extend(keys(&key).map(str::to_owned));
        }
    }
    let has_line = |key: &str| {
        lines.contains(key)
            || lines.iter().any(|line| {
                let open = line.strip_suffix(".*").or_else(|| line.strip_suffix(".VALUE"));
                open.is_some_and(|section| key.starts_with(section) && section != "auth.jwt")
            })
    };
    let missing: Vec<_> = settings.iter().filter(|key| !has_line(key)).cloned().collect();
    none_of("settings without a line in a table", &missing);
}
