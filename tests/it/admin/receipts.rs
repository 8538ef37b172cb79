//! Receipts for strangers: `ledger policy`, `ledger receipt`.

use std::os::unix::fs::PermissionsExt;

use oubliette::entity::{erasure, erasure_head};
use oubliette_ledger::{self as log, Entry, Event, Policy, Receipt};
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::harness::{Site, TestStack, local_backend, on_both_databases, populate};

on_both_databases!(
    a_stranger_checks_each_receipt_by_the_policy_alone,
    a_receipt_of_a_long_ledger_is_small_and_good,
    nothing_is_signed_of_a_ledger_that_is_damaged,
);

const LEDGER: &str = "[ledger]\norigin = \"example.com/oubliette\"\n[ledger.signer]\nkind = \"local\"\nfile = \"data/ledger-key\"\n";

async fn site(stack: TestStack) -> (Site, oubliette::keys::local::LocalBackend) {
    let (site, backend) = Site::on_local_keys(stack).await;
    (site.configure("local", &format!("{}{LEDGER}", local_backend("local"))), backend)
}

fn policy(site: &Site) -> Policy {
    site.sandbox.admin_ok(&["ledger", "policy", "--create"]).parse().unwrap()
}

fn receipt(site: &Site, subject: Uuid) -> String {
    site.sandbox.admin_ok(&["ledger", "receipt", &subject.to_string()])
}

fn refusal(site: &Site, subject: Uuid) -> String {
    site.sandbox.admin_error(&["ledger", "receipt", &subject.to_string()])
}

async fn a_stranger_checks_each_receipt_by_the_policy_alone(stack: TestStack) {
    let (site, backend) = site(stack).await;
    let people = populate(&site.db, &backend, 6).await;
    let (forgotten, others) = people.split_at(5);
    let policy = policy(&site);
    let mut receipts = Vec::new();
    for (place, (id, _)) in (1..).zip(forgotten) {
        site.sandbox.admin_ok(&["users", "forget", &id.to_string(), "--yes"]);
        receipts.push((*id, place, receipt(&site, *id)));
    }
    receipts.push((forgotten[0].0, 5, receipt(&site, forgotten[0].0)));
    let entries = erasure::Entity::find().all(&site.db).await.unwrap();
    for (id, size, receipt) in &receipts {
        let read: Receipt = receipt.parse().unwrap();
        let proven = read.verify(&policy).unwrap();
        let entry = entries.iter().find(|entry| entry.subject_id == Some(*id)).unwrap();
        assert_eq!((proven.entry.erasure().unwrap().subject, proven.size), (*id, *size));
        // It is what the ledger says, and what a receipt of a release before says.
        assert_eq!(proven.entry.digest().to_vec(), entry.digest);
        assert_eq!(proven.entry.sequence, u64::try_from(entry.sequence).unwrap());
        assert_eq!(proven.entry.erasure().unwrap().destroyed.len(), 1);
        assert!(receipt.len() < 2048, "{receipt}");
    }
    let error = refusal(&site, others[0].0);
    assert!(error.contains(&format!("nobody with the id {} was forgotten", others[0].0)), "{error}");
}

/// A ledger with so many entries, as the service writes it.
async fn grow(site: &Site, number: u64) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for sequence in 1..=number {
        entries.push(Entry {
            previous: entries.last().map_or([0; 32], Entry::digest),
            sequence,
            at: "2026-11-23T21:05:00.120Z".parse().unwrap(),
            actor: "a test".to_owned(),
            event: Event::Erasure1(log::Erasure {
                subject: Uuid::from_u128(sequence.into()),
                destroyed: Vec::new(),
            }),
        });
    }
    let row = |entry: &Entry| {
        erasure::Model {
            sequence: entry.sequence.try_into().unwrap(),
            form: entry.form().as_str().to_owned(),
            subject_id: entry.erasure().map(|erasure| erasure.subject),
            target_id: None,
            erased_at: entry.at,
            actor: entry.actor.clone(),
            destroyed_keys: String::new(),
            previous_digest: entry.previous.to_vec(),
            digest: entry.digest().to_vec(),
        }
        .into_active_model()
        .reset_all()
    };
    for rows in entries.chunks(500) {
        erasure::Entity::insert_many(rows.iter().map(row)).exec_without_returning(&site.db).await.unwrap();
    }
    let last = entries.last().unwrap();
    let (sequence, digest) = (number.try_into().unwrap(), last.digest().to_vec());
    let head = erasure_head::Model { id: 1, sequence, digest, entry_version: 2 };
    head.into_active_model().reset_all().update(&site.db).await.unwrap();
    entries
}

async fn a_receipt_of_a_long_ledger_is_small_and_good(stack: TestStack) {
    const SIZE: u64 = 2300;
    let (site, _) = site(stack).await;
    let policy = policy(&site);
    let entries = grow(&site, SIZE).await;
    for sequence in [1, 1000, 1001, 2048, SIZE] {
        let text = receipt(&site, Uuid::from_u128(sequence.into()));
        let receipt: Receipt = text.parse().unwrap();
        let proven = receipt.verify(&policy).unwrap();
        assert_eq!((&proven.entry, proven.size), (&entries[usize::try_from(sequence).unwrap() - 1], SIZE));
        assert!(receipt.proof.len() <= 12 && text.len() < 2048, "{text}");
    }
}

async fn nothing_is_signed_of_a_ledger_that_is_damaged(stack: TestStack) {
    let (site, _) = site(stack).await;
    let subject = Uuid::from_u128(2);
    // Not configured, not there, open to others, of another ledger, no key at all.
    let unsigned = site.sandbox.again().with_profile("unsigned", "[database]\nurl = \"sqlite://x.db\"\n[keys]\nactive = \"a\"\n[keys.backends.a]\nkind = \"local\"\nfile = \"a\"\n");
    let error = unsigned.admin_error(&["ledger", "policy"]);
    assert!(error.contains("this ledger has no key that signs: set ledger.origin"), "{error}");
    let error = refusal(&site, subject);
    assert!(
        error.contains(
            "the key file `data/ledger-key` is not there: `oubliette-admin ledger policy --create`"
        ),
        "{error}"
    );
    let first = site.sandbox.admin_ok(&["ledger", "policy", "--create"]);
    assert_eq!(site.sandbox.admin_ok(&["ledger", "policy", "--create"]), first);
    assert_eq!(site.sandbox.admin_ok(&["ledger", "policy"]), first);
    let file = site.sandbox.path("data/ledger-key");
    let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    mode(0o644);
    let error = refusal(&site, subject);
    assert!(error.contains("the key file `data/ledger-key` is open to others (mode 0644)"), "{error}");
    mode(0o600);
    let error = site.sandbox.admin_error(&["ledger", "policy", "--set", "ledger.origin=example.com/other"]);
    assert!(
        error.contains("is the key of `example.com/oubliette`, and ledger.origin is `example.com/other`"),
        "{error}"
    );
    let key = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "nothing").unwrap();
    let error = refusal(&site, subject);
    assert!(error.contains("is no key of a log") && !error.contains("nothing\n"), "{error}");
    std::fs::write(&file, key).unwrap();

    grow(&site, 3).await;
    receipt(&site, subject);
    for (damage, repair, problem) in [
        (
            "UPDATE erasures SET actor = 'x' WHERE sequence = 3",
            "UPDATE erasures SET actor = 'a test'",
            "entry 3 was changed",
        ),
        (
            "UPDATE erasure_head SET sequence = 2",
            "UPDATE erasure_head SET sequence = 3",
            "entry 2 has another digest than the database's head",
        ),
        (
            "UPDATE erasures SET sequence = 0 WHERE sequence = 2",
            "UPDATE erasures SET sequence = 2 WHERE sequence = 0",
            "entry 2 is missing",
        ),
        (
            "UPDATE erasure_head SET sequence = 1, digest = (SELECT digest FROM erasures WHERE sequence = 1)",
            "UPDATE erasure_head SET sequence = 3, digest = (SELECT digest FROM erasures WHERE sequence = 3)",
            "entry 2 is beyond the database's head",
        ),
        (
            "UPDATE erasure_head SET sequence = 4",
            "UPDATE erasure_head SET sequence = 3",
            "entry 4 is missing",
        ),
    ] {
        site.db.execute_unprepared(damage).await.unwrap();
        let error = refusal(&site, subject);
        assert!(error.contains(&format!("nothing is signed: {problem}")), "{error}");
        site.db.execute_unprepared(repair).await.unwrap();
        receipt(&site, subject);
    }
    site.db.execute_unprepared("DELETE FROM erasures WHERE sequence = 1").await.unwrap();
    assert!(refusal(&site, subject).contains("nothing is signed: entry 1 is missing"));
}
