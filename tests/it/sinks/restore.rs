//! A database that is put back to an older state forgets again whom it must, before it answers.

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(
    a_restored_backup_forgets_again_before_anybody_is_answered,
    a_database_that_goes_back_below_servers_forgets_again,
    an_empty_database_takes_the_ledger_over,
    a_forgetting_between_the_restore_and_the_look_stays,
);

async fn a_restored_backup_forgets_again_before_anybody_is_answered(stack: TestStack) {
    let scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 200).await;
    // A ledger that is not empty when the backup is made.
    let early = forget(&server, &ids[199]).await;
    scene.published_all(1).await;
    stop(server).await;
    let backup = scene.backup();

    let server = scene.start().await;
    let mut places = Vec::new();
    for id in &ids[..50] {
        places.push(forget(&server, id).await);
    }
    scene.published_all(51).await;
    let (receipts, policy) =
        (ids[..3].iter().map(|id| scene.receipt(id)).collect::<Vec<_>>(), scene.policy());
    stop(server).await;
    let before = scene.exported();

    scene.restore(&backup);
    assert_eq!(scene.exported().lines().count(), 1);
    assert_eq!(scene.rows("SELECT 1 FROM data_keys").await, 199);
    // Commands refuse, too.
    let refused = scene.sandbox.admin(&["users", "show", &ids[0]]);
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(
        refused
            .stderr
            .starts_with("warning: the sink `one` is behind\nerror: the database is not at one with"),
        "{}",
        refused.stderr
    );
    assert_eq!((scene.status().0, scene.state()), (Some(1), "behind".to_owned()));

    let server = scene.start().await;
    // From the first request on.
    let codes = join_all(ids[..50].iter().map(async |id| code(&server, id).await)).await;
    assert!(codes.iter().all(|code| code == "FORGOTTEN"), "{codes:?}");
    for (id, place) in ids[..50].iter().zip(&places) {
        assert_eq!(erasure(&server, id).await, *place);
    }
    assert_eq!(erasure(&server, &ids[199]).await, early);
    for id in &ids[50..199] {
        assert_eq!(code(&server, id).await, "", "who was not forgotten is answered about");
    }
    is_ready(&server).await;
    assert_eq!(scene.exported(), before);
    assert_eq!((scene.status().0, scene.state()), (Some(0), "good".to_owned()));
    for (receipt, id) in receipts.iter().zip(&ids) {
        assert_eq!(receipt.verify(&policy).unwrap().entry.erasure().unwrap().subject.to_string(), *id);
    }
    assert_eq!(scene.receipt(&ids[0]).verify(&policy).unwrap().size, 51);
    assert_eq!(scene.rows("SELECT 1 FROM data_keys").await, 149);
    let verified = scene.sandbox.admin_ok(&["ledger", "verify"]);
    assert!(verified.starts_with("51 entries, and nothing is wrong"), "{verified}");
    let log = server.log();
    assert!(log.contains("\"entries\":50,\"forgotten_again\":50,\"moved\":0"), "{log}");
    let trail = scene.sandbox.admin_ok(&["audit", "export"]);
    let said = |action: &str| {
        trail.lines().filter(|line| line.contains("system:sinks") && line.contains(action)).count()
    };
    assert_eq!((said("ledger_replay"), said("forget")), (1, 50), "{trail}");
    assert!(server.metrics().await.contains("oubliette_sink_replayed_entries_total 50"));
    // Nothing is left of it: the next start finds a database that is whole.
    stop(server).await;
    let log = stop(scene.start().await).await;
    assert!(!log.contains("was behind"), "{log}");
}

async fn a_database_that_goes_back_below_servers_forgets_again(stack: TestStack) {
    let scene = Scene::new(stack);
    let servers = [scene.start().await, scene.start().await];
    let ids = create(&servers[0], 20).await;
    let first = forget(&servers[0], &ids[19]).await;
    scene.published_all(1).await;
    let tables = ["users", "data_keys", "erasures", "erasure_head", "ledger_publication"];
    for table in tables {
        scene.sql(&[&format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}")]).await;
    }
    let mut places = Vec::new();
    for id in &ids[..10] {
        places.push(forget(&servers[1], id).await);
    }
    scene.published_all(11).await;
    let before = scene.exported();

    // In one transaction, as a failover would have it.
    let put_back: String = tables
        .iter()
        .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table}; "))
        .collect();
    scene.sql(&[&format!("BEGIN; {put_back} COMMIT")]).await;
    for server in &servers {
        soon("it is said", async || {
            let log = server.log();
            log.contains("nothing personal is answered: the database is not at one with the ledger outside")
                || log.contains("the erasure ledger went back")
                || log.contains("was brought forward")
        })
        .await;
        is_ready(server).await;
        for (id, place) in ids.iter().zip(&places) {
            // The other one who watches looks at its own pace.
            soon("they are forgotten", async || {
                let code = code(server, id).await;
                assert!(code == "UNAVAILABLE" || code == "FORGOTTEN", "{code}");
                code == "FORGOTTEN"
            })
            .await;
            assert_eq!(erasure(server, id).await, *place);
        }
        assert_eq!(erasure(server, &ids[19]).await, first);
        assert_eq!(code(server, &ids[11]).await, "");
    }
    assert_eq!(scene.exported(), before);
    assert_eq!(scene.rows("SELECT 1 FROM data_keys").await, 9);
    // Whoever has noticed for themselves that the ledger went back has nothing left to ask of an operator.
    let (status, found) = scene.status();
    assert_eq!((status, &found["waiting"]), (Some(0), &json!([])), "{found}");
    // And all goes on.
    assert_eq!(forget(&servers[0], &ids[11]).await.sequence, 12);
    scene.published_all(12).await;
}

async fn an_empty_database_takes_the_ledger_over(stack: TestStack) {
    let mut scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let place = forget(&server, &ids[0]).await;
    forget(&server, &ids[1]).await;
    scene.published_all(2).await;
    stop(server).await;
    let before = scene.exported();
    // Another database.
    let other = if scene.stack.is_postgres() { TestStack::postgres() } else { TestStack::sqlite() };
    scene.sandbox = scene
        .sandbox
        .with_profile("sinks", &profile(&other.url(), "[ledger.sinks.one]\nurl = \"file://sink\"\n"));
    scene.stack = other;
    let server = scene.start().await;
    is_ready(&server).await;
    assert_eq!(erasure(&server, &ids[0]).await, place);
    assert_eq!(code(&server, &ids[0]).await, "FORGOTTEN");
    assert_eq!(scene.exported(), before);
    let ids = create(&server, 10).await;
    assert_eq!(forget(&server, &ids[0]).await.sequence, 3);
    scene.published_all(3).await;
}

/// As after a failover: a server has forgotten somebody before it looked at the sink.
async fn a_forgetting_between_the_restore_and_the_look_stays(stack: TestStack) {
    let scene = Scene::new(stack);
    let (ids, backup) = scene.backed_up(20).await;
    let server = scene.start().await;
    let kept = [forget(&server, &ids[1]).await, forget(&server, &ids[2]).await];
    scene.published_all(3).await;
    stop(server).await;

    scene.restore(&backup);
    // Somebody who is in the sink's entries, too, and somebody who is not.
    let mut provisional = Vec::new();
    for id in [&ids[2], &ids[3]] {
        let said = scene.sandbox.admin_ok(&["users", "forget", id, "--yes", "--json"]);
        provisional.push(serde_json::from_str::<Value>(&said).unwrap()["sequence"].clone());
    }
    assert_eq!(provisional, [json!(2), json!(3)]);
    let server = scene.start().await;
    is_ready(&server).await;
    assert_eq!([erasure(&server, &ids[1]).await, erasure(&server, &ids[2]).await], kept);
    assert_eq!(erasure(&server, &ids[3]).await.sequence, 4);
    for id in &ids[..4] {
        assert_eq!(code(&server, id).await, "FORGOTTEN");
    }
    scene.published_all(4).await;
    let log = server.log();
    assert!(log.contains("\"entries\":2,\"forgotten_again\":1,\"moved\":2"), "{log}");
    assert!(scene.sandbox.admin_ok(&["ledger", "verify"]).starts_with("4 entries, and nothing is wrong"));
    assert_eq!(scene.receipt(&ids[3]).verify(&scene.policy()).unwrap().entry.sequence, 4);
}
