//! `ledger export`: what it says of an erasure, and of which.

use serde_json::{Value, json};

use crate::harness::{Site, TestStack, on_both_databases, populate};

on_both_databases!(the_ledger_is_exported);

async fn the_ledger_is_exported(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let key = |row: &oubliette::entity::data_key::Model| {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&row.wrapped);
        let commitment = row.commitment.as_ref().unwrap();
        format!("1 {} {} {}", row.kek_id, hex::encode(digest), hex::encode(commitment))
    };
    let mut expected = Vec::new();
    for actor in ["ada", "bob"] {
        let (id, _) = populate(&site.db, &backend, 1).await.remove(0);
        let keys: Vec<_> = site.data_keys().await.iter().map(key).collect();
        let forget = ["users", "forget", &id.to_string(), "--yes", "--json", "--actor", actor];
        let receipt: Value = serde_json::from_str(&site.sandbox.admin_ok(&forget)).unwrap();
        let previous = expected.last().map_or(json!("00".repeat(32)), |last: &Value| last["digest"].clone());
        expected.push(json!({
            "sequence": expected.len() + 1, "erased_at": receipt["erased_at"], "actor": format!("admin:{actor}"),
            "subject_id": id.to_string(), "destroyed_keys": keys, "previous_digest": previous,
            "digest": receipt["digest"],
        }));
    }
    let export = |arguments: &[&str]| site.sandbox.admin_ok(&[&["ledger", "export"], arguments].concat());
    let objects = |arguments: &[&str]| {
        let text = export(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    assert_eq!(objects(&[]), expected);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let line = |entry: &Value| {
        let fields =
            [&entry["erased_at"], &entry["actor"], &entry["subject_id"], &entry["destroyed_keys"][0]];
        fields.map(text).join("\t") + "\n"
    };
    assert_eq!(export(&[]), line(&expected[0]) + &line(&expected[1]));

    assert_eq!(objects(&["--actor", "admin:bob"]), expected[1..]);
    assert_eq!(objects(&["--actor", "a\nb"]), [] as [Value; 0]);
    assert_eq!(objects(&["--subject", &text(&expected[0]["subject_id"])]), expected[..1]);
    let moment = text(&expected[1]["erased_at"]);
    assert_eq!(objects(&["--since", &moment]), expected[1..]);
    assert_eq!(objects(&["--until", &moment]), expected[..1]);

    // Each receipt is a head.
    for entry in &expected {
        let head = format!("{}:{}", entry["sequence"], text(&entry["digest"]));
        site.sandbox.admin_ok(&["ledger", "verify", "--head", &head]);
    }
}
