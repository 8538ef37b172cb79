//! What is forgotten gets to the sink: once, in order, soon, and whatever becomes of servers.

use std::time::Instant;

use super::*;
use crate::harness::{on_both_databases, sized};

on_both_databases!(
    servers_that_publish_together_leave_one_history,
    a_server_that_is_killed_leaves_the_rest_to_the_next,
    an_older_ledger_is_published_when_a_sink_is_added,
);

async fn servers_that_publish_together_leave_one_history(stack: TestStack) {
    let scene = Scene::new(stack);
    let servers = [scene.start().await, scene.start().await, scene.start().await];
    let ids = create(&servers[0], 90).await;
    let started = Instant::now();
    let mut sequences = Vec::new();
    // A busy machine has time for so many within a database's time to connect.
    for together in ids.chunks(30) {
        let forgotten = together.iter().enumerate();
        let forgotten = forgotten.map(async |(n, id)| forget(&servers[n % servers.len()], id).await.sequence);
        sequences.extend(join_all(forgotten).await);
    }
    let forgotten = started.elapsed();
    scene.published_all(90).await;
    tracing::info!(?forgotten, published = ?started.elapsed(), "from the first forgetting on");
    let mut sorted = sequences;
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=90).collect::<Vec<_>>());
    a_while().await;
    for server in &servers {
        is_ready(server).await;
        let log = server.log();
        for word in ["damaged", "was changed", "cannot be reached", "not at one"] {
            assert!(!log.contains(word), "{word}: {log}");
        }
    }
    assert_eq!(scene.state(), "good");
    // One at a time, a second at most; from the answer on.
    let ids = create(&servers[0], 10).await;
    for (n, id) in ids.iter().enumerate() {
        let place = forget(&servers[n % servers.len()], id).await;
        let answered = Instant::now();
        let size = u64::try_from(place.sequence).unwrap();
        while scene.published() < size {
            assert!(answered.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tracing::info!(published = ?answered.elapsed(), "one forgetting");
    }
}

async fn a_server_that_is_killed_leaves_the_rest_to_the_next(stack: TestStack) {
    let mut scene = Scene::new(stack);
    let slower = profile(&scene.stack.url(), "[ledger.sinks.one]\nurl = \"file://sink\"\n")
        .replace("\"20ms\"", "\"100ms\"");
    scene.sandbox = scene.sandbox.with_profile("sinks", &slower);
    let times = sized(8, 100);
    let mut server = scene.start().await;
    let ids = create(&server, times).await;
    let mut unpublished = 0;
    for (n, id) in ids[..times].iter().enumerate() {
        let place = forget(&server, id).await;
        assert_eq!(place.sequence, i64::try_from(n).unwrap() + 1);
        // At another moment each time: before, during and after the publication.
        tokio::time::sleep(Duration::from_millis(20 * (n as u64 % 8))).await;
        server.signal("KILL");
        server.exit().await;
        unpublished += u64::from(scene.published() < n as u64 + 1);
        server = scene.start().await;
    }
    assert!(unpublished > 0, "no server was killed before it had published");
    scene.published_all(times as u64).await;
    is_ready(&server).await;
    assert_eq!(scene.state(), "good");
    assert!(!server.log().contains("was behind"), "{}", server.log());
}

async fn an_older_ledger_is_published_when_a_sink_is_added(stack: TestStack) {
    let mut scene = Scene::with_sinks(stack, "");
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let place = forget(&server, &ids[0]).await;
    forget(&server, &ids[1]).await;
    assert_eq!(readyz(&server).await.1, "");
    let log = stop(server).await;
    assert!(log.contains("the erasure ledger is kept in the database only"), "{log}");
    let sinks = "[ledger.sinks.one]\nurl = \"file://sink\"\n";
    scene.sandbox = scene.sandbox.with_profile("sinks", &profile(&scene.stack.url(), sinks));
    let server = scene.start().await;
    scene.published_all(2).await;
    assert_eq!(erasure(&server, &ids[0]).await, place);
    assert_eq!(scene.receipt(&ids[0]).verify(&scene.policy()).unwrap().size, 2);
}
