use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{Page, manual, none_of, repository};
use crate::harness::Sandbox;

type Labels = BTreeMap<String, String>;

/// A second backend, which only unwraps.
const ANOTHER: &str = "[keys.backends.old]\nkind = \"local\"\nfile = \"data/keys.toml\"\n";

/// The samples of a fresh server: each name with its labels (but `le`), and the value.
async fn samples() -> Vec<(String, Labels, f64)> {
    let local = std::fs::read_to_string(repository("config/local.toml")).unwrap();
    let server = Sandbox::new().with_profile("local", &format!("{local}\n{ANOTHER}")).start().await;
    let line = Regex::new(r"^(\w+)(?:\{(.*)\})? (\S+)$").unwrap();
    let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let text = server.metrics().await;
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|text| {
        let sample = line.captures(text).unwrap_or_else(|| panic!("{text}"));
        let labels = sample.get(2).map_or("", |labels| labels.as_str());
        let labels = label.captures_iter(labels).map(|pair| (pair[1].to_owned(), pair[2].to_owned()));
        (sample[1].to_owned(), labels.filter(|(name, _)| name != "le").collect(), sample[3].parse().unwrap())
    });
    lines.collect()
}

/// A histogram's samples have endings of their own.
fn family(sample: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"];
    endings.iter().find_map(|ending| sample.strip_suffix(ending)).unwrap_or(sample)
}

/// The families of the manual's tables: the name, the names of its labels, and what is said of it.
fn documented() -> BTreeMap<String, (Vec<String>, String)> {
    let rows = Page::read("docs/operations.md").rows(["name", "kind", "what it counts"]);
    let families = rows.into_iter().map(|[name, _, text]| {
        let name = name.trim_matches('`');
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        (name.to_owned(), (labels.map(str::to_owned).collect(), text))
    });
    families.collect()
}

/// The values of a label that a text lists in backticks.
fn values(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_metric_is_in_the_manual_and_no_other() {
    let served: BTreeSet<_> = samples().await.iter().map(|(name, ..)| family(name).to_owned()).collect();
    let documented: BTreeSet<_> = documented().into_keys().collect();
    assert_eq!(served, documented);

    let mut wrong = Vec::new();
    let name = Regex::new(r"\boubliette_(?:key|peer|audit|http|access|sink)_\w+").unwrap();
    for page in manual() {
        for found in name.find_iter(&page.text).map(|found| found.as_str()) {
            if !served.contains(family(found)) {
                wrong.push(format!("{}: {found}", page.name));
            }
        }
    }
    none_of("metrics that do not exist", &wrong);
}

/// The alerts see the first event only if its counter was there before.
#[tokio::test]
async fn all_label_sets_are_there_before_anything_is_counted() {
    let page = Page::read("docs/operations.md").prose();
    let listed = |label: &str| {
        let after = page.split_once(&format!("`{label}` is ")).unwrap().1;
        values(after.split(['.', ';', ':']).next().unwrap())
    };
    let samples = samples().await;
    let mut seen = 0;
    for (family_name, (labels, text)) in documented() {
        let mut expected = vec![Labels::new()];
        for label in &labels {
            let values = match (label.as_str(), labels.len()) {
                ("backend", _) => BTreeSet::from(["local", "old"].map(str::to_owned)),
                ("operation" | "outcome", 2..) => listed(label),
                ("sink", _) => BTreeSet::from(["local".to_owned()]),
                _ => values(&text),
            };
            expected = expected
                .iter()
                .flat_map(|set| {
                    values.iter().map(|value| {
                        let mut set = set.clone();
                        set.insert(label.clone(), value.clone());
                        set
                    })
                })
                .collect();
        }
        let of_family = samples.iter().filter(|(name, ..)| family(name) == family_name);
        let found: BTreeSet<_> = of_family.clone().map(|(_, labels, _)| labels.clone()).collect();
        assert_eq!(found, expected.into_iter().collect(), "{family_name}");
        seen += found.len();

        // What a start itself does: it asks the backend, makes the first index key, looks into the ledger and at the sink, and finds the key file.
        let by_start = |labels: &Labels| {
            labels.get("operation").is_some_and(|operation| operation == "check" || operation == "generate")
                || family_name.ends_with("last_look_timestamp_seconds")
                || family_name.ends_with("key_file_usable")
                || family_name.ends_with("sink_good")
                || family_name.ends_with("sink_trusted")
        };
        for (name, labels, value) in of_family.filter(|(_, labels, _)| !by_start(labels)) {
            assert!(*value == 0.0, "{name} {labels:?} is {value}");
        }
    }
    assert!(seen > 80, "only {seen} label sets found");
}
