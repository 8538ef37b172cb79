//! Receipts, read by code of others that knows nothing of this one: `aics-tlog` from PyPI.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use oubliette_ledger::{Entry, Policy, Receipt, SignedCheckpoint, tree};
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
            subject: uuid::Uuid::from_u128(index.into()),
            erased_at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "token:support".to_owned(),
            destroyed: Vec::new(),
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
