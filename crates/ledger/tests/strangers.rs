//! Receipts, read by code of others that knows nothing of this one: `aics-tlog` from PyPI, and the Go project's own packages.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    slice::from_ref,
};

use oubliette_ledger::{Entry, Erasure, Event, Policy, Receipt, SignedCheckpoint, tree};
use signed_note::StandardSigner;
use tempfile::TempDir;

const ORIGIN: &str = "example.com/oubliette";
const SECRET: &str =
    "PRIVATE+KEY+example.com/oubliette+560c5846+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const POLICY: &str =
    "log example.com/oubliette+560c5846+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c\nquorum none\n";

/// Receipts for all entries of a log of so many.
fn receipts(size: u64) -> Vec<Receipt> {
    let (mut entries, mut stored, mut previous) = (Vec::new(), tree::Stored::new(), [0; 32]);
    for index in 0..size {
        let entry = Entry {
            previous,
            sequence: index + 1,
            at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "token:support".to_owned(),
            event: Event::Erasure2(Erasure {
                subject: uuid::Uuid::from_u128(index.into()),
                destroyed: Vec::new(),
            }),
        };
        previous = entry.digest();
        let text = entry.to_string();
        let hashes = tree::append(index, &text, &stored).unwrap();
        stored.extend((tree::first_stored(index)..).zip(hashes));
        entries.push(text);
    }
    let body = SignedCheckpoint::body(ORIGIN, size, tree::root(size, &stored).unwrap()).unwrap();
    let checkpoint = SignedCheckpoint::sign(&body, &StandardSigner::new(SECRET).unwrap()).unwrap();
    let receipt = |(index, entry)| Receipt {
        entry,
        index,
        proof: tree::prove_inclusion(index, size, &stored).unwrap(),
        checkpoint: checkpoint.clone(),
    };
    (0..).zip(entries).map(receipt).collect()
}

/// Python in the virtual environment that `tests/run` makes.
fn interpreter() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project.join("target"), PathBuf::from);
    let python = target.join("strangers/bin/python");
    assert!(
        python.exists(),
        "aics-tlog is not installed. `tests/run` installs it; or by hand: python3.11 -m venv target/strangers && \
         target/strangers/bin/pip install -r tests/strangers/requirements.txt && target/strangers/bin/pip install \
         --no-deps --ignore-requires-python --require-hashes -r tests/strangers/strangers.txt"
    );
    python
}

/// What strangers say of receipts, by name.
fn judged(receipts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("policy.txt"), POLICY).unwrap();
    for (name, receipt) in receipts {
        fs::write(folder.path().join(format!("{name}.tlog-proof")), receipt).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/strangers/receipts.py");
    let output = Command::new(interpreter()).arg(script).arg(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = |line: &str| line.split_once(' ').map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
    said.lines().map(|text| line(text).unwrap()).collect()
}

#[test]
fn strangers_agree_on_receipts_that_are_good_and_on_those_that_are_not() {
    let policy: Policy = POLICY.parse().unwrap();
    let mut all = BTreeMap::new();
    for size in [1, 2, 7, 20] {
        for (place, receipt) in receipts(size).into_iter().enumerate() {
            let name = |what: &str| format!("{what}-{place}-of-{size}");
            all.insert(name("good"), receipt.to_string());
            let entry = receipt.entry.replace("support", "another");
            all.insert(name("changed"), Receipt { entry, ..receipt.clone() }.to_string());
            let index = (receipt.index + 1) % (size + 1);
            all.insert(name("elsewhere"), Receipt { index, ..receipt.clone() }.to_string());
            let root = receipt.to_string().replacen(&format!("\n{size}\n"), &format!("\n{}\n", size + 1), 1);
            all.insert(name("forged"), root);
        }
    }
    let judged = judged(&all);
    assert_eq!(judged.len(), all.len());
    for (name, receipt) in &all {
        let ours = receipt.parse::<Receipt>().and_then(|receipt| receipt.verify(&policy).map(drop));
        let theirs = &judged[name];
        assert_eq!(ours.is_ok(), name.starts_with("good"), "{name}: {ours:?}");
        assert_eq!(ours.is_ok(), theirs == "good", "{name}: {ours:?}, and they say {theirs}");
    }
}

/// A program that checks receipts with `golang.org/x/mod/sumdb`, compiled into a folder.
fn go_program(folder: &Path) -> PathBuf {
    let program = folder.join("receipts");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/strangers/receipts.go"))
        // Debian's packages only, and nothing that somebody has set for other programs.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOENV", "off"), ("GOFLAGS", "")])
        .envs([("GOTOOLCHAIN", "local"), ("CGO_ENABLED", "0")])
        .env("GOCACHE", folder.join("cache"))
        .output();
    assert!(
        output.as_ref().is_ok_and(|output| output.status.success()),
        "Go cannot compile it, perhaps since it is not installed. `tests/run --long` installs it; or by hand: \
         apt-get install -y golang-go golang-golang-x-mod-dev\n{output:?}"
    );
    program
}

/// Which receipts Go accepts, in their order.
fn accepted_by_go(program: &Path, receipts: &[Vec<u8>]) -> Vec<bool> {
    let folder = TempDir::new().unwrap();
    for (place, receipt) in receipts.iter().enumerate() {
        fs::write(folder.path().join(place.to_string()), receipt).unwrap();
    }
    let output = Command::new(program)
        .current_dir(folder.path())
        .args(POLICY.split_whitespace().nth(1))
        .args((0..receipts.len()).map(|place| place.to_string()))
        .output()
        .unwrap();
    let (said, problems) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let mut accepted = vec![true; receipts.len()];
    for problem in problems.lines() {
        let (place, _) = problem.split_once(": ").unwrap();
        accepted[place.parse::<usize>().unwrap()] = false;
    }
    let good = accepted.iter().filter(|good| **good).count();
    assert_eq!(said.lines().filter(|line| line.starts_with("ok ")).count(), good, "{said}\n{problems}");
    assert_eq!(output.status.code(), Some(i32::from(good < receipts.len())), "{problems}");
    accepted
}

fn is_accepted_here(receipt: &[u8], policy: &Policy) -> bool {
    let text = str::from_utf8(receipt).ok();
    text.and_then(|text| text.parse::<Receipt>().ok()).is_some_and(|receipt| receipt.verify(policy).is_ok())
}

/// With each byte changed, in two ways.
fn changed_bytes(receipt: &[u8]) -> Vec<Vec<u8>> {
    let changed = |place: usize, change: u8| {
        let mut bytes = receipt.to_vec();
        bytes[place] ^= change;
        bytes
    };
    (0..receipt.len())
        .flat_map(|place| [1, 0x20].map(|change| (place, change)))
        .map(|(place, change)| changed(place, change))
        .collect()
}

/// With each line left out, with each line twice, and cut off before each line.
fn changed_lines(receipt: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<_> = receipt.split_inclusive(|byte| *byte == b'\n').collect();
    let mut all = Vec::new();
    for place in 0..lines.len() {
        all.push(lines[..place].concat());
        all.push([&lines[..place], &lines[place + 1..]].concat().concat());
        all.push([&lines[..=place], &lines[place..]].concat().concat());
    }
    all
}

/// With `tests/run --long` only.
#[test]
fn go_agrees_on_receipts_and_refuses_each_changed_byte() {
    if std::env::var_os("OUBLIETTE_TEST_LONG").is_none() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let program = go_program(folder.path());
    let policy: Policy = POLICY.parse().unwrap();
    for size in [1, 2, 3, 7, 8, 20, 64, 65] {
        let all = receipts(size);
        for index in BTreeSet::from([0, size / 2, size - 1]) {
            let good = all[usize::try_from(index).unwrap()].to_string().into_bytes();
            assert!(is_accepted_here(&good, &policy), "{index} of {size}");
            assert_eq!(accepted_by_go(&program, from_ref(&good)), [true], "{index} of {size}");
            let bytes = changed_bytes(&good);
            let lines = changed_lines(&good);
            // A signature that stands there twice says no more than once: both accept that.
            for (changed, may_be_good) in [(bytes, false), (lines, true)] {
                for (receipt, theirs) in changed.iter().zip(accepted_by_go(&program, &changed)) {
                    let ours = is_accepted_here(receipt, &policy);
                    let text = String::from_utf8_lossy(receipt);
                    assert_eq!(ours, theirs, "{index} of {size}; here, and by Go:\n{text}");
                    assert!(may_be_good || !ours, "{index} of {size}:\n{text}");
                }
            }
        }
    }
}
