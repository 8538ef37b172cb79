//! A failover below servers: a real streaming standby takes the place of the primary.

use oubliette::keys::local::KeyFile;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, Replicated, Sandbox, Server, local_backend, log_everything, soon};

/// A folder to run servers in that know the database by the switch.
fn sandbox(replicated: &Replicated) -> Sandbox {
    log_everything();
    let profile = format!(
        "[auth]\nmode = \"off\"\n[metrics]\nlisten = \"127.0.0.1:0\"\n[database]\nurl = \"{}\"\nconnect_timeout = \"2s\"\n\
         migrate_on_start = true\n[keys]\nactive = \"local\"\n{}",
        replicated.url("app"),
        local_backend("local")
    );
    let sandbox = Sandbox::new().with_profile("replicated", &profile);
    KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
    sandbox
}

async fn ready(server: &Server) -> StatusCode {
    server.client().get(server.url("/readyz")).send().await.unwrap().status()
}

async fn create(server: &Server) -> Value {
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let input = json!({ "username": Person::new().username });
    server.try_graphql(query, json!({ "input": input })).await.unwrap()
}

async fn forget(server: &Server, id: &str) -> Value {
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence digest } }";
    server.try_graphql(query, json!({ "id": id })).await.unwrap()
}

/// Reads nothing personal, through several connections at the same time; those that were cut fail once.
async fn read(server: &Server) {
    let query = "{ users(first: 1) { edges { node { id } } } }";
    soon("it reads", async || {
        let reads = (0..4).map(|_| server.try_graphql(query, json!({})));
        let answers = futures::future::join_all(reads).await;
        answers.into_iter().all(|answer| answer.unwrap().get("errors").is_none())
    })
    .await;
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// What the other tests of this kind depend on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asynchronous_standby_loses_what_it_did_not_receive() {
    let replicated = Replicated::launch("app").await;
    let Replicated { primary, standby, .. } = &replicated;
    primary.psql("app", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    replicated.catch_up();
    replicated.cut_off();
    primary.psql("app", "INSERT INTO t VALUES (2)");
    assert_eq!(standby.psql("app", "SELECT sum(n) FROM t; SELECT pg_is_in_recovery()"), "1\nt");
    replicated.take_over();
    assert_eq!(standby.psql("app", "INSERT INTO t VALUES (4); SELECT sum(n) FROM t"), "5");
    let db = sea_orm::Database::connect(replicated.url("app")).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&db, "INSERT INTO t VALUES (8)").await.unwrap();
    assert_eq!(standby.psql("app", "SELECT sum(n) FROM t"), "13");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_left_on_a_standby_works_again_when_that_is_promoted() {
    for cut in [true, false] {
        let replicated = Replicated::launch("app").await;
        let sandbox = sandbox(&replicated);
        let server = sandbox.start().await;
        let doomed = server.create(&Person::new()).await;
        let doomed_too = server.create(&Person::new()).await;
        replicated.catch_up();

        replicated.switch_over();
        if cut {
            replicated.switch.drop_connections();
        } else {
            // Connections that were made before still lead to the primary.
            assert_eq!(create(&server).await.get("errors"), None);
            replicated.catch_up();
            replicated.primary.stop();
        }
        read(&server).await;
        for answer in [create(&server).await, forget(&server, &doomed).await] {
            assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("nothing can be changed at the moment"), "{answer}");
        }
        soon("it is not ready", async || ready(&server).await == StatusCode::SERVICE_UNAVAILABLE).await;
        read(&server).await;

        replicated.promote();
        let taken = soon("it writes", async || create(&server).await.get("errors").is_none()).await;
        tracing::info!(cut, ?taken, "from the promotion to the first write");
        for id in [&doomed, &doomed_too] {
            let answer = forget(&server, id).await;
            assert_eq!(answer.get("errors"), None, "{answer}");
        }
        soon("it is ready", async || ready(&server).await == StatusCode::OK).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_a_connection_to_a_standby_is_made_on_the_primary() {
    let replicated = Replicated::launch("app").await;
    let sandbox = sandbox(&replicated);
    let server = sandbox.start().await;
    let moved_away = async || {
        replicated.catch_up();
        replicated.switch_over();
        replicated.switch.drop_connections();
        // Through each connection of the pool, so that none is left that was cut; and not by its readiness: that would help.
        for _ in 0..5 {
            read(&server).await;
        }
        replicated.switch_back();
    };
    for what in ["create", "forget", "forget again"] {
        let mut was_shown = false;
        // Something in the background may have found the way back just before: then it shows nothing, and is done again.
        for _ in 0..10 {
            let doomed = server.create(&Person::new()).await;
            if what == "forget again" {
                forget(&server, &doomed).await;
            }
            moved_away().await;
            let refused = || server.log().matches("the database only reads, as a standby does").count();
            let before = refused();
            let answer =
                if what == "create" { create(&server).await } else { forget(&server, &doomed).await };
            assert_eq!(answer.get("errors"), None, "{what}: {answer}");
            was_shown = refused() > before;
            if was_shown {
                break;
            }
        }
        assert!(was_shown, "{what}: it was never on the standby");
    }

    // Without any write: whoever asks again and again whether it is ready finds the way back, too.
    moved_away().await;
    soon("it leads to the primary", async || {
        let is_ready = ready(&server).await == StatusCode::OK;
        // So that it does not always ask on the same connection.
        read(&server).await;
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid()";
        // One hears notifications, and stays.
        is_ready && replicated.standby.psql("app", sessions).parse::<u32>().unwrap() <= 1
    })
    .await;
}

/// Those who try meanwhile do not hold it up, however often they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_found_only_a_standby_writes_as_soon_as_there_is_a_primary() {
    let replicated = Replicated::launch("app").await;
    // One of them hears notifications.
    let sandbox = sandbox(&replicated).with_env("OUBLIETTE_DATABASE__MAX_CONNECTIONS", "2");
    let server = sandbox.start().await;
    replicated.switch_over();
    replicated.switch.drop_connections();
    read(&server).await;
    for _ in 0..10 {
        let answer = create(&server).await;
        assert_eq!(code(&answer), "UNAVAILABLE", "{answer}");
    }
    replicated.switch_back();
    soon("it writes", async || create(&server).await.get("errors").is_none()).await;
}

/// Nothing was begun there, so nobody has to know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_connections_that_were_cut_is_begun_on_a_new_one() {
    let replicated = Replicated::launch("app").await;
    let sandbox = sandbox(&replicated);
    let server = sandbox.start().await;
    for round in 0..5 {
        for _ in 0..5 {
            read(&server).await;
        }
        replicated.switch.drop_connections();
        // Before anything looks whether they still live.
        for answer in futures::future::join_all((0..4).map(|_| create(&server))).await {
            assert_eq!(answer.get("errors"), None, "round {round}: {answer}");
        }
    }
}

/// An acknowledged erasure is lost: the standby did not have it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_that_lost_an_erasure_nobody_is_answered_about_until_it_is_adopted() {
    let replicated = Replicated::launch("app").await;
    let sandbox = sandbox(&replicated);
    let server = sandbox.start().await;
    let (staying, other) = (Person::new(), Person::new());
    let (staying_id, other_id) = (server.create(&staying).await, server.create(&other).await);
    let doomed = server.create(&Person::new()).await;
    let doomed_before = server.create(&Person::new()).await;
    assert_eq!(forget(&server, &doomed_before).await["data"]["forgetUser"]["sequence"], 1);
    replicated.catch_up();
    replicated.cut_off();
    assert_eq!(forget(&server, &other_id).await["data"]["forgetUser"]["sequence"], 2);
    assert_eq!(forget(&server, &doomed).await["data"]["forgetUser"]["sequence"], 3);
    assert_eq!(code(&server.read(&doomed).await), "FORGOTTEN");
    let read_all = "oubliette_peer_eviction_delay_seconds_count 3";
    soon("the server has read its entries", async || server.metrics().await.contains(read_all)).await;
    assert!(server.metrics().await.contains("oubliette_peer_ledger_rolled_back 0"));

    replicated.take_over();
    let refuses = async |server: &Server| {
        assert!(server.metrics().await.contains("oubliette_peer_ledger_rolled_back 1"));
        for id in [&doomed, &staying_id] {
            assert_eq!(code(&server.read(id).await), "UNAVAILABLE");
        }
        let ready = server.client().get(server.url("/readyz")).send().await.unwrap();
        assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
        let answer: Value = ready.json().await.unwrap();
        assert_eq!(answer["checks"]["ledger"], "failed", "{answer}");
        assert!(server.log().lines().any(|line| {
            line.contains("\"ERROR\"")
                && line.contains("entries 2 to 3 are gone")
                && line.contains("ledger adopt")
        }));
    };
    let rolled_back = async || server.metrics().await.contains("oubliette_peer_ledger_rolled_back 1");
    let taken = soon("the server notices", rolled_back).await;
    tracing::info!(?taken, "from the failover until nobody is answered about");
    refuses(&server).await;
    soon("others can know", async || sandbox.admin(&["ledger", "status"]).status == Some(1)).await;
    let later = sandbox.start().await;
    refuses(&later).await;
    drop(later);
    let restarted = sandbox.start().await;
    refuses(&restarted).await;

    let status = sandbox.admin(&["ledger", "status"]);
    assert_eq!(status.status, Some(1));
    assert!(status.stdout.contains("entries 2 to 3 are gone"), "{}", status.stdout);
    // Whom the lost entries named is forgotten again.
    assert_eq!(forget(&server, &doomed).await["data"]["forgetUser"]["sequence"], 2);
    assert_eq!(forget(&restarted, &other_id).await["data"]["forgetUser"]["sequence"], 3);
    let adopted = sandbox.admin(&["ledger", "adopt", "--yes"]);
    assert_eq!((adopted.status, adopted.stdout.as_str()), (Some(0), "1 rollback adopted\n"));
    for server in [&server, &restarted] {
        soon("it serves again", async || ready(server).await == StatusCode::OK).await;
        assert_eq!(server.read(&staying_id).await["data"]["user"]["email"], staying.email);
        for id in [&doomed, &other_id, &doomed_before] {
            assert_eq!(code(&server.read(id).await), "FORGOTTEN");
        }
        assert!(server.metrics().await.contains("oubliette_peer_ledger_rolled_back 0"));
    }
}

/// While it is behind, it would answer about who is forgotten. Nothing is lost, so nobody has to adopt anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_only_behind_is_trusted_once_it_has_caught_up() {
    let replicated = Replicated::launch("app").await;
    let sandbox = sandbox(&replicated);
    let server = sandbox.start().await;
    let doomed = server.create(&Person::new()).await;
    replicated.catch_up();
    replicated.cut_off();
    assert_eq!(forget(&server, &doomed).await["data"]["forgetUser"]["sequence"], 1);
    let read = "oubliette_peer_eviction_delay_seconds_count 1";
    soon("the server has read its entry", async || server.metrics().await.contains(read)).await;

    replicated.switch_over();
    replicated.switch.drop_connections();
    let rolled_back = async |value: u8| {
        server.metrics().await.contains(&format!("oubliette_peer_ledger_rolled_back {value}\n"))
    };
    soon("the server notices", async || rolled_back(1).await).await;
    soon("nobody is answered about", async || code(&server.read(&doomed).await) == "UNAVAILABLE").await;
    replicated.attach();
    soon("the server trusts it again", async || rolled_back(0).await).await;
    assert_eq!(code(&server.read(&doomed).await), "FORGOTTEN");
    replicated.switch_back();
    assert!(sandbox.admin_ok(&["ledger", "status"]).starts_with("sequence   1\n"));
}

/// Also to a role that may not see what standbys do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_warns_if_standbys_are_asynchronous() {
    let replicated = Replicated::launch("app").await;
    let Replicated { primary, .. } = &replicated;
    primary.psql("app", "CREATE ROLE plain LOGIN PASSWORD 'plain'; ALTER DATABASE app OWNER TO plain");
    let url = format!("postgres://plain:plain@127.0.0.1:{}/app", primary.port());
    let sandbox = sandbox(&replicated).with_env("OUBLIETTE_DATABASE__URL", &url);
    let warning = "an acknowledged erasure can be undone";
    for (set, warns) in [
        ("RESET synchronous_standby_names", true),
        ("SET synchronous_standby_names = '*'", false),
        ("SET synchronous_commit = 'local'", true),
    ] {
        primary.psql("postgres", &format!("ALTER SYSTEM {set}"));
        primary.psql("postgres", "SELECT pg_reload_conf()");
        // Each process of the server reads it when it comes to it.
        let names =
            "SELECT current_setting('synchronous_standby_names') || current_setting('synchronous_commit')";
        let expected = match set {
            "RESET synchronous_standby_names" => "on",
            "SET synchronous_standby_names = '*'" => "*on",
            _ => "*local",
        };
        soon("it is set", async || primary.psql("app", names) == expected).await;
        let log = sandbox.start().await.log();
        assert_eq!(log.contains(warning), warns, "{set}");
    }
}
