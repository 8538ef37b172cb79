//! A restore drill as of a whole PostgreSQL server: a base backup, and an archive of WAL that ends too early.
//!
//! Half of those who were forgotten after the backup are forgotten in what comes back, and half are not:
//!
//! ```text
//! base backup ── 25 are forgotten ──┬── 25 more are forgotten
//!                                   └ here the archive ends
//! ```

use std::path::Path;

use super::{
    receipts::{ERASURE, FORGET, proves},
    *,
};
use crate::harness::postgres::Postgres;

/// A server that archives its WAL, with an empty database; and the folder that it archives to.
fn archiving() -> (Postgres, PathBuf) {
    let server = Postgres::launch();
    let archive = server.directory().join("archive");
    let folder = archive.display();
    let command = format!("mkdir -p \"{folder}\" && cp \"%p\" \"{folder}/%f\"");
    server.psql("postgres", &format!("ALTER SYSTEM SET archive_command = '{command}'"));
    server.psql("postgres", "ALTER SYSTEM SET archive_mode = on");
    server.stop();
    server.start();
    server.create_database("app");
    (server, archive)
}

/// The same scene, on this server.
fn on(server: &Postgres, scene: Scene) -> Scene {
    let profile = profile(&server.url("app"), "[ledger.sinks.one]\nurl = \"file://sink\"\n");
    Scene { sandbox: scene.sandbox.with_profile("sinks", &profile), ..scene }
}

/// Forgets them one after the other, and gives what was answered, with receipts.
async fn forget_all(server: &Server, ids: &[String]) -> Vec<Value> {
    let mut erasures = Vec::with_capacity(ids.len());
    for id in ids {
        let answer = server.try_graphql(FORGET, json!({ "id": id })).await.unwrap();
        assert_eq!(answer.get("errors"), None, "{answer}");
        erasures.push(answer["data"]["forgetUser"].clone());
    }
    erasures
}

/// The ledger's newest entry: as the database has it, and as the sink has it.
fn heads(server: &Postgres, scene: &Scene) -> (String, String) {
    let outside = fs::read_to_string(scene.object(CHECKPOINT)).unwrap();
    (server.psql("app", "TABLE erasure_head"), outside)
}

/// Removes what was archived after this segment, of which there must be something.
fn cut_after(segment: &str, archive: &Path) {
    assert!(archive.join(segment).exists(), "{segment} was not archived");
    let mut removed = 0;
    for file in fs::read_dir(archive).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap() > segment {
            fs::remove_file(path).unwrap();
            removed += 1;
        }
    }
    assert_ne!(removed, 0, "nothing was archived after {segment}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_backup_whose_wal_is_cut_short_forgets_again() {
    let (primary, archive) = archiving();
    // The stack is not looked at.
    let scene = on(&primary, Scene::new(TestStack::sqlite()));
    let server = scene.start().await;
    let ids = create(&server, 200).await;
    let (forgotten, others) = ids.split_at(50);
    let mut restored = primary.base_backup();

    let mut erasures = forget_all(&server, &forgotten[..25]).await;
    let segment = primary.psql("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
    erasures.extend(forget_all(&server, &forgotten[25..]).await);
    scene.published_all(50).await;
    let policy = scene.policy();
    stop(server).await;
    let (ledger, before) = (scene.exported(), heads(&primary, &scene));
    // It archives all that it has before it ends.
    primary.stop();

    cut_after(&segment, &archive);
    restored.recover(&archive);
    let replayed = async || restored.psql("postgres", "SELECT pg_is_in_recovery()") == "f";
    soon("the archive is replayed", replayed).await;
    let scene = on(&restored, scene);
    // The first are forgotten in it, and the others are not.
    let found = scene.exported();
    assert_eq!(found.lines().count(), 25);
    assert!(ledger.starts_with(&found), "{found}");
    assert_eq!(restored.psql("app", "SELECT count(*) FROM data_keys"), "175");
    assert_eq!((scene.status().0, scene.state()), (Some(1), "behind".to_owned()));

    let server = scene.start().await;
    // From the first request on.
    let codes = join_all(forgotten.iter().map(async |id| code(&server, id).await)).await;
    assert!(codes.iter().all(|code| code == "FORGOTTEN"), "{codes:?}");
    for id in others {
        assert_eq!(code(&server, id).await, "", "who was not forgotten is answered about");
    }
    is_ready(&server).await;
    assert_eq!(scene.exported(), ledger);
    assert_eq!(heads(&restored, &scene), before);
    assert_eq!((scene.status().0, scene.state()), (Some(0), "good".to_owned()));
    assert_eq!(restored.psql("app", "SELECT count(*) FROM data_keys"), "150");
    let verified = scene.sandbox.admin_ok(&["ledger", "verify"]);
    assert!(verified.starts_with("50 entries, and nothing is wrong"), "{verified}");
    let log = server.log();
    assert!(log.contains("\"entries\":25,\"forgotten_again\":25,\"moved\":0"), "{log}");
    // Receipts from before are good, and so are those that are asked for now.
    for ((id, erasure), n) in forgotten.iter().zip(&erasures).zip(1..) {
        proves(erasure, &policy, id, n);
        let asked = server.try_graphql(ERASURE, json!({ "id": id })).await.unwrap();
        let asked = &asked["data"]["erasure"];
        proves(asked, &policy, id, 50);
        assert_eq!((&asked["sequence"], &asked["digest"]), (&erasure["sequence"], &erasure["digest"]));
    }
    // And all goes on.
    assert_eq!(forget(&server, &others[0]).await.sequence, 51);
    scene.published_all(51).await;
}
