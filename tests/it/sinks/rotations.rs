//! A rotation of data keys that a restored backup has undone is known, and done again.

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(a_rotation_that_a_restore_has_undone_is_listed_and_done_again);

async fn a_rotation_that_a_restore_has_undone_is_listed_and_done_again(stack: TestStack) {
    let scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    stop(server).await;
    let backup = scene.backup();
    let server = scene.start().await;
    let rotate = |arguments: &[&str]| {
        scene.sandbox.admin_ok(&[&["keys", "rotate", "--yes", "--json"], arguments].concat())
    };
    rotate(&["--subject", &ids[0], "--subject", &ids[1]]);
    // A few of everybody are no rotation that is over.
    rotate(&["--all", "--limit", "3"]);
    scene.published_all(1).await;
    assert_eq!(scene.status().1["undone_rotations"], json!([]));
    create(&server, 10).await;
    rotate(&["--all"]);
    rotate(&["--subject", &ids[2]]);
    forget(&server, &ids[3]).await;
    scene.published_all(4).await;
    assert_eq!(scene.status().0, Some(0));
    stop(server).await;
    let before = scene.exported();
    let entries: Vec<Value> = before.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries[0]["subjects"], json!([ids[0], ids[1]]), "{before}");
    assert_eq!(entries[1]["subjects"], Value::Null, "{before}");
    let moment = entries[1]["made_before"].as_str().unwrap();
    let shown = scene.sandbox.admin_ok(&["ledger", "export"]);
    assert!(shown.lines().nth(1).unwrap().ends_with(&format!("\trotation\t{moment} everybody")), "{shown}");

    scene.restore(&backup);
    let server = scene.start().await;
    is_ready(&server).await;
    assert_eq!(scene.exported(), before);
    // Nobody's key was destroyed but that of who was forgotten.
    for id in ids.iter().filter(|id| **id != ids[3]) {
        assert_eq!(code(&server, id).await, "");
    }
    assert_eq!(code(&server, &ids[3]).await, "FORGOTTEN");
    let all = format!(
        "9 data keys are older than a rotation of them; `oubliette-admin keys rotate --all --before {moment}` replaces them again"
    );
    let log = server.log();
    assert!(log.contains(&format!("a rotation is undone: {all}")), "{log}");
    let status = scene.sandbox.admin(&["ledger", "status"]);
    assert_eq!(status.status, Some(1));
    // The one of a single subject is later than that of everybody, and the earlier one is in it.
    let one = format!(
        "rotation   undone: 1 data key is older than a rotation of it; `oubliette-admin keys rotate --subject {}",
        ids[2]
    );
    assert!(
        status.stdout.contains(&one) && status.stdout.contains(&format!("rotation   undone: {all}\n")),
        "{}",
        status.stdout
    );
    assert_eq!(scene.status().1["undone_rotations"].as_array().unwrap().len(), 2);
    let replayed = scene.sandbox.admin(&["ledger", "replay"]);
    assert!(replayed.status == Some(1) && replayed.stdout.contains(&one), "{}", replayed.stdout);

    rotate(&["--all", "--before", moment]);
    assert_eq!(scene.status().1["undone_rotations"], json!([]));
    assert_eq!(code(&server, &ids[0]).await, "");
    assert!(scene.sandbox.admin_ok(&["ledger", "verify"]).starts_with("4 entries, and nothing is wrong"));
}
