//! Searches everything that the integration tests logged, at TRACE, for every personal value and every data key
//! they used.
//!
//! A binary of its own because it must run after `tests/it` has ended; cargo runs test binaries in the
//! order of their names.

#[path = "it/harness/size.rs"]
mod size;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
};

/// Part of every e-mail address, and the beginning of every phone number, that the tests use.
const MARKS: [&str; 2] = ["@personal-value.example", "+493059"];

#[test]
fn no_personal_value_and_no_key_was_logged() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("logs");
    let values = fs::read_to_string(folder.join("personal-values.txt"))
        .expect("the log of the integration tests: run `cargo test --test it` first");
    let values: HashSet<&str> = values.lines().collect();
    assert!(
        values.len() > size::sized(5_000, 20_000),
        "only {} personal values were used: run all of `cargo test --test it`",
        values.len()
    );
    // What every value contains is searched for: that finds every value, in one pass.
    assert!(values.iter().all(|value| MARKS.iter().any(|mark| value.contains(mark))));

    let keys = fs::read_to_string(folder.join("keys.txt")).unwrap();
    let keys: HashSet<&str> = keys.lines().collect();
    assert!(keys.len() > size::sized(5_000, 20_000), "only {} forms of keys were used", keys.len());

    let mut traces = 0;
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "log")) {
        for line in BufReader::new(File::open(&file).unwrap()).split(b'\n') {
            let line = line.unwrap();
            let line = String::from_utf8_lossy(&line);
            for mark in MARKS {
                assert!(!line.contains(mark), "{}: a personal value was logged: {line}", file.display());
            }
            let words = line
                .split(|character: char| !character.is_ascii_alphanumeric() && !"+/=".contains(character));
            for word in words.filter(|word| matches!(word.len(), 44 | 64)) {
                assert!(!keys.contains(word), "{}: a data key was logged", file.display());
            }
            traces += usize::from(line.contains("TRACE"));
        }
    }
    assert!(traces > 100_000, "only {traces} lines at TRACE: the search would not find anything");
}
