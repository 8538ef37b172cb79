//! `verify`, `head` and `export`, as people and programs call them.

use std::{io::Read, process::Stdio};

use serde_json::Value;

use super::{Chain, Kind, on_both_chains, sound};
use crate::harness::TestStack;

on_both_chains!(
    verify_and_head_say_what_is_there,
    all_of_it_is_exported,
    an_export_ends_when_its_reader_has_seen_enough,
);

async fn verify_and_head_say_what_is_there<K: Kind>(stack: TestStack) {
    let [entry, entries, _] = K::NAMES;
    let chain = Chain::<K>::of(stack, 4).await;
    let sandbox = &chain.site.sandbox;
    let command = |arguments: &[&str]| sandbox.admin(&[&[K::COMMAND], arguments].concat());
    let kept = &chain.head();
    let object: Value = serde_json::from_str(&command(&["head", "--json"]).stdout).unwrap();
    assert_eq!(format!("{}:{}", object["sequence"], object["digest"].as_str().unwrap()), *kept);
    assert_eq!(object.as_object().unwrap().len(), 2);

    let text = format!("4 {entries}, and nothing is wrong with them\nhead {kept}\n");
    assert_eq!(sandbox.admin_ok(&[K::COMMAND, "verify"]), text);
    assert_eq!(sandbox.admin_ok(&[K::COMMAND, "verify", "--head", kept]), text);
    assert_eq!(chain.verified(None), sound::<K>(4, kept));

    for (at, before) in [(3, format!("2 {entries}")), (2, format!("1 {entry}"))] {
        chain.sql(&format!("UPDATE ENTRIES SET actor = 'eve' WHERE sequence = {at}")).await;
        let wrong = command(&["verify"]);
        let expected = format!(
            "WRONG: {entry} {at} was changed: its digest is not that of what it says\n\
             before that, nothing is wrong with {before}\n"
        );
        assert_eq!((wrong.status, wrong.stdout), (Some(1), expected));
    }
    let wrong = chain.verified(None);
    assert_eq!(wrong[entries], 1, "{wrong}");
    assert_eq!(
        wrong["fault"]["text"],
        format!("{entry} 2 was changed: its digest is not that of what it says")
    );

    for typo in ["4", "4:00", &kept[..kept.len() - 1], &format!("-{kept}")] {
        let refused = command(&["verify", &format!("--head={typo}")]);
        let hint = format!("is not SEQUENCE:DIGEST, as `oubliette-admin {} head` prints it", K::COMMAND);
        assert_eq!(refused.status, Some(2), "{typo}");
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
}

async fn all_of_it_is_exported<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 2).await;
    let sandbox = &chain.site.sandbox;
    // Pages that are full, to the last.
    for length in [2, 2000, 2001] {
        chain.lengthen(length).await;
        let printed = sandbox.admin_ok(&[K::COMMAND, "export", "--json"]);
        let objects: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let rows = chain.rows().await;
        assert_eq!((objects.len(), rows.len()), (length, length));
        for (object, mut row) in objects.iter().zip(rows) {
            let (sequence, previous_digest, digest) = K::place(&mut row);
            assert_eq!(object["sequence"], *sequence);
            assert_eq!(object["previous_digest"], hex::encode(previous_digest));
            assert_eq!(object["digest"], hex::encode(digest));
        }
        assert_eq!(sandbox.admin_ok(&[K::COMMAND, "export"]).lines().count(), length);
    }
}

async fn an_export_ends_when_its_reader_has_seen_enough<K: Kind>(stack: TestStack) {
    let chain = Chain::<K>::of(stack, 1).await;
    chain.lengthen(2500).await;
    let mut command = chain.site.sandbox.admin_command(&[K::COMMAND, "export", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
