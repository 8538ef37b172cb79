use std::collections::BTreeSet;

use oubliette::errors::ErrorCode;
use strum::IntoEnumIterator;

use super::{Page, none_of};

#[test]
fn every_error_code_is_explained_and_no_other() {
    let page = Page::read("docs/errors.md");
    let codes: BTreeSet<_> = ErrorCode::iter().map(|code| code.as_str().to_owned()).collect();
    let prose = page.prose();
    let headings = prose.lines().filter_map(|line| line.strip_prefix("## "));
    let headings: BTreeSet<_> =
        headings.filter(|text| *text == text.to_uppercase()).map(str::to_owned).collect();
    assert_eq!(headings, codes, "headings");

    let rows = page.rows(["code", "in one line"]);
    let rows: BTreeSet<_> = rows
        .iter()
        .map(|[code, _]| code.trim_start_matches("[`").split('`').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(rows, codes, "the table");

    // Codes in the other pages.
    let mut wrong = Vec::new();
    for page in super::manual() {
        for block in page.blocks().iter().filter(|block| block.language == "json") {
            for code in block.text.split("\"code\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if !codes.contains(code) {
                    wrong.push(format!("{}: {code}", page.name));
                }
            }
        }
    }
    none_of("error codes that do not exist", &wrong);
}
