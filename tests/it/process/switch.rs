//! A database moves from local keys to KMS, by configuration alone.

use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, localstack};

const LOCAL: &str = "[keys.backends.local]\nkind = \"local\"\nfile = \"data/keys.toml\"\n";

fn profile(active: &str, backends: &str) -> String {
    format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"sqlite://data/oubliette.db?mode=rwc\"\nmigrate_on_start = true\n\
         [keys]\nactive = \"{active}\"\n{backends}"
    )
}

#[tokio::test]
async fn old_users_stay_readable_and_new_ones_are_wrapped_by_kms() {
    let arn = localstack().create_key().await;
    let kms = format!(
        "[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"{arn}\"\nregion = \"us-east-1\"\n\
         endpoint_url = \"{}\"\ncredentials = \"test\"\n",
        localstack().endpoint()
    );
    let sandbox = Sandbox::new();
    let (old, new) = (Person::new(), Person::new());
    let old_id = {
        let server = sandbox.start().await;
        server.create(&old).await
    };

    let sandbox = sandbox.with_profile("moving", &profile("kms", &format!("{LOCAL}{kms}")));
    let server = sandbox.start().await;
    let new_id = server.create(&new).await;
    assert_eq!(server.read(&old_id).await["data"]["user"]["email"], old.email);
    assert_eq!(server.read(&new_id).await["data"]["user"]["email"], new.email);
    let status: Value = serde_json::from_str(&sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
    let keks = status["wrapping_keys"].as_array().unwrap();
    assert_eq!(keks.len(), 2, "{status}");
    assert!(
        keks.contains(
            &json!({ "kek_id": arn, "backend": "kms", "data_keys": 1, "index_keys": 0, "state": "active" })
        ),
        "{status}"
    );
    let local = keks.iter().find(|kek| kek["backend"] == "local").unwrap();
    let local_id = local["kek_id"].as_str().unwrap().to_owned();
    assert!(local_id.starts_with("local:"));
    let table = sandbox.admin_ok(&["keys", "status"]);
    assert!(table.contains(&format!("{arn}  kms      active          1  ")), "{table}");
    drop(server);

    // Without the old backend: the error names the wrapping key, and the lines that would add it.
    let sandbox = sandbox.with_profile("too-early", &profile("kms", &kms));
    let server = sandbox.start().await;
    assert_eq!(server.read(&new_id).await["data"]["user"]["email"], new.email);
    let answer = server.read(&old_id).await;
    let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": false });
    assert_eq!(answer["errors"][0]["extensions"], expected, "{answer}");
    let name = local_id.strip_prefix("local:").unwrap();
    let advice = format!(
        "no configured key backend owns the wrapping key `{local_id}`: add [keys.backends.NAME] with \
         kind = \\\"local\\\" and file = the key file that has the key `{name}`"
    );
    assert!(server.log().contains(&advice), "{}", server.log());
    drop(server);

    // And back: what KMS wrapped is not lost either.
    let sandbox = sandbox.with_profile("back", &profile("local", LOCAL));
    let server = sandbox.start().await;
    server.read(&new_id).await;
    let advice =
        format!("with kind = \\\"aws-kms\\\", region = \\\"us-east-1\\\" and key_id = \\\"{arn}\\\"");
    assert!(server.log().contains(&advice), "{}", server.log());
}

#[tokio::test]
async fn a_server_starts_without_its_key_backend_and_forgets() {
    let kms = "[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\nregion = \"us-east-1\"\n\
               endpoint_url = \"http://127.0.0.1:1\"\ncredentials = \"test\"\n";
    let sandbox = Sandbox::new();
    let id = {
        let server = sandbox.start().await;
        server.create(&Person::new()).await
    };
    let sandbox = sandbox.with_profile("down", &profile("kms", &format!("{LOCAL}{kms}")));
    let server = sandbox.start().await;
    assert!(server.log().contains("the key backend cannot be used: key backend `kms`: unavailable"));
    let ready = server.client().get(server.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
    assert_eq!(answer["data"]["forgetUser"]["sequence"], 1);
}

#[tokio::test]
async fn a_backend_that_is_misconfigured_is_refused_with_what_to_do() {
    let backend =
        |rest: &str| format!("[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\n{rest}");
    for (rest, expected) in [
        ("[keys.backends.kms.context]\nsubject = \"x\"", "keys.backends.kms.context.subject"),
        ("endpoint_url = \"http://kms.example\"", "data keys would cross the network in the clear"),
        ("regoin = \"x\"", "regoin"),
        (
            "credentials = \"static\"",
            "`keys.backends.kms.credentials` in config/odd.toml: unknown variant: found `static`, expected `default` or `test`",
        ),
    ] {
        let log = Sandbox::new().with_profile("odd", &profile("kms", &backend(rest))).refusal().await;
        assert!(log.contains(expected), "{log}");
    }
    let no_region = Sandbox::new()
        .with_profile("odd", &profile("kms", &backend("")))
        .with_env("AWS_EC2_METADATA_DISABLED", "true")
        .with_env("AWS_CONFIG_FILE", "/nonexistent")
        .with_env("AWS_REGION", "");
    let log = no_region.refusal().await;
    assert!(
        log.contains("key backend `kms`: no AWS region: set keys.backends.kms.region, or AWS_REGION"),
        "{log}"
    );
}
