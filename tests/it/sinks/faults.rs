//! Sinks that fail, or were tampered with: nothing is lost, and nobody is answered about who must not be.

use std::path::Path;

use axum::response::IntoResponse;

use super::{histories::copy, *};
use crate::harness::{Proxy, on_both_databases, sized, small_disk};

on_both_databases!(a_sink_that_was_tampered_with_covers_nothing_up);

/// Over 256 entries, so that there are tiles that are full.
const ENTRIES: usize = 260;

async fn a_sink_that_was_tampered_with_covers_nothing_up(stack: TestStack) {
    let scene = Scene::new(stack);
    let server = scene.start().await;
    let ids = create(&server, ENTRIES + 10).await;
    for id in &ids[..2] {
        forget(&server, id).await;
    }
    scene.published_all(2).await;
    stop(server).await;
    let backup = scene.backup();
    let server = scene.start().await;
    for together in ids[2..ENTRIES].chunks(10) {
        join_all(together.iter().map(async |id| forget(&server, id).await)).await;
    }
    scene.published_all(ENTRIES as u64).await;
    stop(server).await;
    let before = scene.exported();

    copy(&scene, "sink", "sound");
    let wide = ENTRIES - 256;
    let objects = [
        "checkpoint".to_owned(),
        "tile/0/000".to_owned(),
        format!("tile/0/001.p/{wide}"),
        "tile/1/000.p/1".to_owned(),
        "tile/entries/000".to_owned(),
        format!("tile/entries/001.p/{wide}"),
    ];
    for (n, object) in objects.iter().enumerate() {
        let path = scene.object(object);
        let sound = fs::read(&path).unwrap_or_else(|error| panic!("{object}: {error}"));
        let place = sound.len() / 2;
        let mut flipped = sound.clone();
        flipped[place] ^= 1;
        let last = sound.len() - 1;
        let mut signature = sound.clone();
        signature[last - 8] = if signature[last - 8] == b'A' { b'B' } else { b'A' };
        let cut = [sound[..place].to_vec(), Vec::new()];
        // With --long, each of them.
        let changes = [flipped, signature].into_iter().chain(cut).skip(sized(n % 4, 0)).step_by(sized(4, 1));
        for changed in changes {
            scene.restore(&backup);
            fs::write(&path, changed).unwrap();
            let server = scene.start().await;
            answers_nobody(&server, object).await;
            let state = scene.state();
            assert!(state == "damaged" || state == "behind", "{object} {state}");
            assert!(server.log().contains("the sink is damaged"), "{object}: {}", server.log());
            // A forgetting by somebody who does not ask the sink.
            let said = scene.sandbox.admin_ok(&["users", "forget", &ids[ENTRIES], "--yes", "--json"]);
            assert!(said.contains("\"sequence\": 3"), "{said}");
            fs::write(&path, &sound).unwrap();
            is_ready(&server).await;
            for id in [&ids[0], &ids[2], &ids[ENTRIES - 1], &ids[ENTRIES]] {
                assert_eq!(code(&server, id).await, "FORGOTTEN", "{object}");
            }
            assert_eq!(code(&server, &ids[ENTRIES + 1]).await, "");
            let exported = scene.exported();
            assert!(exported.starts_with(&before), "{object}");
            assert_eq!(exported.lines().count(), ENTRIES + 1);
            stop(server).await;
            // The sink as it was before the own entry came to it.
            fs::remove_dir_all(scene.sink()).unwrap();
            copy(&scene, "sound", "sink");
        }
    }
    // A batch whose tiles are there is read by nobody; one whose tiles are not, by all.
    for changed in ["", "no batch"] {
        scene.restore(&backup);
        fs::remove_file(scene.object("checkpoint")).unwrap();
        let newest = newest_batch(&scene);
        let sound = fs::read(&newest).unwrap();
        fs::write(&newest, changed).unwrap();
        let server = scene.start().await;
        answers_nobody(&server, "a batch").await;
        fs::write(&newest, sound).unwrap();
        is_ready(&server).await;
        assert_eq!(code(&server, &ids[ENTRIES - 1]).await, "FORGOTTEN");
        stop(server).await;
        assert_eq!(scene.exported(), before);
    }
}

fn newest_batch(scene: &Scene) -> PathBuf {
    let number = |path: &Path| path.file_name().unwrap().to_string_lossy().parse::<u64>().unwrap();
    let batches = fs::read_dir(scene.object("batch")).unwrap().map(|entry| entry.unwrap().path());
    batches.max_by_key(|path| number(path)).unwrap()
}

async fn answers_nobody(server: &Server, what: &str) {
    soon(&format!("a look fails: {what}"), async || {
        readyz(server).await == (StatusCode::SERVICE_UNAVAILABLE, "failed".to_owned())
    })
    .await;
    let query = "{ users(first: 100) { edges { node { email } } } }";
    let page = server.try_graphql(query, json!({})).await.unwrap();
    assert!(page["errors"][0]["extensions"]["code"] == "UNAVAILABLE", "{what}: {page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_is_full_is_published_to_when_there_is_room() {
    let mut scene = Scene::new(TestStack::postgres());
    fs::create_dir(scene.sink()).unwrap();
    let (sandbox, disk) = small_disk(scene.sandbox, "sink", "1M");
    scene.sandbox = sandbox;
    let server = scene.start().await;
    let ids = create(&server, 20).await;
    forget(&server, &ids[0]).await;
    soon("it is published", async || scene.status().1["sinks"][0]["sequence"] == json!(1)).await;
    disk.run("! dd if=/dev/zero of=sink/filler bs=4k");
    for id in &ids[1..6] {
        forget(&server, id).await;
    }
    soon("it is said", async || readyz(&server).await == (StatusCode::OK, "degraded".to_owned())).await;
    assert_eq!(code(&server, &ids[1]).await, "FORGOTTEN");
    assert_eq!(code(&server, &ids[10]).await, "");
    assert!(server.metrics().await.contains("oubliette_sink_good{sink=\"one\"} 0"));
    disk.run("rm sink/filler");
    is_ready(&server).await;
    soon("it is published", async || scene.status().1["sinks"][0]["sequence"] == json!(6)).await;
    assert!(server.log().contains("the sink is good again"));
}

/// A store that answers nothing, is not there, or has only errors: over the network, for a while and then for too long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_cannot_be_reached_stops_a_server_only_after_a_time() {
    let s3 = s3::Bucket::create("unreachable").await;
    let proxy = Proxy::start(s3::Bucket::address()).await;
    let endpoint = format!("http://127.0.0.1:{}", proxy.port());
    let sinks = s3.sink("one", "ledger", &endpoint);
    let mut scene = Scene::with_sinks(TestStack::postgres(), &sinks);
    let patient = profile(&scene.stack.url(), &sinks)
        .replace("poll_interval = \"20ms\"", "poll_interval = \"20ms\"\nunreachable_for = \"6s\"");
    scene.sandbox = s3::Bucket::environment(scene.sandbox.with_profile("sinks", &patient));
    let server = scene.start().await;
    let ids = create(&server, 20).await;
    for (cut, id) in [true, false].into_iter().zip(&ids) {
        is_ready(&server).await;
        if cut {
            proxy.cut();
        } else {
            proxy.stall();
        }
        let place = forget(&server, id).await;
        assert_eq!(code(&server, &ids[10]).await, "", "answered about meanwhile");
        if cut {
            soon("it is said", async || readyz(&server).await == (StatusCode::OK, "degraded".to_owned()))
                .await;
            assert_eq!(code(&server, &ids[10]).await, "", "answered about meanwhile");
        }
        soon("it is too long", async || {
            readyz(&server).await == (StatusCode::SERVICE_UNAVAILABLE, "failed".to_owned())
        })
        .await;
        soon("nobody is answered about", async || code(&server, &ids[10]).await == "UNAVAILABLE").await;
        // Forgetting goes on all the same, and the receipt stands.
        assert_eq!(forget(&server, id).await, place);
        if cut {
            // A start within the time goes by what is stored; later it waits.
            let late = scene.start().await;
            assert_eq!(code(&late, &ids[10]).await, "UNAVAILABLE");
        }
        proxy.restore();
        is_ready(&server).await;
        assert_eq!(code(&server, &ids[10]).await, "");
        assert_eq!(code(&server, id).await, "FORGOTTEN");
    }
    soon("it is published", async || scene.status().1["sinks"][0]["sequence"] == json!(2)).await;
}

/// What a torn write leaves, or somebody else: objects where the next ones belong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_in_the_way_are_replaced_only_if_batches_say_what_they_should_be() {
    let scene = Scene::new(TestStack::sqlite());
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    for torn in ["tile/0/000.p/2", "tile/entries/000.p/2"] {
        fs::write(scene.object(torn), "torn").unwrap();
    }
    forget(&server, &ids[1]).await;
    scene.published_all(2).await;
    assert!(server.log().contains("an object of the sink was changed; it is written again"));
    assert_eq!(scene.receipt(&ids[1]).verify(&scene.policy()).unwrap().size, 2);
    // Which batch comes next, nobody else decides.
    fs::write(scene.object("batch/002"), "torn").unwrap();
    let own = forget(&server, &ids[2]).await;
    soon("it is said", async || readyz(&server).await == (StatusCode::OK, "degraded".to_owned())).await;
    assert_eq!(code(&server, &ids[2]).await, "FORGOTTEN");
    a_while().await;
    assert_eq!(
        (scene.published(), fs::read_to_string(scene.object("batch/002")).unwrap().as_str()),
        (2, "torn")
    );
    assert!(server.log().contains("the sink is damaged: batch/002 cannot be read"), "{}", server.log());
    fs::remove_file(scene.object("batch/002")).unwrap();
    scene.published_all(3).await;
    is_ready(&server).await;
    assert_eq!(erasure(&server, &ids[2]).await, own);
}

/// A store that has only errors, or answers what nobody asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_a_store_lose_nothing() {
    let s3 = s3::Bucket::create("errors").await;
    let (status, errors) = tokio::sync::watch::channel(StatusCode::OK);
    let endpoint = behind_errors(s3::Bucket::address(), errors).await;
    let mut scene = Scene::with_sinks(TestStack::postgres(), &s3.sink("one", "ledger", &endpoint));
    scene.sandbox = s3::Bucket::environment(scene.sandbox);
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    for (n, failing) in (1..).zip([500, 503, 403, 404, 307].map(|code| StatusCode::from_u16(code).unwrap())) {
        is_ready(&server).await;
        status.send_replace(failing);
        let place = forget(&server, &ids[n]).await;
        soon(failing.as_str(), async || readyz(&server).await.1 != "ok").await;
        assert_eq!(code(&server, &ids[0]).await, "", "{failing}");
        status.send_replace(StatusCode::OK);
        is_ready(&server).await;
        soon("it is published", async || scene.status().1["sinks"][0]["digest"] == json!(place.digest)).await;
    }
}

/// A way to a store that answers with this status, unless it is a good one.
async fn behind_errors(target: String, status: tokio::sync::watch::Receiver<StatusCode>) -> String {
    let client = reqwest::Client::new();
    let answer = move |request: axum::extract::Request| {
        let (client, target, status) = (client.clone(), target.clone(), *status.borrow());
        async move {
            if !status.is_success() {
                return (status, "no").into_response();
            }
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let url = format!("http://{target}{}", parts.uri);
            let passed =
                client.request(parts.method, url).headers(parts.headers).body(body).send().await.unwrap();
            let (status, headers) = (passed.status(), passed.headers().clone());
            (status, headers, passed.bytes().await.unwrap()).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    endpoint
}
