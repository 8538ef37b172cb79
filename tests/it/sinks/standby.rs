//! A standby that lagged takes over below running servers: who was forgotten is forgotten again.

use std::time::Instant;

use super::*;
use crate::harness::Replicated;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lagged_takes_over_and_forgets_again() {
    log_everything();
    let replicated = Replicated::launch("app").await;
    let profile = profile(&replicated.url("app"), "[ledger.sinks.one]\nurl = \"file://sink\"\n");
    let sandbox = Sandbox::new().with_profile("sinks", &profile);
    KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
    // The stack is not looked at.
    let scene = Scene { stack: TestStack::sqlite(), sandbox };
    let servers = [scene.start().await, scene.start().await];
    let ids = create(&servers[0], 20).await;
    forget(&servers[0], &ids[0]).await;
    scene.published_all(1).await;
    replicated.catch_up();
    replicated.cut_off();
    let mut places = Vec::new();
    for id in &ids[1..6] {
        places.push(forget(&servers[1], id).await);
    }
    scene.published_all(6).await;

    replicated.take_over();
    let promoted = Instant::now();
    // Every ten milliseconds, until both are ready for long.
    let watched = join_all(servers.iter().map(async |server| {
        let (mut answered, mut ready) = (Vec::new(), None);
        while ready.is_none_or(|ready: Instant| ready.elapsed() < Duration::from_secs(2)) {
            for id in &ids[1..6] {
                let Ok(answer) = server
                    .try_graphql("query($id: ID!) { user(id: $id) { email } }", json!({ "id": id }))
                    .await
                else {
                    continue;
                };
                if answer["data"]["user"]["email"].is_string() {
                    answered.push(promoted.elapsed());
                    assert_eq!(ready, None, "answered about somebody who was forgotten, after the look");
                }
            }
            if ready.is_none()
                && server.log().contains("was brought forward")
                    | server.log().contains("personal data is answered")
            {
                is_ready(server).await;
                ready = Some(Instant::now());
            }
            assert!(promoted.elapsed() < Duration::from_mins(1), "{}", server.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (answered.last().copied(), ready.unwrap() - promoted)
    }))
    .await;
    tracing::info!(?watched, "last answer about somebody who was forgotten, and ready again");
    for server in &servers {
        for (id, place) in ids[1..6].iter().zip(&places) {
            assert_eq!(code(server, id).await, "FORGOTTEN");
            assert_eq!(erasure(server, id).await, *place);
        }
        assert_eq!(code(server, &ids[10]).await, "");
    }
    let (status, found) = scene.status();
    assert_eq!((status, &found["waiting"]), (Some(0), &json!([])), "{found}");
    assert_eq!(forget(&servers[0], &ids[6]).await.sequence, 7);
    scene.published_all(7).await;
}
