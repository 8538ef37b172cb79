//! Within KMS: from one key to another, and under the same one.

use oubliette::{
    KeyMetrics,
    keys::{aws_kms::AwsKmsBackend, local::KeyFile},
};
use serde_json::Value;

use crate::harness::{Site, TestStack, kms_backend, kms_proxy, local_backend, localstack, populate, sized};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_move_inside_kms() {
    let users = sized(400, 2000);
    let proxy = kms_proxy().await;
    let [old, new] = [localstack().create_key().await, localstack().create_key().await];
    let site = Site::new(TestStack::postgres(), "kms", &kms_backend("kms", &old, &proxy)).await;
    let backend =
        AwsKmsBackend::new("kms", &localstack().backend_config(&old), KeyMetrics::default()).await.unwrap();
    populate(&site.db, &backend, users).await;
    let rows = site.user_rows().await;

    let site = site.configure("kms", &kms_backend("kms", &new, &proxy));
    proxy.forget_counts();
    let moved = site.done(&["keys", "rewrap", "--yes", "--json", "--max-rate", "0"]);
    assert_eq!((&moved["done"], &moved["left"]), (&users.into(), &0.into()), "{moved}");
    // No data key came out of KMS.
    assert_eq!(proxy.calls("ReEncrypt"), users);
    for operation in ["Decrypt", "Encrypt", "GenerateDataKey"] {
        assert_eq!(proxy.calls(operation), 0, "{operation}");
    }
    assert_eq!(proxy.plaintexts(), 0, "an answer had a data key in it");

    assert_eq!(site.user_rows().await, rows, "users' rows are untouched, `updated_at` among them");
    let keys = site.data_keys().await;
    assert!(keys.iter().all(|key| key.kek_id == new && key.rewrapped_at.is_some()));
    let early = site.sandbox.admin(&["keys", "retire-check", &old]);
    assert_eq!(early.status, Some(1));
    assert!(early.stdout.contains("NO: a data key may come under it at any moment."), "{}", early.stdout);
    let retired = site.sandbox.admin_ok(&["keys", "retire", &old, "--yes"]);
    assert!(retired.starts_with(&format!("{old} is retired: ")), "{retired}");
    site.sandbox.admin_ok(&["keys", "retire-check", &old]);
    let error = site.sandbox.admin_error(&["keys", "retire", &new, "--yes"]);
    assert!(
        error.contains("is the wrapping key of new data keys: first make another one current"),
        "{error}"
    );
    assert_eq!(site.sandbox.admin(&["keys", "retire-check", &new]).status, Some(1));
    localstack().disable(&old).await;
    site.verify(users);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_wrapped_anew_when_the_material_behind_the_arn_changed() {
    const USERS: usize = 60;
    let proxy = kms_proxy().await;
    let arn = localstack().create_key().await;
    let site = Site::new(TestStack::postgres(), "kms", &kms_backend("kms", &arn, &proxy)).await;
    let backend =
        AwsKmsBackend::new("kms", &localstack().backend_config(&arn), KeyMetrics::default()).await.unwrap();
    populate(&site.db, &backend, USERS).await;
    let before = site.data_keys().await;
    localstack().rotate(&arn).await;

    let nothing = site.done(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!(nothing["done"], 0, "the ARN is the same");
    let some = site.done(&["keys", "rewrap", "--all", "--yes", "--json", "--limit", "20"]);
    assert_eq!((&some["done"], &some["left"], &some["outcome"]), (&20.into(), &40.into(), &"limited".into()));
    let go_on = some["go_on"].as_str().unwrap();
    let rest: Vec<_> = go_on.split(' ').skip(1).chain(["--yes", "--json"]).collect();
    let rest = site.done(&rest);
    assert_eq!((&rest["done"], &rest["left"]), (&40.into(), &0.into()), "{go_on}");
    let after = site.data_keys().await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.subject_id, &before.kek_id), (after.subject_id, &after.kek_id));
        assert_ne!(before.wrapped, after.wrapped);
    }
    site.verify(USERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_kms_costs_and_whether_data_keys_leave_it() {
    const USERS: usize = 60;
    let proxy = kms_proxy().await;
    let [old, new] = [localstack().create_key().await, localstack().create_key().await];
    let backends = format!("{}{}", kms_backend("kms", &new, &proxy), local_backend("files"));
    let site = Site::new(TestStack::postgres(), "kms", &backends).await;
    KeyFile::create(&site.sandbox.path("data/files.toml")).unwrap();
    let backend =
        AwsKmsBackend::new("kms", &localstack().backend_config(&old), KeyMetrics::default()).await.unwrap();
    populate(&site.db, &backend, USERS).await;

    let said = |arguments: &[&str]| site.sandbox.admin(&[arguments, &["--dry-run"]].concat()).stderr;
    let within = said(&["keys", "rewrap"]);
    for line in [
        "ReEncrypt: the data keys stay inside KMS",
        "60 calls to key backends, at most 1,000 a second: at least 1s\nless than $0.01 for 60 calls to AWS KMS\n",
    ] {
        assert!(within.contains(line), "{within}");
    }
    let out = said(&["keys", "rewrap", "--to", "files", "--price-per-call", "0.5"]);
    assert!(out.contains("in this process: unwrapped here, then wrapped by the other backend"), "{out}");
    assert!(
        out.contains("120 calls to key backends") && out.contains("$30.00 for 60 calls to AWS KMS"),
        "{out}"
    );

    let plan = |arguments: &[&str]| -> Value {
        let flags = ["--dry-run", "--json", "--price-per-call", "0.5"];
        let printed = site.sandbox.admin(&[arguments, &flags].concat()).stdout;
        serde_json::from_str(printed.lines().next().unwrap()).unwrap()
    };
    for (arguments, calls, price) in [
        (&["keys", "rewrap"][..], 60, 30.0),
        (&["keys", "rewrap", "--to", "files"], 120, 30.0),
        (&["keys", "rotate", "--all"], 120, 60.0),
    ] {
        let plan = plan(arguments);
        assert_eq!((&plan["calls"], &plan["price"]), (&calls.into(), &price.into()), "{plan}");
        assert_eq!(plan["max_rate"], 1000, "{plan}");
    }
}
