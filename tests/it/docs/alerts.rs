use std::fs;

use super::{Page, repository};

/// The rules of `docs/alerts.yml`, in order: name and expression.
fn rules() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository("docs/alerts.yml")).unwrap();
    let mut rules = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(name) = bare.strip_prefix("- alert: ").or_else(|| bare.strip_prefix("- record: ")) {
            rules.push((name.to_owned(), String::new()));
        } else if let (Some(expression), Some((_, text))) =
            (line.strip_prefix("          "), rules.last_mut())
            && !expression.starts_with("summary: ")
        {
            text.push_str(expression);
            text.push('\n');
        }
    }
    rules
}

#[test]
fn the_manual_shows_the_rules_as_they_are() {
    let page = Page::read("docs/operations.md");
    let blocks = page.blocks().into_iter().filter(|block| block.language == "promql");
    let names = page.prose();
    let names = names.lines().filter_map(|line| line.strip_prefix("**`")?.split("`**").next());
    let shown: Vec<_> = names.map(str::to_owned).zip(blocks.map(|block| block.text)).collect();
    assert!(shown.len() > 10, "only {} rules found", shown.len());
    assert_eq!(shown, rules());
}
