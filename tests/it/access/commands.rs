//! `oubliette-admin tokens`, and what the configuration refuses.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server};

async fn status(server: &Server, token: &str) -> StatusCode {
    let request = server.client().post(server.url("/graphql")).json(&json!({ "query": "{ __typename }" }));
    request.bearer_auth(token).send().await.unwrap().status()
}

#[tokio::test]
async fn a_token_is_made_shown_once_listed_and_revoked() {
    let sandbox = Sandbox::new();
    let open = sandbox.start().await;
    let id = open.create(&Person::new()).await;
    drop(open);
    let sandbox = sandbox.with_env("OUBLIETTE_AUTH__MODE", "tokens");
    let server = sandbox.start().await;
    let made = sandbox.admin(&["tokens", "create", "--name", "billing", "--scopes", "users:read,pii:read"]);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let token = made.stdout.trim();
    assert!(token.starts_with("oub_") && made.stdout.lines().count() == 1, "{}", made.stdout);
    assert!(made.stderr.contains("token `billing` for users:read pii:read, until 20"), "{}", made.stderr);
    assert_eq!(status(&server, token).await, StatusCode::OK);

    let nobody = uuid::Uuid::now_v7().to_string();
    let refused = sandbox.admin(&["tokens", "create", "--name", "ada", "--self", &nobody]);
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains(&format!("there is no user {nobody}")), "{}", refused.stderr);
    let own =
        sandbox.admin_ok(&["tokens", "create", "--name", "ada", "--self", &id, "--expires", "1d", "--json"]);
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!(own["scopes"], "users:read users:write users:forget pii:read");
    assert_eq!(own["self"], id);

    let listed = sandbox.admin_ok(&["tokens", "list"]);
    assert!(listed.contains("billing") && listed.contains(&id), "{listed}");
    let listed = sandbox.admin_ok(&["tokens", "list", "--all", "--json"]);
    for secret in [token, own["token"].as_str().unwrap()] {
        assert!(!listed.contains(secret) && !server.log().contains(secret));
        let files = std::fs::read_dir(sandbox.path("data")).unwrap().map(|file| file.unwrap().path());
        assert!(files.filter(|path| path.is_file()).all(|path| {
            let bytes = std::fs::read(path).unwrap();
            memchr::memmem::find(&bytes, secret.as_bytes()).is_none()
        }));
    }

    let revoked = sandbox.admin_ok(&["tokens", "revoke", "billing"]);
    assert!(revoked.starts_with("token `billing` is revoked since 20"), "{revoked}");
    assert_eq!(sandbox.admin_ok(&["tokens", "revoke", "billing"]), revoked, "the first time stands");
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(status(&server, token).await, StatusCode::UNAUTHORIZED);
    assert!(!sandbox.admin_ok(&["tokens", "list"]).contains("billing"));
    assert!(sandbox.admin_ok(&["tokens", "list", "--all"]).contains("revoked"));

    let events = sandbox.admin_ok(&["audit", "export", "--json"]);
    let actions: Vec<_> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["action"].as_str().unwrap().to_owned())
        .filter(|action| action.starts_with("token_"))
        .collect();
    assert_eq!(actions, ["token_create", "token_create", "token_revoke"]);
}

/// What people could not tell apart in a record is refused before anything is done.
#[tokio::test]
async fn an_actor_is_one_printed_line() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_AUTH__MODE", "tokens");
    sandbox.admin_ok(&["migrate"]);
    let create = ["tokens", "create", "--name", "t", "--scopes", "users:read", "--actor"];
    let long = "a".repeat(250);
    for actor in ["", " ", " ada", "ada\u{a0}l", "ada\u{200b}", "\u{202e}ada", "ada\nl", &long] {
        let refused = sandbox.admin(&[&create[..], &[actor]].concat());
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""), "{actor:?}");
        assert!(refused.stderr.contains("a name "), "{}", refused.stderr);
    }
    let made = sandbox.admin(&[&create[..], &["Ada Lovelace (on call)"]].concat());
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    let events = sandbox.admin_ok(&["audit", "export", "--json"]);
    assert!(events.contains("admin:Ada Lovelace (on call)"), "{events}");
}

/// As docs/operations.md says it.
#[tokio::test]
async fn after_a_restore_no_token_is_good_that_was_revoked() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_AUTH__MODE", "tokens");
    sandbox.admin_ok(&["migrate"]);
    let make = |name: &str| {
        let made = sandbox.admin(&["tokens", "create", "--name", name, "--scopes", "users:read"]);
        made.stdout.trim().to_owned()
    };
    let (leaked, billing) = (make("leaked"), make("billing"));
    let file = sandbox.path("data/oubliette.db");
    let backup = std::fs::read(&file).unwrap();
    sandbox.admin_ok(&["tokens", "revoke", "leaked"]);
    let answers = async |token: &str| {
        let server = sandbox.start().await;
        status(&server, token).await
    };
    assert_eq!(answers(&leaked).await, StatusCode::UNAUTHORIZED);

    for log in ["data/oubliette.db-wal", "data/oubliette.db-shm"] {
        let _ = std::fs::remove_file(sandbox.path(log));
    }
    std::fs::write(&file, backup).unwrap();
    // With the sink, nothing would be to be done: see `sinks::tokens`.
    std::fs::remove_dir_all(sandbox.path("data/ledger")).unwrap();
    let server = sandbox.start().await;
    assert_eq!(
        status(&server, &leaked).await,
        StatusCode::OK,
        "it is good again: this is what is to be repaired"
    );
    let now = chrono::Utc::now().to_rfc3339();
    let all = ["tokens", "revoke", "--all-made-before", &now];
    let asked = sandbox.admin(&all);
    assert!(asked.status == Some(1) && asked.stderr.contains("Pass --yes"), "{}", asked.stderr);
    let revoked = sandbox.admin(&[&all[..], &["--yes", "--json"]].concat());
    let revoked: Value = serde_json::from_str(&revoked.stdout).unwrap();
    let names: Vec<_> =
        revoked.as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["leaked", "billing"]);
    let fresh = make("fresh");
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert_eq!(status(&server, &leaked).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &billing).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&server, &fresh).await, StatusCode::OK);
    let again = sandbox.admin(&[&all[..], &["--yes"]].concat());
    assert_eq!((again.status, again.stdout.as_str()), (Some(0), "0 tokens revoked\n"));
    let events = sandbox.admin_ok(&["audit", "export", "--json"]);
    assert_eq!(events.matches("\"token_revoke\"").count(), 2);
}

#[tokio::test]
async fn a_token_or_a_moment_is_revoked_and_never_the_future() {
    let sandbox = Sandbox::new();
    sandbox.admin_ok(&["migrate"]);
    for wrong in
        [&["tokens", "revoke"][..], &["tokens", "revoke", "x", "--all-made-before", "2026-01-01T00:00:00Z"]]
    {
        assert_eq!(sandbox.admin(wrong).status, Some(2), "{wrong:?}");
    }
    let future =
        sandbox.admin_error(&["tokens", "revoke", "--all-made-before", "2999-01-01T00:00:00Z", "--yes"]);
    assert!(future.contains("is in the future"), "{future}");
}

#[tokio::test]
async fn slips_are_told() {
    let sandbox = Sandbox::new();
    sandbox.admin_ok(&["migrate"]);
    let create = ["tokens", "create", "--name", "x"];
    let error = |more: &[&str]| {
        let finished = sandbox.admin(&[&create, more].concat());
        assert_ne!(finished.status, Some(0), "{more:?}");
        assert_eq!(finished.stdout, "");
        finished.stderr
    };
    assert!(error(&["--scopes", "users:raed"]).contains("`users:raed` is no scope; there are users:read"));
    assert!(error(&[]).contains("--scopes"));
    assert!(error(&["--scopes", ""]).contains("a token without a scope allows nothing"));
    assert!(error(&["--scopes", "pii:read", "--expires", "soon"]).contains("neither a time such as `90d`"));
    let past = error(&["--scopes", "pii:read", "--expires", "2020-01-01T00:00:00Z"]);
    assert!(past.contains("--expires is in the past: 2020-01-01"), "{past}");
    assert!(
        sandbox
            .admin_error(&["tokens", "create", "--name", "a b", "--scopes", "pii:read"])
            .contains("1 to 64")
    );
    let made =
        sandbox.admin(&["tokens", "create", "--name", "x", "--scopes", "pii:read", "--expires", "never"]);
    assert!(made.stderr.contains("warning: auth.mode is not \"tokens\""), "{}", made.stderr);
    assert!(made.stderr.contains("without an end"), "{}", made.stderr);
    assert!(error(&["--scopes", "pii:read"]).contains("there is or was a token named `x`"));
    assert!(sandbox.admin_error(&["tokens", "revoke", "y"]).contains("there is no token `y`"));
}

#[tokio::test]
async fn without_access_control_a_server_listens_to_this_machine_only() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let sandbox = Sandbox::new();
        let finished = sandbox.admin(&["config", "--set", &format!("http.listen={listen}")]);
        assert_eq!(finished.status, Some(1));
        assert!(
            finished.stderr.contains("config/local.toml: \"off\" lets anybody do everything"),
            "{}",
            finished.stderr
        );
        let tokens = ["config", "--set", &format!("http.listen={listen}"), "--set", "auth.mode=tokens"];
        assert_eq!(sandbox.admin(&tokens).status, Some(0));
    }
}

#[test]
fn an_issuer_must_be_told_in_full_and_safely() {
    let sandbox = Sandbox::new();
    let config = |more: &[&str]| {
        let all = [&["auth.mode=jwt", "auth.jwt.issuer=x", "auth.jwt.audience=y"], more].concat();
        let flags: Vec<_> = all.iter().flat_map(|set| ["--set", set]).collect();
        let finished = sandbox.admin(&[&["config"], &flags[..]].concat());
        (finished.status, finished.stderr)
    };
    assert_eq!(config(&["auth.jwt.jwks_url=https://issuer.example/jwks"]), (Some(0), String::new()));
    assert_eq!(config(&["auth.jwt.jwks_url=http://127.0.0.1:9/jwks"]).0, Some(0));
    for (more, problem) in [
        (
            &[][..],
            "`auth.jwt` in --set auth.jwt.audience, --set auth.jwt.issuer: needs one of jwks_url and jwks_file",
        ),
        (
            &["auth.jwt.jwks_url=https://x/", "auth.jwt.jwks_file=y"],
            "`auth.jwt.jwks_url` in --set auth.jwt.jwks_url: auth.jwt needs one of jwks_url and jwks_file, not both (`auth.jwt.jwks_file` in --set auth.jwt.jwks_file)",
        ),
        (
            &["auth.jwt.jwks_url=http://issuer.example/jwks"],
            "`auth.jwt.jwks_url` in --set auth.jwt.jwks_url: http://issuer.example/jwks is not HTTPS",
        ),
        (
            &["auth.jwt.jwks_file=x", "auth.jwt.audience="],
            "`auth.jwt.audience` in --set auth.jwt.audience: must not be empty",
        ),
        (
            &["auth.jwt.jwks_file=x", "auth.jwt.algorithms=[]"],
            "`auth.jwt.algorithms` in --set auth.jwt.algorithms: must not be empty",
        ),
        (&["auth.jwt.jwks_file=x", "auth.jwt.algorithms=[\"HS256\"]"], "HS256"),
        (
            &["auth.jwt.jwks_file=x", "auth.jwt.refresh=2d"],
            "less than auth.jwt.max_age (`auth.jwt.max_age` in the defaults)",
        ),
    ] {
        let (status, stderr) = config(more);
        assert!(status == Some(1) && stderr.contains(problem), "{more:?}: {stderr}");
    }
    let bare = sandbox.admin(&["config", "--set", "auth.mode=jwt"]);
    assert!(bare.stderr.contains("needs [auth.jwt] with issuer, audience"), "{}", bare.stderr);
}

/// A user with a token of their own, at a real server.
#[tokio::test]
async fn a_person_reads_changes_and_forgets_themselves() {
    let sandbox = Sandbox::new();
    let open = sandbox.start().await;
    let [own, other] = [Person::new(), Person::new()];
    let [own_id, other_id] = [open.create(&own).await, open.create(&other).await];
    drop(open);
    let sandbox = sandbox.with_env("OUBLIETTE_AUTH__MODE", "tokens");
    let server = sandbox.start().await;
    let made = sandbox.admin(&["tokens", "create", "--name", "own", "--self", &own_id]);
    let token = made.stdout.trim().to_owned();
    let ask = async |query: &str, id: &str| -> Value {
        let body = json!({ "query": query, "variables": { "id": id } });
        let request = server.client().post(server.url("/graphql")).bearer_auth(&token).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let read = "query($id: ID!) { user(id: $id) { email } }";
    assert_eq!(ask(read, &own_id).await["data"]["user"]["email"], own.email);
    assert_eq!(ask(read, &other_id).await["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let change = "mutation($id: ID!) { updateUser(id: $id, input: { phone: null }) { phone email } }";
    assert_eq!(ask(change, &own_id).await["data"]["updateUser"]["email"], own.email);
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { userId } }";
    assert_eq!(ask(forget, &own_id).await["data"]["forgetUser"]["userId"], own_id);
}
