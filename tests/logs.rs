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

use memchr::memmem::Finder;
use regex::bytes::Regex;

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
    let keys: HashSet<&[u8]> = keys.lines().map(str::as_bytes).collect();
    assert!(keys.len() > size::sized(5_000, 20_000), "only {} forms of keys were used", keys.len());

    let marks = MARKS.map(Finder::new);
    let trace = Finder::new("TRACE");
    let words = Regex::new("[A-Za-z0-9+/=]{44,}").unwrap();
    let mut traces = 0;
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "log")) {
        let mut reader = BufReader::with_capacity(1 << 20, File::open(&file).unwrap());
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).unwrap() > 0 {
            let found = marks.iter().any(|mark| mark.find(&line).is_some());
            assert!(!found, "{}: a personal value was logged: {}", file.display(), line.escape_ascii());
            for word in words.find_iter(&line).filter(|word| matches!(word.len(), 44 | 64)) {
                assert!(!keys.contains(word.as_bytes()), "{}: a data key was logged", file.display());
            }
            traces += usize::from(trace.find(&line).is_some());
            line.clear();
        }
    }
    assert!(traces > 100_000, "only {traces} lines at TRACE: the search would not find anything");
}
