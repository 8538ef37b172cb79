use std::{fs, path::Path};

use regex::Regex;

use super::{manual, none_of, repository};

/// What async-graphql says.
const OF_THE_LIBRARY: [&str; 2] = ["Unknown field \"name\" on type \"User\".", "Query is too complex."];

/// All of the source, with its lines joined.
fn source() -> String {
    fn add(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, text);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    add(&repository("src"), &mut text);
    // A long text goes on in the next line of the source.
    Regex::new(r"\\\n\s*").unwrap().replace_all(&text, "").into_owned()
}

/// The parts of a message that are the same each time: without ids, and what stands in backticks.
fn constant_parts(message: &str) -> Vec<String> {
    let changing = Regex::new(r"[0-9a-f]{8}-[0-9a-f-]{27}|`[^`]*`").unwrap();
    let parts = changing.split(message).map(str::trim);
    parts.filter(|part| part.len() > 5).map(str::to_owned).collect()
}

#[test]
fn every_message_of_the_api_is_one_that_it_has() {
    let source = source();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in manual() {
        for block in page.blocks().iter().filter(|block| block.language == "json") {
            // One of the log, which has the database's own words.
            for line in block.text.lines().filter(|line| line.contains("\"extensions\"")) {
                let answer: serde_json::Value = serde_json::from_str(line).unwrap();
                let errors = answer["errors"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
                for error in errors.iter().filter(|error| error["message"].is_string()) {
                    seen += 1;
                    let message = error["message"].as_str().unwrap();
                    // `phone does not …`: the field, and what is wrong with it.
                    let field = error["extensions"]["field"].as_str();
                    let text = field.and_then(|field| message.strip_prefix(field)).map_or(message, str::trim);
                    let known = OF_THE_LIBRARY.contains(&text)
                        || constant_parts(text).iter().all(|part| source.contains(part));
                    if !known {
                        wrong.push(format!("{}: {message}", page.name));
                    }
                }
            }
        }
    }
    none_of("messages that nobody says", &wrong);
    assert!(seen > 20, "only {seen} messages found");
}

#[test]
fn every_message_in_the_table_of_bad_requests_is_one_that_it_has() {
    let source = source().replace("\\\"", "\"");
    let page = super::Page::read("docs/errors.md");
    let rows = page.rows(["status", "message"]);
    assert!(rows.len() > 5);
    let wrong: Vec<_> = rows
        .iter()
        .map(|[_, message]| message.trim_matches('`').to_owned())
        .filter(|message| !source.contains(message.as_str()))
        .collect();
    none_of("messages that nobody says", &wrong);
}
