//! What an operator does with the ledger outside by hand.

use oubliette_ledger::mirror::Batch;

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(a_copy_of_a_sink_is_a_sink, a_restored_database_is_brought_forward_without_a_server,);

async fn a_copy_of_a_sink_is_a_sink(stack: TestStack) {
    let mut scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 20).await;
    for id in &ids[..5] {
        forget(&server, id).await;
    }
    scene.published_all(5).await;
    let mirror = |scene: &Scene, arguments: &[&str]| {
        scene.sandbox.admin(&[&["ledger", "mirror", "--to"], arguments].concat())
    };
    let copied = mirror(&scene, &["file://copy"]);
    assert_eq!(copied.stdout, "5 entries copied from the sink `one` to file://copy\n", "{}", copied.stderr);
    // Later, what is new.
    forget(&server, &ids[5]).await;
    scene.published_all(6).await;
    let copied = mirror(&scene, &["file://copy", "--from", "one"]);
    assert_eq!(copied.stdout, "1 entry copied from the sink `one` to file://copy\n");
    assert_eq!(
        mirror(&scene, &["file://copy"]).stdout,
        "0 entries copied from the sink `one` to file://copy\n"
    );
    for (arguments, problem) in [
        (["file://sink", "--from", "one"], "error: that is a sink of the configuration"),
        (["file://copy", "--from", "two"], "error: there is no sink of that name"),
        (["ftp://copy/x", "--from", "one"], "begins with ftp:, and can begin with file:, s3:, gs:, az:"),
    ] {
        let refused = mirror(&scene, &arguments);
        assert!(refused.stdout.is_empty() && refused.stderr.contains(problem), "{}", refused.stderr);
    }
    // A place with entries of its own is left as it is.
    let first = scene.sandbox.path("other").join(Batch::path(0));
    fs::create_dir_all(first.parent().unwrap()).unwrap();
    fs::copy(scene.object(&Batch::path(5)), first).unwrap();
    let refused = mirror(&scene, &["file://other"]);
    assert!(
        refused.stderr.starts_with("error: file://other was not brought to the end"),
        "{}",
        refused.stderr
    );
    stop(server).await;

    // In the place of the sink, for a database that is empty.
    fs::remove_dir_all(scene.sink()).unwrap();
    fs::rename(scene.sandbox.path("copy"), scene.sink()).unwrap();
    let other = if scene.stack.is_postgres() { TestStack::postgres() } else { TestStack::sqlite() };
    let sinks = "[ledger.sinks.one]\nurl = \"file://sink\"\n";
    scene.sandbox = scene.sandbox.with_profile("sinks", &profile(&other.url(), sinks));
    scene.stack = other;
    let server = scene.start().await;
    is_ready(&server).await;
    for id in &ids[..6] {
        assert_eq!(code(&server, id).await, "FORGOTTEN");
    }
}

async fn a_restored_database_is_brought_forward_without_a_server(stack: TestStack) {
    let scene = Scene::new(stack);
    let (ids, backup) = scene.backed_up(20).await;
    let server = scene.start().await;
    for id in &ids[1..6] {
        forget(&server, id).await;
    }
    scene.published_all(6).await;
    stop(server).await;
    let before = scene.exported();

    scene.restore(&backup);
    let replayed = scene.sandbox.admin(&["ledger", "replay"]);
    assert_eq!(replayed.status, Some(0), "{}", replayed.stderr);
    assert!(replayed.stdout.starts_with("before     the ledger ended at 1:"), "{}", replayed.stdout);
    assert!(replayed.stdout.contains("\nnow        it ends at 6:"), "{}", replayed.stdout);
    assert!(replayed.stdout.contains("\nsink       one: good, ends at 6:"), "{}", replayed.stdout);
    assert_eq!(scene.exported(), before);
    assert_eq!(scene.rows("SELECT 1 FROM data_keys").await, 14);
    let again = scene.sandbox.admin_ok(&["ledger", "replay"]);
    assert!(again.starts_with("before     the ledger ended at 6:"), "{again}");
    let shown = scene.sandbox.admin(&["users", "show", &ids[5]]);
    assert_ne!(shown.status, Some(2), "{}", shown.stderr);
    let server = scene.start().await;
    assert_eq!(code(&server, &ids[5]).await, "FORGOTTEN");
    assert!(!server.log().contains("was behind"), "{}", server.log());
}
