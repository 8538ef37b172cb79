//! Heads that are signed by a key in KMS.

use aws_sdk_kms::types::KeySpec;

use super::*;
use crate::harness::Ministack;

const SINK: &str = "[ledger.sinks.one]\nurl = \"file://sink\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_kms_signs_what_is_published() {
    let kms = Ministack::launch();
    let key = kms.create_signing_key(KeySpec::EccNistEdwards25519).await;
    let mut scene = Scene::with_sinks(TestStack::postgres(), SINK);
    let in_kms = |more: &str| {
        format!(
            "[ledger.signer]\nkind = \"aws-kms\"\nkey_id = \"{key}\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\ncredentials = \"test\"\n{more}{SINK}",
            kms.endpoint()
        )
    };
    let configure = |scene: Scene, signer: &str| {
        let Scene { stack, sandbox } = scene;
        let text = profile(&stack.url(), "");
        let (before, _) = text.split_once("[ledger.signer]").unwrap();
        let sandbox = sandbox.with_profile("sinks", &format!("{before}{signer}"));
        Scene { stack, sandbox }
    };
    // What the key is, KMS says.
    scene = configure(scene, &in_kms(""));
    let policy = scene.sandbox.admin_ok(&["ledger", "policy"]);
    let public = policy.lines().next().unwrap().strip_prefix("log ").unwrap().to_owned();
    assert!(public.starts_with("example.com/test+"), "{policy}");
    let refusal = scene.sandbox.refusal().await;
    assert!(refusal.contains("ledger.signer.public_key is missing"), "{refusal}");

    scene = configure(scene, &in_kms(&format!("public_key = \"{public}\"\n")));
    let server = scene.start().await;
    let ids = create(&server, 10).await;
    let place = forget(&server, &ids[0]).await;
    scene.published_all(1).await;
    is_ready(&server).await;
    assert_eq!(scene.sandbox.admin_ok(&["ledger", "policy"]), policy);
    let policy: Policy = policy.parse().unwrap();
    assert_eq!(scene.receipt(&ids[0]).verify(&policy).unwrap().log, public);

    // KMS is gone: what was published is still checked, and what is new waits.
    let endpoint = kms.endpoint();
    drop(kms);
    assert!(std::net::TcpStream::connect(endpoint.trim_start_matches("http://")).is_err());
    forget(&server, &ids[1]).await;
    soon("it is said", async || readyz(&server).await == (StatusCode::OK, "degraded".to_owned())).await;
    assert!(server.log().contains("the newest entries are not published: "), "{}", server.log());
    stop(server).await;
    // Another key takes over; the one before is still trusted.
    let local = "[ledger.signer]\nkind = \"local\"\nfile = \"data/ledger-key\"\ncreate_if_missing = true\n";
    scene = configure(scene, &format!("former_keys = [\"{public}\"]\n{local}{SINK}"));
    let server = scene.start().await;
    scene.published_all(2).await;
    is_ready(&server).await;
    assert_eq!(erasure(&server, &ids[0]).await, place);
    let both: Policy = scene.policy();
    assert_ne!(scene.receipt(&ids[0]).verify(&both).unwrap().log, public);
    assert!(scene.receipt(&ids[0]).verify(&policy).is_err(), "the old policy does not know the new key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_kind_is_refused() {
    let kms = Ministack::launch();
    let key = kms.create_signing_key(KeySpec::EccNistP256).await;
    let scene = Scene::with_sinks(TestStack::sqlite(), "");
    let text = profile(&scene.stack.url(), "")
        .replace("kind = \"local\"\nfile = \"data/ledger-key\"\ncreate_if_missing = true\n", "");
    let signer = format!(
        "kind = \"aws-kms\"\nkey_id = \"{key}\"\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\ncredentials = \"test\"\n",
        kms.endpoint()
    );
    let sandbox = scene.sandbox.with_profile("sinks", &format!("{text}{signer}"));
    let error = sandbox.admin_error(&["ledger", "policy"]);
    assert!(error.contains("the key is no Ed25519 key"), "{error}");
    for (settings, says) in [
        ("kind = \"aws-kms\"\n", "ledger.signer.key_id in the defaults: is missing"),
        ("kind = \"local\"\n", "ledger.signer.file in the defaults: is missing"),
        (
            "kind = \"local\"\nfile = \"k\"\nkey_id = \"k\"\n",
            "ledger.signer.key_id in config/sinks.toml: is not for this kind of signer",
        ),
        (
            "kind = \"aws-kms\"\nkey_id = \"k\"\npublic_key = \"k\"\n",
            "ledger.signer.public_key in config/sinks.toml: is no public key",
        ),
    ] {
        sandbox.write("config/sinks.toml", &format!("{text}{settings}"));
        let error = sandbox.admin_error(&["ledger", "policy"]);
        assert!(error.replace('`', "").contains(says), "{says}: {error}");
    }
}
