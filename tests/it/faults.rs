//! KMS on a bad day: faults between the SDK and a real LocalStack, at the HTTP level.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use oubliette::{
    KeyMetrics,
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::{ErrorClass, KeyBackend, KeyContext, aws_kms::AwsKmsBackend},
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{
    Fault, KmsProxy, Person, TestApp, TestBackend, TestStack, localstack, log_everything, sized,
};

/// Long enough for a busy LocalStack.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A backend on LocalStack, through a proxy.
async fn behind_a_proxy() -> (KmsProxy, AwsKmsBackend) {
    log_everything();
    let proxy = KmsProxy::start(localstack().endpoint()).await;
    let backend = client_of(&proxy, &localstack().create_key().await, 3, ATTEMPT_TIMEOUT).await;
    (proxy, backend)
}

async fn client_of(proxy: &KmsProxy, key_id: &str, attempts: u32, timeout: Duration) -> AwsKmsBackend {
    let mut config = localstack().backend_config(key_id);
    config.endpoint_url = Some(proxy.endpoint().parse().unwrap());
    config.max_attempts = attempts.try_into().unwrap();
    config.attempt_timeout = timeout;
    AwsKmsBackend::new("kms", &config, KeyMetrics::default()).await.unwrap()
}

async fn app() -> (KmsProxy, TestApp) {
    let (proxy, backend) = behind_a_proxy().await;
    let backend = Arc::new(TestBackend::over(Arc::new(backend)));
    let app = TestApp::start_on(TestStack::postgres(), backend, |config| {
        config.keys.call_timeout = CALL_TIMEOUT;
    })
    .await;
    (proxy, app)
}

fn context() -> KeyContext {
    DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST }.into()
}

async fn make_cold(app: &TestApp, id: Uuid) {
    let key = DataKeyId { subject: id.into(), version: KeyVersion::FIRST };
    app.keyring.evict(key.subject, [key]).await;
}

#[tokio::test]
async fn each_failure_of_kms_has_its_class() {
    let (proxy, backend) = behind_a_proxy().await;
    let context = context();
    let wrapping_key = backend.generate(&context).await.unwrap().wrapped.kek_id.to_string();
    let key = backend.generate(&context).await.unwrap();
    for (fault, class) in [
        (Fault::THROTTLED, ErrorClass::Throttled),
        (Fault::Refused(400, "LimitExceededException"), ErrorClass::Throttled),
        (Fault::Refused(400, "DisabledException"), ErrorClass::KeyDisabled),
        (Fault::Refused(400, "KMSInvalidStateException"), ErrorClass::KeyDisabled),
        (Fault::Refused(400, "NotFoundException"), ErrorClass::KeyNotFound),
        (Fault::Refused(400, "InvalidArnException"), ErrorClass::KeyNotFound),
        (Fault::Refused(400, "InvalidKeyUsageException"), ErrorClass::KeyUnsuitable),
        (Fault::Refused(400, "AccessDeniedException"), ErrorClass::Denied),
        (Fault::Refused(400, "ExpiredTokenException"), ErrorClass::Denied),
        (Fault::Refused(400, "UnrecognizedClientException"), ErrorClass::Denied),
        (Fault::Refused(400, "InvalidCiphertextException"), ErrorClass::ContextMismatch),
        (Fault::Refused(400, "IncorrectKeyException"), ErrorClass::ContextMismatch),
        (Fault::Refused(500, "KMSInternalException"), ErrorClass::Unavailable),
        (Fault::Refused(500, "KeyUnavailableException"), ErrorClass::Unavailable),
        (Fault::Refused(500, "DependencyTimeoutException"), ErrorClass::Unavailable),
        (Fault::BadGateway, ErrorClass::Unavailable),
        (Fault::Slow(Duration::from_secs(3)), ErrorClass::Unavailable),
        (Fault::Reset, ErrorClass::Unavailable),
        (Fault::Truncated, ErrorClass::Unavailable),
        (Fault::Garbage, ErrorClass::BadAnswer),
        (Fault::Empty, ErrorClass::BadAnswer),
        (Fault::WrongLength(31), ErrorClass::BadAnswer),
        (Fault::WrongLength(0), ErrorClass::BadAnswer),
        (Fault::WrongKey, ErrorClass::BadAnswer),
    ] {
        // A new one each time: the SDK slows down a client that was throttled.
        let backend = client_of(&proxy, &wrapping_key, 1, ATTEMPT_TIMEOUT).await;
        proxy.fail(fault.clone());
        let unwrapped = backend.unwrap(&key.wrapped, &context).await.unwrap_err();
        // A connection that breaks off in an answer is no answer, or a bad one: both can be tried again.
        let same = unwrapped.class == class
            || (matches!(fault, Fault::Truncated) && unwrapped.class == ErrorClass::BadAnswer);
        assert!(same, "{fault:?}: {unwrapped:?}");
        assert_eq!(unwrapped.class.is_retryable(), class.is_retryable());
        if !matches!(fault, Fault::WrongKey) {
            assert!(backend.generate(&context).await.is_err(), "{fault:?}");
        }
    }
    proxy.fail(None);
    backend.unwrap(&key.wrapped, &context).await.unwrap();
}

/// LocalStack knows no dry runs: KMS's way to say yes is put into its answer.
#[tokio::test]
async fn a_dry_run_that_would_have_succeeded_is_healthy() {
    let (proxy, backend) = behind_a_proxy().await;
    for (answer, expected) in
        [("DryRunOperationException", None), ("AccessDeniedException", Some(ErrorClass::Denied))]
    {
        proxy.fail_operation("GenerateDataKey", Fault::Refused(400, answer));
        assert_eq!(backend.check().await.err().map(|error| error.class), expected, "{answer}");
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_tried_again_and_counted() {
    let proxy = KmsProxy::start(localstack().endpoint()).await;
    let wrapping_key = localstack().create_key().await;
    let metrics = KeyMetrics::default();
    let mut config = localstack().backend_config(&wrapping_key);
    config.endpoint_url = Some(proxy.endpoint().parse().unwrap());
    let backend = AwsKmsBackend::new("kms", &config, metrics.clone()).await.unwrap();
    proxy.script(|number| match number {
        1 => Some(Fault::Refused(500, "KMSInternalException")),
        2 => Some(Fault::THROTTLED),
        _ => None,
    });
    backend.generate(&context()).await.unwrap();
    assert_eq!(proxy.calls("GenerateDataKey"), 3);
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("key_backend_retries_total{backend=\"kms\"} 2\n"), "{text}");
    assert!(text.contains("key_backend_throttles_total{backend=\"kms\"} 1\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_cold_reads_stays_within_the_limit() {
    const LIMIT: usize = 24;
    let users = sized(600, 3000);
    log_everything();
    let proxy = KmsProxy::start(localstack().endpoint()).await;
    // One attempt, and all the time it takes: what is counted is what was called.
    let backend = client_of(&proxy, &localstack().create_key().await, 1, Duration::from_mins(3)).await;
    let backend = Arc::new(TestBackend::over(Arc::new(backend)));
    let app = TestApp::start_on(TestStack::postgres(), backend, |config| {
        config.keys.max_concurrent_calls = LIMIT.try_into().unwrap();
        config.keys.call_timeout = Duration::from_secs(200);
        config.http.request_timeout = Duration::from_mins(4);
        // All connect at once, and send when this process comes to it.
        config.http.header_timeout = Duration::from_mins(4);
        config.database.connect_timeout = Duration::from_secs(200);
    })
    .await;
    let people: Vec<_> = (0..users).map(|_| Person::new()).collect();
    let mut ids = Vec::new();
    for chunk in people.chunks(50) {
        ids.extend(join_all(chunk.iter().map(|person| app.create(person))).await);
    }
    for id in &ids {
        make_cold(&app, *id).await;
    }
    proxy.forget_counts();
    // The first ones are far slower than what comes before a call, so that it is the limit that holds the others up.
    proxy.script(|number| (number <= 100).then_some(Fault::Slow(Duration::from_secs(3))));
    // They come within some seconds, while the first calls are still held up, so that all of them wait at the same time.
    // At once, they would be more connections than a busy machine takes in time.
    let reads = (0..).zip(ids.iter().zip(&people)).map(async |(number, (id, person))| {
        tokio::time::sleep(Duration::from_millis(2) * number).await;
        assert_eq!(app.read(*id).await["data"]["user"]["email"], person.email);
    });
    join_all(reads).await;
    assert_eq!(proxy.calls("Decrypt"), users);
    assert!(proxy.most_in_flight() <= LIMIT, "{} at once", proxy.most_in_flight());
    assert_eq!(proxy.most_in_flight(), LIMIT, "the limit was reached");

    proxy.fail(None);
    make_cold(&app, ids[0]).await;
    proxy.forget_counts();
    join_all((0..users).map(|_| app.read(ids[0]))).await;
    assert_eq!(proxy.calls("Decrypt"), 1);
    // Each of them was a miss at first or a hit, and none made a call of its own.
    assert_eq!(proxy.most_in_flight(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_goes_on_through_faults_and_resumes_by_itself() {
    let (proxy, app) = app().await;
    let person = Person::new();
    let warm = app.create(&person).await;
    let mut cold = Vec::new();
    for _ in 0..40 {
        let person = Person::new();
        cold.push((app.create(&person).await, person));
    }
    let faults: [(&str, Fault); 7] = [
        ("throttled", Fault::THROTTLED),
        ("500s", Fault::Refused(500, "KMSInternalException")),
        ("slow", Fault::Slow(Duration::from_secs(4))),
        ("resets", Fault::Reset),
        ("malformed", Fault::Garbage),
        ("truncated", Fault::Truncated),
        ("wrong length", Fault::WrongLength(16)),
    ];
    let mut requests = 0;
    for (name, fault) in faults {
        let rows = app.rows("SELECT * FROM data_keys").await.len();
        for (id, _) in &cold {
            make_cold(&app, *id).await;
        }
        proxy.fail(fault);
        // Rounds of everything at once: readers of cached and of other users, and creators.
        let round = async || {
            let warm = (0..200).map(async |_| {
                assert_eq!(app.read(warm).await["data"]["user"]["email"], person.email, "{name}");
            });
            let cold = cold.iter().map(async |(id, _)| {
                let started = Instant::now();
                let answer = app.read(*id).await;
                // The time of one call, and some for a busy machine.
                assert!(started.elapsed() < CALL_TIMEOUT * 2, "{name}: {:?}", started.elapsed());
                assert_retryable(name, &answer);
            });
            let creates = (0..10).map(async |_| {
                let person = Person::new();
                let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
                let input = json!({ "username": person.username, "email": person.email });
                assert_retryable(name, &app.graphql(query, json!({ "input": input })).await);
            });
            tokio::join!(join_all(warm), join_all(cold), join_all(creates));
        };
        for _ in 0..2 {
            round().await;
            requests += 250;
        }
        assert_eq!(app.rows("SELECT * FROM data_keys").await.len(), rows, "{name}: an orphan");
        assert_eq!(app.rows("SELECT * FROM users").await.len(), rows, "{name}: an orphan");
        // Forgetting needs no backend.
        let (forgotten, _) = cold.pop().unwrap();
        app.forget(forgotten).await;

        proxy.fail(None);
        let ended = Instant::now();
        for (id, person) in &cold {
            loop {
                let answer = app.read(*id).await;
                if answer.get("errors").is_none() {
                    assert_eq!(answer["data"]["user"]["email"], person.email, "{name}");
                    break;
                }
                assert_retryable(name, &answer);
                assert!(ended.elapsed() < Duration::from_mins(1), "{name}: no service yet: {answer}");
            }
        }
        tracing::info!("{name}: all served again {:?} after its end", ended.elapsed());
    }
    assert!(requests > 3000, "{requests}");
}

fn assert_retryable(name: &str, answer: &Value) {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{name}: {answer}"));
    let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": true });
    assert!(errors.iter().all(|error| error["extensions"] == expected), "{name}: {answer}");
}
