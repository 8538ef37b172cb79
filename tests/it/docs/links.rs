use regex::Regex;

use super::{Page, everything, none_of, repository};

/// The names under which a page's headings are found, as GitHub makes them.
fn anchors(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let mut anchors: Vec<String> = Vec::new();
    for heading in headings {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|char| char.is_alphanumeric() || "-_ ".contains(*char));
        let anchor: String = kept.map(|char| if char == ' ' { '-' } else { char }).collect();
        let again = anchors.iter().filter(|other| **other == anchor).count();
        anchors.push(if again == 0 { anchor } else { format!("{anchor}-{again}") });
    }
    anchors
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut wrong = Vec::new();
    for page in everything() {
        let prose = page.prose();
        for found in link.captures_iter(&prose).map(|captures| captures[1].to_owned()) {
            if found.contains("://") {
                continue;
            }
            let (file, anchor) = found.split_once('#').unwrap_or((&found, ""));
            let folder = page.name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = if file.is_empty() { page.name.clone() } else { format!("{folder}/{file}") };
            let target = target.trim_start_matches('/');
            let there = repository(target).exists()
                && (anchor.is_empty() || anchors(&Page::read(target)).iter().any(|name| name == anchor));
            if !there {
                wrong.push(format!("{}: {found}", page.name));
            }
        }
    }
    none_of("links that lead nowhere", &wrong);
}
