//! The program, on files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use oubliette_ledger::{DestroyedKey, Entry, Erasure, Event, Receipt, Rotation, SignedCheckpoint, tree};
use signed_note::StandardSigner;
use tempfile::TempDir;
use uuid::{Uuid, uuid};

const ORIGIN: &str = "example.com/oubliette";
const SECRET: &str =
    "PRIVATE+KEY+example.com/oubliette+560c5846+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
const PUBLIC: &str = "example.com/oubliette+560c5846+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

fn verify(receipt: &Path, policy: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oubliette-verify"))
        .arg(receipt)
        .arg("--policy")
        .arg(policy)
        .output()
        .unwrap()
}

const SUBJECT: Uuid = uuid!("01890a5d-ac96-774b-bcce-b302099a8057");

fn erasure() -> Event {
    let key = |version, commitment| {
        let (kek_id, fingerprint) = ("local:a".to_owned(), [7; 32]);
        DestroyedKey { version, kek_id, fingerprint, commitment }
    };
    Event::Erasure2(Erasure { subject: SUBJECT, destroyed: vec![key(1, None), key(2, Some([9; 32]))] })
}

fn receipt(event: Event) -> Receipt {
    let entry = Entry {
        previous: [0; 32],
        sequence: 1,
        at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
        actor: "token:support\u{1b}[2J".to_owned(),
        event,
    };
    let entry = entry.to_string();
    let stored = tree::append(0, &entry, &tree::Stored::new()).unwrap();
    let stored = (0..).zip(stored).collect();
    let body = SignedCheckpoint::body(ORIGIN, 1, tree::root(1, &stored).unwrap()).unwrap();
    let checkpoint = SignedCheckpoint::sign(&body, &StandardSigner::new(SECRET).unwrap()).unwrap();
    Receipt { entry, index: 0, proof: Vec::new(), checkpoint }
}

#[test]
fn a_good_receipt_is_said_in_plain_words_and_another_one_refused() {
    let folder = TempDir::new().unwrap();
    let [good, bad, policy, other] =
        ["good.tlog-proof", "bad.tlog-proof", "policy.txt", "other.txt"].map(|name| folder.path().join(name));
    let text = receipt(erasure()).to_string();
    fs::write(&good, &text).unwrap();
    fs::write(&bad, text.replacen("\n1\n", "\n2\n", 1)).unwrap();
    fs::write(&policy, format!("log {PUBLIC}\nquorum none\n")).unwrap();
    fs::write(&other, "quorum none\n").unwrap();

    let said = verify(&good, &policy);
    let out = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(0), "{out}");
    for part in [
        "This receipt is good.",
        "erased     01890a5d-ac96-774b-bcce-b302099a8057",
        "when       2026-11-23T21:05:00.120+00:00",
        "asked by   token:support\u{fffd}[2J",
        "destroyed  data key 1, which was wrapped under local:a\n",
        "destroyed  data key 2, which was wrapped under local:a, key commitment 0909",
        "entry      number 1 of 1 in the log",
        PUBLIC,
        "It does not prove: that no copy",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }

    let said = verify(&bad, &policy);
    let error = String::from_utf8(said.stderr).unwrap();
    assert_eq!((said.status.code(), said.stdout.len()), (Some(1), 0), "{error}");
    assert!(error.starts_with("REFUSED: the signature of `example.com/oubliette` is wrong"), "{error}");
    for (receipt, policy, problem) in [
        (&good, &other, "error: the policy names no log"),
        (&good, &folder.path().join("none"), "none: No such file"),
        (&folder.path().join("none"), &policy, "none: No such file"),
    ] {
        let said = verify(receipt, policy);
        let error = String::from_utf8(said.stderr).unwrap();
        assert_eq!((said.status.code(), said.stdout.len()), (Some(2), 0), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_receipt_about_no_person_says_so() {
    let folder = TempDir::new().unwrap();
    let [receipt_file, policy] = ["one.tlog-proof", "policy.txt"].map(|name| folder.path().join(name));
    fs::write(&policy, format!("log {PUBLIC}\nquorum none\n")).unwrap();
    let made_before = "2026-11-23T21:05:00.120Z".parse().unwrap();
    let rotation = Rotation { made_before, subjects: None };
    for (event, parts) in [
        (Event::Revocation1 { token: SUBJECT }, ["revoked    01890a5d", "this access token was revoked"]),
        (
            Event::Rotation1 { id: SUBJECT, rotation },
            ["rotation   01890a5d", "data keys were replaced by fresh ones"],
        ),
    ] {
        fs::write(&receipt_file, receipt(event).to_string()).unwrap();
        let said = verify(&receipt_file, &policy);
        let out = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said.status.code(), Some(0), "{out}");
        for part in [parts[0], parts[1], "It says nothing about a person"] {
            assert!(out.contains(part), "{part}\n{out}");
        }
        assert!(!out.contains("erased"), "{out}");
    }
}

/// The manual's policy, receipt and output.
#[test]
fn the_manual_shows_what_happens() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/erasure.md");
    let manual = fs::read_to_string(manual).unwrap();
    let (_, section) = manual.split_once("### A receipt for strangers").unwrap();
    let mut shown = section.split("```text\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let folder = TempDir::new().unwrap();
    let [policy, receipt] = ["policy.txt", "ada.tlog-proof"].map(|name| {
        let path = folder.path().join(name);
        fs::write(&path, shown.next().unwrap()).unwrap();
        path
    });
    let said = verify(&receipt, &policy);
    assert_eq!(String::from_utf8(said.stdout).unwrap(), shown.next().unwrap());
    assert_eq!(said.status.code(), Some(0));
}
