use super::{everything, none_of, repository};

/// What begins like a file of the repository, and is made by a reader, or by a build.
const MADE: [&str; 4] =
    ["config/staging.toml", "src/attributes/postal_address.rs", "web/dist", "web/node_modules"];

#[test]
fn every_file_that_is_named_exists() {
    let mut wrong = Vec::new();
    for page in everything().iter().filter(|page| page.name != "CHANGELOG.md") {
        for code in page.code() {
            let file = code.split([' ', ':']).next().unwrap_or_default();
            let begins = [
                "benches/",
                "bin/",
                "config/",
                "crates/",
                "docs/",
                "examples/",
                "migration/",
                "src/",
                "tests/",
                "web/",
            ];
            let is_file = begins.iter().any(|folder| file.starts_with(folder));
            let is_pattern = file.contains(['<', '*', '{']) || file.contains("NAME");
            if !is_file || is_pattern || MADE.contains(&file) {
                continue;
            }
            if !repository(file).exists() {
                wrong.push(format!("{}: {file}", page.name));
            }
        }
    }
    none_of("files that do not exist", &wrong);
}
