//! A ledger that an earlier release began: its entries stay as they are until an operator says that no server of that release is left.

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(entries_are_written_in_the_older_version_until_an_upgrade);

/// What the first line of each entry's text is.
async fn forms(scene: &Scene) -> Vec<String> {
    let db = database::connect(&scene.stack.config()).await.unwrap();
    let sql = "SELECT form FROM erasures ORDER BY sequence".to_owned();
    let rows =
        db.query_all_raw(sea_orm::Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    db.close().await.unwrap();
    rows.iter().map(|row| row.try_get("", "form").unwrap()).collect()
}

async fn entries_are_written_in_the_older_version_until_an_upgrade(stack: TestStack) {
    let [one, two, revocation] = ["oubliette erasure 1", "oubliette erasure 2", "oubliette revocation 1"];
    let scene = Scene::new(stack);
    scene.sandbox.admin_ok(&["migrate"]);
    scene.sql(&["UPDATE erasure_head SET entry_version = 1"]).await;
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let admin = |arguments: &[&str]| scene.sandbox.admin(arguments);
    for name in ["early", "late"] {
        assert_eq!(admin(&["tokens", "create", "--name", name, "--scopes", "users:read"]).status, Some(0));
    }
    forget(&server, &ids[0]).await;
    scene.sandbox.admin_ok(&["tokens", "revoke", "early"]);
    forget(&server, &ids[1]).await;
    assert_eq!(forms(&scene).await, [one, one]);
    scene.published_all(2).await;
    let (status, said) = scene.status();
    assert_eq!((status, &said["entry_version"]), (Some(0), &json!(1)));
    let said = scene.sandbox.admin_ok(&["ledger", "status"]);
    assert!(said.contains("\nversion    1: `oubliette-admin ledger upgrade`"), "{said}");
    stop(server).await;
    let backup = scene.backup();
    let server = scene.start().await;

    let asked = admin(&["ledger", "upgrade"]);
    assert!(asked.status == Some(1) && asked.stderr.contains("Pass --yes"), "{}", asked.stderr);
    let upgraded = scene.sandbox.admin_ok(&["ledger", "upgrade", "--yes", "--actor", "ada"]);
    assert_eq!(upgraded, "entries are written in version 2 from now on\n");
    // The token that was revoked before has its entry.
    assert_eq!(forms(&scene).await, [one, one, revocation]);
    forget(&server, &ids[2]).await;
    scene.sandbox.admin_ok(&["tokens", "revoke", "late"]);
    let again = scene.sandbox.admin_ok(&["ledger", "upgrade"]);
    assert_eq!(again, "entries are written in version 2 already\n");
    assert_eq!(forms(&scene).await, [one, one, revocation, two, revocation]);
    let trail = scene.sandbox.admin_ok(&["audit", "export"]);
    assert_eq!(trail.lines().filter(|line| line.contains("ledger_upgrade")).count(), 1, "{trail}");
    assert!(
        trail.lines().any(|line| line.contains("ledger_upgrade") && line.contains("admin:ada")),
        "{trail}"
    );
    assert!(scene.sandbox.admin_ok(&["ledger", "verify"]).starts_with("5 entries, and nothing is wrong"));
    scene.published_all(5).await;
    let policy = scene.policy();
    for (id, commitments) in [(&ids[0], 0), (&ids[2], 1)] {
        let proven = scene.receipt(id).verify(&policy).unwrap().entry;
        let destroyed = &proven.erasure().unwrap().destroyed;
        assert_eq!(destroyed.iter().filter(|key| key.commitment.is_some()).count(), commitments);
    }
    is_ready(&server).await;
    stop(server).await;
    let before = scene.exported();

    // A database from before the upgrade is brought forward to it.
    scene.restore(&backup);
    assert_eq!(scene.status().1["entry_version"], 1);
    let server = scene.start().await;
    is_ready(&server).await;
    assert_eq!((scene.exported(), &scene.status().1["entry_version"]), (before, &json!(2)));
    forget(&server, &ids[3]).await;
    assert_eq!(forms(&scene).await, [one, one, revocation, two, revocation, two]);
}
