use std::{fs, path::Path};

use super::{Page, none_of, repository};

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// `access/tokens`: a module of the tests. `tests/logs.rs`: a file. `client_address`: a module with tests of its own.
fn is_place(name: &str) -> bool {
    ["", "tests/it/", "src/http/"].iter().any(|folder| {
        let path = repository(folder).join(name);
        path.exists() || path.with_extension("rs").exists()
    })
}

#[test]
fn every_test_that_shows_a_defence_exists() {
    let mut all = String::new();
    sources(&repository("tests"), &mut all);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for [threat, shown] in Page::read("docs/security.md").rows(["threat", "shown by"]) {
        assert!(shown.contains('`'), "nothing shows: {threat}");
        for name in shown.split('`').skip(1).step_by(2) {
            seen += 1;
            let is_function = ["(", "<"].iter().any(|then| all.contains(&format!("fn {name}{then}")));
            if !is_function && !is_place(name) {
                wrong.push(name.to_owned());
            }
        }
    }
    none_of("tests that do not exist", &wrong);
    assert!(seen > 40, "only {seen} tests found");
}
