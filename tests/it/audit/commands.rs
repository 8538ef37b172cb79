//! `oubliette-admin`: what commands leave in the trail, and `audit export`.

use oubliette::{
    audit::{Action, NewEvent, Origin, Outcome},
    entity::audit_event::Model,
    envelope::SubjectId,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::{events, reads, trail};
use crate::harness::{Site, TestStack, on_both_databases, populate};

on_both_databases!(commands_leave_their_events, nothing_is_revealed_without_its_event, the_trail_is_exported,);

/// Who, what, target, outcome.
fn told(event: &Model) -> (&str, &str, Option<&str>, &str) {
    (&event.actor, &event.action, event.target.as_deref(), &event.outcome)
}

async fn commands_leave_their_events(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, _) = populate(&site.db, &backend, 2).await.remove(0);
    let subject = id.to_string();
    let old = site.data_keys().await[0].kek_id.clone();
    let admin = |arguments: &[&str]| {
        let finished = site.sandbox.admin(&[arguments, &["--actor", "ada"]].concat());
        assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.stderr);
    };
    admin(&["users", "show", &subject]);
    admin(&["users", "show", &subject, "--reveal"]);
    admin(&["keys", "local", "add", "--name", "next"]);
    admin(&["keys", "local", "promote", "next"]);
    admin(&["keys", "local", "promote", "next"]);
    admin(&["keys", "rewrap", "--yes"]);
    admin(&["keys", "rewrap", "--dry-run"]);
    admin(&["keys", "local", "retire", &old, "--yes"]);
    admin(&["keys", "rotate", "--subject", &subject, "--yes"]);
    admin(&["keys", "verify"]);
    site.db.execute_unprepared("UPDATE users SET email_encrypted = phone_encrypted").await.unwrap();
    assert_eq!(site.sandbox.admin(&["keys", "verify", "--actor", "ada"]).status, Some(1));
    assert_eq!(
        site.sandbox.admin(&["users", "show", &subject, "--reveal", "--actor", "ada"]).status,
        Some(1)
    );
    admin(&["users", "forget", &subject, "--yes"]);

    let events = events(&site.db).await;
    let runs = oubliette::keys::sweep::recent(&site.db, 9).await.unwrap();
    let [rotated, rewrapped] = [&runs[0], &runs[1]].map(|run| run.id.to_string());
    let who = "admin:ada";
    let expected = [
        (who, "read_pii", None, "ok"),
        (who, "read_pii", None, "ok"),
        (who, "key_local_add", Some("local:next"), "ok"),
        (who, "key_local_promote", Some("local:next"), "ok"),
        (who, "key_rewrap", Some(rewrapped.as_str()), "ok"),
        (who, "key_retiring", Some(old.as_str()), "ok"),
        (who, "key_retired", Some(old.as_str()), "ok"),
        (who, "key_local_retire", Some(old.as_str()), "ok"),
        (who, "key_rotate", Some("data key 2"), "ok"),
        (who, "key_rotate", Some(rotated.as_str()), "ok"),
        (who, "key_verify", None, "ok"),
        (who, "key_verify", None, "failed"),
        (who, "read_pii", None, "failed"),
        (who, "forget", None, "ok"),
    ];
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), expected);
    let about: Vec<_> = events.iter().map(|event| event.subject_id.is_some()).collect();
    assert_eq!(
        about,
        [true, true, false, false, false, false, false, false, true, false, false, false, true, true]
    );
    assert!(events.iter().all(|event| event.subject_id.is_none_or(|subject| subject == id)));
    let read: Vec<_> =
        events[..2].iter().map(|event| (event.attributes.as_str(), &event.request_id)).collect();
    assert_eq!(read, [("email_masked,phone_masked", &None), ("email,phone", &None)]);
}

async fn nothing_is_revealed_without_its_event(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, person) = populate(&site.db, &backend, 1).await.remove(0);
    site.db.execute_unprepared("DELETE FROM audit_head").await.unwrap();
    let shown = site.sandbox.admin(&["users", "show", &id.to_string(), "--reveal"]);
    assert_eq!((shown.status, shown.stdout.as_str()), (Some(1), ""));
    assert!(shown.stderr.contains("the audit trail cannot be written"), "{}", shown.stderr);
    assert!(!shown.stderr.contains(&person.email) && !shown.stderr.contains(&person.phone));
    let file = site.sandbox.read("data/local.toml");
    let error = site.sandbox.admin_error(&["keys", "local", "add", "--name", "next"]);
    assert!(error.contains("the audit trail cannot be written"), "{error}");
    assert_eq!(site.sandbox.read("data/local.toml"), file);
}

async fn the_trail_is_exported(stack: TestStack) {
    let (site, _) = Site::on_local_keys(stack).await;
    let trail = trail(&site.db);
    trail.record_durably(&reads("ada", 2500)).await.unwrap();
    trail.record_durably(&reads("bob", 3)).await.unwrap();
    let stored = events(&site.db).await;
    let export = |arguments: &[&str]| site.sandbox.admin_ok(&[&["audit", "export"], arguments].concat());
    let objects =
        |text: &str| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();

    let all = objects(&export(&["--json"]));
    assert_eq!(all.len(), 2503);
    for (expected, object) in (1..).zip(&all) {
        assert_eq!(object["sequence"], expected);
    }
    let last = stored.last().unwrap();
    let expected = json!({
        "sequence": 2503, "occurred_at": last.occurred_at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        "actor": "bob", "action": "read_pii", "subject_id": last.subject_id.unwrap().to_string(),
        "subject_ids": [last.subject_id.unwrap().to_string()], "count": 1, "version": 2,
        "attributes": ["email", "phone"], "target": null, "request_id": "r-1", "outcome": "ok",
        "previous_digest": hex::encode(&last.previous_digest), "digest": hex::encode(&last.digest),
    });
    assert_eq!(all.last(), Some(&expected));

    assert_eq!(objects(&export(&["--actor", "bob", "--json"])).len(), 3);
    let subject = last.subject_id.unwrap().to_string();
    let line = format!(
        "{}\tok\tread_pii\tbob\t{subject}\temail,phone\t-\tr-1\t1\n",
        expected["occurred_at"].as_str().unwrap()
    );
    assert_eq!(export(&["--subject", &subject]), line);
    let moment = expected["occurred_at"].as_str().unwrap();
    let since = objects(&export(&["--since", moment, "--json"])).len();
    let until = objects(&export(&["--until", moment, "--json"])).len();
    assert!(since >= 1 && since + until == 2503, "{since} {until}");

    // An event about several is found from each.
    let several: Vec<_> = (0..3).map(|_| SubjectId::generate()).collect();
    let event = NewEvent::new(&Origin::new("eve").in_request("r-2"), Action::Forget).about_each(&several);
    trail.record_durably(&[event.outcome(Outcome::Denied).times(78)]).await.unwrap();
    let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
    for id in &ids {
        let line = export(&["--subject", id]);
        assert!(line.contains("\tdenied\tforget\teve\t") && line.ends_with("\t-\t-\tr-2\t78\n"), "{line}");
        assert!(ids.iter().all(|id| line.contains(id)), "{line}");
        let object = objects(&export(&["--subject", id, "--json"])).remove(0);
        assert_eq!((&object["subject_id"], &object["count"]), (&Value::Null, &json!(78)));
        assert_eq!(object["subject_ids"].as_array().unwrap().len(), 3);
    }
}
