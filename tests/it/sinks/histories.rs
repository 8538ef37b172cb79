//! Sinks that lag, that were put back, or that have another history than the database.

use super::*;
use crate::harness::on_both_databases;

on_both_databases!(
    a_sink_that_lost_something_is_brought_to_the_end_again,
    two_signed_histories_are_told_from_a_database_that_is_behind,
    an_operator_adopts_the_history_of_the_sink,
    a_sink_of_another_ledger_is_refused,
    a_forgetting_is_refused_by_a_database_that_is_behind,
    what_a_server_knew_of_a_sink_counts_when_sink_and_database_go_back,
);

async fn a_sink_that_lost_something_is_brought_to_the_end_again(stack: TestStack) {
    let sinks = "[ledger.sinks.one]\nurl = \"file://sink\"\n[ledger.sinks.two]\nurl = \"file://other\"\n";
    let mut scene = Scene::with_sinks(stack, sinks);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    copy(&scene, "sink", "older");
    for id in &ids[1..4] {
        forget(&server, id).await;
    }
    scene.published_all(4).await;
    // Below a server: emptied, and put back.
    for replaced in ["nothing", "older"] {
        fs::remove_dir_all(scene.sink()).unwrap();
        copy(&scene, replaced, "sink");
        scene.published_all(4).await;
        is_ready(&server).await;
    }
    forget(&server, &ids[4]).await;
    scene.published_all(5).await;
    stop(server).await;
    // Between two servers; the newest sink is what counts.
    let backup = scene.backup();
    let server = scene.start().await;
    let last = forget(&server, &ids[5]).await;
    scene.published_all(6).await;
    stop(server).await;
    scene.restore(&backup);
    fs::remove_dir_all(scene.sink()).unwrap();
    copy(&scene, "older", "sink");
    let server = scene.start().await;
    assert_eq!(code(&server, &ids[5]).await, "FORGOTTEN");
    assert_eq!(erasure(&server, &ids[5]).await, last);
    // A start does not know what else was in it, and leaves it to an operator.
    assert!(server.log().contains("the sink lacks entries: it ends at 1:"), "{}", server.log());
    assert_eq!(readyz(&server).await, (StatusCode::OK, "degraded".to_owned()));
    assert_eq!((scene.status().0, scene.state()), (Some(1), "lost".to_owned()));
    a_while().await;
    assert_eq!(scene.published(), 1);
    stop(server).await;
    // By another name it is a new one.
    let renamed = profile(&scene.stack.url(), &sinks.replace("sinks.one", "sinks.again"));
    scene.sandbox = scene.sandbox.with_profile("sinks", &renamed);
    let server = scene.start().await;
    scene.published_all(6).await;
    is_ready(&server).await;
    let (status, found) = scene.status();
    assert_eq!((status, &found["sinks"][0]["digest"]), (Some(0), &json!(last.digest)), "{found}");
    assert_eq!(found["sinks"][0]["digest"], found["sinks"][1]["digest"]);
}

/// Brings about two histories that were signed: the sink's, with the second person, and the database's, with the third. The sink of the database's is in
/// `two`, and what both have in `older`. No server runs.
async fn fork(scene: &Scene) -> Vec<String> {
    let (ids, backup) = scene.backed_up(10).await;
    copy(scene, "sink", "older");
    let server = scene.start().await;
    forget(&server, &ids[1]).await;
    scene.published_all(2).await;
    stop(server).await;
    fs::rename(scene.sink(), scene.sandbox.path("one")).unwrap();

    // Database and sink are both put back, and go on in another way.
    scene.restore(&backup);
    copy(scene, "older", "sink");
    let server = scene.start().await;
    forget(&server, &ids[2]).await;
    scene.published_all(2).await;
    stop(server).await;
    fs::rename(scene.sink(), scene.sandbox.path("two")).unwrap();
    copy(scene, "one", "sink");
    ids
}

async fn two_signed_histories_are_told_from_a_database_that_is_behind(stack: TestStack) {
    let scene = Scene::new(stack);
    let ids = fork(&scene).await;
    let own = scene.exported();
    let before = files(&scene);

    let kept = scene.sandbox.read("two/checkpoint");
    scene.sandbox.write("kept", &kept);
    let differs = scene.sandbox.admin(&["ledger", "consistency", "--from", "kept"]);
    assert!(
        differs.status == Some(1)
            && differs.stdout.starts_with("WRONG: the log in the sink `one`, of 2 entries, does not begin"),
        "{differs:?}"
    );
    let older = scene.sandbox.admin_ok(&["ledger", "consistency", "--from", "older/checkpoint"]);
    assert_eq!(
        older,
        "the log in the sink `one`, of 2 entries, begins with the one of 1 entry that was signed then\n"
    );

    let server = scene.start().await;
    soon("it is said", async || server.log().contains("two histories that were both signed")).await;
    assert_eq!(readyz(&server).await, (StatusCode::SERVICE_UNAVAILABLE, "failed".to_owned()));
    for id in [&ids[1], &ids[5]] {
        assert_eq!(code(&server, id).await, "UNAVAILABLE");
    }
    assert!(server.log().contains("they are the same up to entry 1"), "{}", server.log());
    assert_eq!((scene.status().0, scene.state()), (Some(1), "forked".to_owned()));
    a_while().await;
    // Nothing was signed, and nothing lost.
    assert_eq!(files(&scene), before);
    assert_eq!(scene.exported(), own);
    // An operator who decides for the database's history gives it its sink back.
    fs::remove_dir_all(scene.sink()).unwrap();
    copy(&scene, "two", "sink");
    is_ready(&server).await;
    assert_eq!(code(&server, &ids[1]).await, "");
    assert_eq!(code(&server, &ids[2]).await, "FORGOTTEN");
}

async fn an_operator_adopts_the_history_of_the_sink(stack: TestStack) {
    let mut scene = Scene::new(stack);
    let ids = fork(&scene).await;
    // Another sink has the database's: it would be a fork then.
    let url = scene.stack.url();
    let both = "[ledger.sinks.one]\nurl = \"file://sink\"\n[ledger.sinks.two]\nurl = \"file://two\"\n";
    scene.sandbox = scene.sandbox.with_profile("sinks", &profile(&url, both));
    let refused = scene.sandbox.admin(&["ledger", "adopt", "--sink", "one", "--yes"]);
    assert!(refused.stderr.contains("the sink `two` has the database's history"), "{}", refused.stderr);
    let one = "[ledger.sinks.one]\nurl = \"file://sink\"\n";
    scene.sandbox = scene.sandbox.with_profile("sinks", &profile(&url, one));
    let server = scene.start().await;
    assert_eq!(code(&server, &ids[5]).await, "UNAVAILABLE");
    let admin = |arguments: &[&str]| scene.sandbox.admin(&[&["ledger", "adopt"], arguments].concat());
    let unknown = admin(&["--sink", "two"]);
    assert!(unknown.stderr.contains("there is no sink `two`"), "{}", unknown.stderr);
    let asked = admin(&["--sink", "one"]);
    assert!(asked.status == Some(1) && asked.stderr.contains("Pass --yes"), "{}", asked.stderr);
    assert!(
        asked.stderr.contains("the two histories are the same up to entry 1\nthe sink's ends at 2:"),
        "{}",
        asked.stderr
    );
    assert_eq!(scene.state(), "forked");

    let adopted = admin(&["--sink", "one", "--yes", "--json", "--actor", "ada"]);
    let adopted: Value = serde_json::from_str(&adopted.stdout).unwrap();
    assert_eq!((&adopted["sink"], &adopted["common"]["sequence"]), (&json!("one"), &json!(1)));
    is_ready(&server).await;
    assert_eq!(code(&server, &ids[5]).await, "");
    for (id, sequence) in ids[..3].iter().zip(1..) {
        assert_eq!(code(&server, id).await, "FORGOTTEN");
        assert_eq!(erasure(&server, id).await.sequence, sequence);
    }
    scene.published_all(3).await;
    assert_eq!(scene.status().0, Some(0));
    assert!(scene.sandbox.admin_ok(&["ledger", "verify"]).starts_with("3 entries, and nothing is wrong"));
    assert_eq!(scene.receipt(&ids[2]).verify(&scene.policy()).unwrap().entry.sequence, 3);
    let trail = scene.sandbox.admin_ok(&["audit", "export"]);
    let told = trail.lines().filter(|line| line.contains("ledger_adopt") && line.contains("admin:ada"));
    assert_eq!(told.count(), 1, "{trail}");
    let again = admin(&["--sink", "one"]);
    assert!(again.stderr.contains("the sink `one` is good: there are no two histories"), "{}", again.stderr);
}

async fn a_sink_of_another_ledger_is_refused(stack: TestStack) {
    let other = Scene::new(if stack.is_postgres() { TestStack::postgres() } else { TestStack::sqlite() });
    let server = other.start().await;
    let ids = create(&server, 10).await;
    for id in &ids[..3] {
        forget(&server, id).await;
    }
    other.published_all(3).await;
    stop(server).await;

    let scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    stop(server).await;
    fs::rename(scene.sink(), scene.sandbox.path("own")).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").args([other.sink(), scene.sink()]).status();
    assert!(copied.unwrap().success());
    let before = files(&scene);
    // Its key is another one.
    let server = scene.start().await;
    soon("it is said", async || server.log().contains("checkpoint cannot be trusted")).await;
    assert_eq!(readyz(&server).await, (StatusCode::SERVICE_UNAVAILABLE, "failed".to_owned()));
    assert_eq!(code(&server, &ids[1]).await, "UNAVAILABLE");
    assert_eq!(scene.state(), "damaged");
    stop(server).await;
    // The same key, as of a database that was begun anew.
    let own_key = scene.sandbox.read("data/ledger-key");
    fs::copy(other.sandbox.path("data/ledger-key"), scene.sandbox.path("data/ledger-key")).unwrap();
    let server = scene.start().await;
    soon("it is said", async || server.log().contains("the sink has another ledger than the database")).await;
    assert_eq!(readyz(&server).await, (StatusCode::SERVICE_UNAVAILABLE, "failed".to_owned()));
    assert_eq!(code(&server, &ids[1]).await, "UNAVAILABLE");
    assert_eq!(scene.state(), "foreign");
    a_while().await;
    assert_eq!(files(&scene), before);
    stop(server).await;
    // And all is well with its own.
    scene.sandbox.write("data/ledger-key", &own_key);
    fs::remove_dir_all(scene.sink()).unwrap();
    copy(&scene, "own", "sink");
    let server = scene.start().await;
    is_ready(&server).await;
    assert_eq!(code(&server, &ids[1]).await, "");
}

/// Under the lock, by what the process knows: here, between the moment in which the database goes back and the next look.
async fn a_forgetting_is_refused_by_a_database_that_is_behind(stack: TestStack) {
    let mut scene = Scene::new(stack);
    // A look each minute: the forgetting comes before it.
    let slow = profile(&scene.stack.url(), "[ledger.sinks.one]\nurl = \"file://sink\"\n")
        .replace("\"20ms\"", "\"1m\"");
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let place = forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    stop(server).await;
    scene.sandbox = scene.sandbox.with_profile("sinks", &slow);
    let server = scene.start().await;
    scene
        .sql(&[
            "DELETE FROM erasures",
            &format!(
                "UPDATE erasure_head SET sequence = 0, digest = {}",
                if scene.stack.is_postgres() { "'\\x00'" } else { "x'00'" }
            ),
        ])
        .await;
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence digest } }";
    let answer = server.try_graphql(query, json!({ "id": ids[1] })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    assert_eq!(scene.rows("SELECT 1 FROM data_keys").await, 9, "nothing was destroyed");
    let zeros = "0".repeat(64);
    let zeros = if scene.stack.is_postgres() { format!("'\\x{zeros}'") } else { format!("x'{zeros}'") };
    scene.sql(&[&format!("UPDATE erasure_head SET digest = {zeros}")]).await;
    stop(server).await;
    let server = scene.start().await;
    assert_eq!(erasure(&server, &ids[0]).await, place);
    assert_eq!(forget(&server, &ids[1]).await.sequence, 2);
}

/// As when a whole site is lost, and a standby takes over without its mounts.
async fn what_a_server_knew_of_a_sink_counts_when_sink_and_database_go_back(stack: TestStack) {
    let sinks = "[ledger.sinks.one]\nurl = \"file://sink\"\n[ledger.sinks.two]\nurl = \"file://other\"\n";
    let scene = Scene::with_sinks(stack, sinks);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    copy(&scene, "sink", "older");
    let places = [forget(&server, &ids[1]).await, forget(&server, &ids[2]).await];
    scene.published_all(3).await;
    is_ready(&server).await;
    let before = scene.exported();

    // All at once: one is put back, one does not answer, and the database has the first entry.
    server.signal("STOP");
    let (one, two) = (scene.sandbox.path("kept-one"), scene.sandbox.path("kept-two"));
    fs::rename(scene.sandbox.path("other"), &two).unwrap();
    scene.sandbox.write("other", "no folder");
    fs::rename(scene.sink(), &one).unwrap();
    copy(&scene, "older", "sink");
    scene
        .sql(&[
            "UPDATE erasure_head SET sequence = 1, digest = (SELECT digest FROM erasures WHERE sequence = 1)",
            "DELETE FROM erasures WHERE sequence > 1",
        ])
        .await;
    server.signal("CONT");
    soon("it is noticed", async || readyz(&server).await.0 == StatusCode::SERVICE_UNAVAILABLE).await;
    a_while().await;
    assert_eq!(code(&server, &ids[5]).await, "UNAVAILABLE");
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence digest } }";
    let answer = server.try_graphql(query, json!({ "id": ids[5] })).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAVAILABLE", "{answer}");
    assert_eq!(scene.published(), 1, "nothing is signed");
    assert!(!scene.object("batch/001").exists());
    // Either of them is enough.
    fs::remove_file(scene.sandbox.path("other")).unwrap();
    fs::rename(&two, scene.sandbox.path("other")).unwrap();
    is_ready(&server).await;
    scene.published_all(3).await;
    soon("it is trusted", async || code(&server, &ids[5]).await.is_empty()).await;
    assert_eq!([erasure(&server, &ids[1]).await, erasure(&server, &ids[2]).await], places);
    assert_eq!(scene.exported(), before);
}

/// A copy of a folder of the sandbox; an empty one if there is none.
pub(super) fn copy(scene: &Scene, from: &str, to: &str) {
    let (from, to) = (scene.sandbox.path(from), scene.sandbox.path(to));
    if from.exists() {
        assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    } else {
        fs::create_dir(to).unwrap();
    }
}

/// What the sink holds, by name.
fn files(scene: &Scene) -> Vec<(String, Vec<u8>)> {
    let listed =
        std::process::Command::new("find").args([".", "-type", "f"]).current_dir(scene.sink()).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let mut files: Vec<_> =
        listed.lines().map(|path| (path.to_owned(), fs::read(scene.object(path)).unwrap())).collect();
    files.sort();
    files
}
