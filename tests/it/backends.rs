//! What every key backend must do, on real ones: local keys, and KMS in LocalStack. Nothing is mocked here.

use std::sync::Arc;

use futures::future::join_all;
use oubliette::{
    KeyMetrics,
    envelope::{DataKeyId, KeyVersion, SubjectId},
    keys::{
        BackendError, ErrorClass, KekId, KeyBackend, KeyContext, Ownership, WrappedKey,
        aws_kms::AwsKmsBackend,
        local::{KeyFile, LocalBackend},
    },
};
use tempfile::TempDir;

use crate::harness::{localstack, log_everything};

/// Two wrapping keys of one kind, each with a backend, and what can be done to them.
struct Pair {
    old: Arc<dyn KeyBackend>,
    /// On another wrapping key, and able to rewrap from the old one to it.
    new: Arc<dyn KeyBackend>,
    folder: TempDir,
    arns: Vec<String>,
}

macro_rules! contract {
    ($($test:ident),+ $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::local_pair()).await;
            })+
        }
        mod aws_kms {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::kms_pair().await).await;
            })+
        }
    };
}

contract!(
    a_data_key_makes_the_round_trip,
    another_context_is_refused,
    another_wrapping_key_is_refused,
    tampered_bytes_are_refused,
    a_rewrap_keeps_the_key_and_changes_the_wrapping,
    an_open_key_is_wrapped_as_it_is,
    a_rewrap_that_fails_loses_nothing,
    many_at_once_do_not_mix,
    a_check_tells_what_is_broken,
);

fn local_pair() -> Pair {
    log_everything();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [old, new] = ["old.toml", "new.toml"].map(|name| KeyFile::create(&path(name)).unwrap());
    // The new file has both keys, its own is the primary one.
    let text = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let old_key = text("old.toml").split("[keys.").nth(1).unwrap().to_owned();
    std::fs::write(path("new.toml"), format!("{}\n[keys.{old_key}", text("new.toml"))).unwrap();
    let both = KeyFile::read(&path("new.toml")).unwrap();
    assert_eq!(both.primary(), new.primary());
    Pair {
        old: Arc::new(LocalBackend::new("old", &old)),
        new: Arc::new(LocalBackend::new("new", &both)),
        folder,
        arns: Vec::new(),
    }
}

async fn kms_pair() -> Pair {
    log_everything();
    let arns = vec![localstack().create_key().await, localstack().create_key().await];
    Pair {
        old: Arc::new(kms("old", &arns[0]).await),
        new: Arc::new(kms("new", &arns[1]).await),
        folder: TempDir::new().unwrap(),
        arns,
    }
}

async fn kms(name: &str, key_id: &str) -> AwsKmsBackend {
    let config = localstack().backend_config(key_id);
    AwsKmsBackend::new(name, &config, KeyMetrics::default()).await.unwrap()
}

fn context() -> KeyContext {
    DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST }.into()
}

async fn class_of_unwrap(backend: &dyn KeyBackend, wrapped: &WrappedKey, context: &KeyContext) -> ErrorClass {
    backend.unwrap(wrapped, context).await.unwrap_err().class
}

/// To the backend's own current wrapping key.
async fn rewrap(
    backend: &dyn KeyBackend,
    wrapped: &WrappedKey,
    context: &KeyContext,
) -> Result<WrappedKey, BackendError> {
    backend.rewrap(wrapped, context, &backend.current(context).await?).await
}

async fn a_data_key_makes_the_round_trip(pair: Pair) {
    let (first, second) = (context(), context());
    let key = pair.old.generate(&first).await.unwrap();
    let other = pair.old.generate(&second).await.unwrap();
    assert_ne!(key.material.expose(), other.material.expose());
    let opened = pair.old.unwrap(&key.wrapped, &first).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
    assert_eq!(pair.old.owns(&key.wrapped.kek_id), Ownership::Certain);
    assert_eq!(pair.old.owns(&KekId::new("nonsense")), Ownership::No);
    assert!(!key.wrapped.bytes.windows(32).any(|window| window == key.material.expose()));
}

async fn another_context_is_refused(pair: Pair) {
    let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
    let key = pair.old.generate(&id.into()).await.unwrap();
    let other_version = DataKeyId { version: 2.into(), ..id };
    for context in [context(), other_version.into()] {
        assert_eq!(class_of_unwrap(&*pair.old, &key.wrapped, &context).await, ErrorClass::ContextMismatch);
        let rewrapped = rewrap(&*pair.new, &key.wrapped, &context).await;
        assert_eq!(rewrapped.unwrap_err().class, ErrorClass::ContextMismatch);
    }
}

/// The wrapped bytes of one wrapping key, said to be of the other.
async fn another_wrapping_key_is_refused(pair: Pair) {
    let context = context();
    let key = pair.old.generate(&context).await.unwrap();
    let other = pair.new.generate(&context).await.unwrap();
    let mixed = WrappedKey { kek_id: other.wrapped.kek_id, bytes: key.wrapped.bytes };
    assert_eq!(class_of_unwrap(&*pair.new, &mixed, &context).await, ErrorClass::ContextMismatch);
}

async fn tampered_bytes_are_refused(pair: Pair) {
    let context = context();
    let key = pair.old.generate(&context).await.unwrap();
    let length = key.wrapped.bytes.len();
    for position in (0..length).step_by(7).chain([length - 1]) {
        let mut tampered = key.wrapped.clone();
        tampered.bytes[position] ^= 1;
        let class = class_of_unwrap(&*pair.old, &tampered, &context).await;
        assert!(class.blames_the_wrapped_key(), "byte {position}: {class:?}");
    }
    for length in [0, 1, length - 1] {
        let cut = WrappedKey { bytes: key.wrapped.bytes[..length].to_vec(), ..key.wrapped.clone() };
        assert!(pair.old.unwrap(&cut, &context).await.is_err(), "the first {length} bytes");
    }
}

async fn a_rewrap_keeps_the_key_and_changes_the_wrapping(pair: Pair) {
    let context = context();
    let key = pair.old.generate(&context).await.unwrap();
    let moved = rewrap(&*pair.new, &key.wrapped, &context).await.unwrap();
    assert_ne!(moved.kek_id, key.wrapped.kek_id);
    assert_ne!(moved.bytes, key.wrapped.bytes);
    assert_eq!(pair.new.owns(&moved.kek_id), Ownership::Certain);
    let opened = pair.new.unwrap(&moved, &context).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
    // To the wrapping key where it is already: other bytes, the same key.
    let again = rewrap(&*pair.new, &moved, &context).await.unwrap();
    assert_eq!(again.kek_id, moved.kek_id);
    assert_ne!(again.bytes, moved.bytes);
    let opened = pair.new.unwrap(&again, &context).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
}

/// As from another kind of backend: unwrapped by the one, wrapped by the other.
async fn an_open_key_is_wrapped_as_it_is(pair: Pair) {
    let context = context();
    let key = pair.old.generate(&context).await.unwrap();
    let to = pair.new.current(&context).await.unwrap();
    let moved = pair.new.wrap(&key.material, &context, &to).await.unwrap();
    assert_eq!(moved.kek_id, to);
    assert_eq!(pair.new.unwrap(&moved, &context).await.unwrap().expose(), key.material.expose());
    let other = self::context();
    assert_eq!(class_of_unwrap(&*pair.new, &moved, &other).await, ErrorClass::ContextMismatch);
    let nowhere = pair.new.wrap(&key.material, &context, &KekId::new("local:gone")).await;
    assert_eq!(nowhere.unwrap_err().class, ErrorClass::KeyNotFound);
    if let [_, arn] = &pair.arns[..] {
        localstack().disable(arn).await;
        let disabled = pair.new.wrap(&key.material, &context, &to).await;
        assert_eq!(disabled.unwrap_err().class, ErrorClass::KeyDisabled);
        assert_eq!(pair.new.current(&context).await.unwrap_err().class, ErrorClass::KeyDisabled);
    }
}

async fn a_rewrap_that_fails_loses_nothing(pair: Pair) {
    let context = context();
    let key = pair.old.generate(&context).await.unwrap();
    let failed = if pair.arns.is_empty() {
        // From a key that the file does not have.
        let strange = WrappedKey { kek_id: KekId::new("local:gone"), ..key.wrapped.clone() };
        vec![(rewrap(&*pair.new, &strange, &context).await, ErrorClass::KeyNotFound)]
    } else {
        let missing =
            kms("missing", &pair.arns[0].replace("key/", "key/00000000-0000-4000-8000-")[..75]).await;
        let to_missing = rewrap(&missing, &key.wrapped, &context).await;
        localstack().disable(&pair.arns[1]).await;
        let to = KekId::new(&*pair.arns[1]);
        let to_disabled = pair.new.rewrap(&key.wrapped, &context, &to).await;
        localstack().enable(&pair.arns[1]).await;
        localstack().disable(&pair.arns[0]).await;
        let from_disabled = rewrap(&*pair.new, &key.wrapped, &context).await;
        localstack().enable(&pair.arns[0]).await;
        vec![
            (to_missing, ErrorClass::KeyNotFound),
            (to_disabled, ErrorClass::KeyDisabled),
            (from_disabled, ErrorClass::KeyDisabled),
        ]
    };
    for (result, class) in failed {
        assert_eq!(result.unwrap_err().class, class);
    }
    let opened = pair.old.unwrap(&key.wrapped, &context).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
}

async fn many_at_once_do_not_mix(pair: Pair) {
    let round_trips = (0..64).map(async |_| {
        let context = context();
        let key = pair.old.generate(&context).await.unwrap();
        let moved = rewrap(&*pair.new, &key.wrapped, &context).await.unwrap();
        let opened = pair.new.unwrap(&moved, &context).await.unwrap();
        assert_eq!(opened.expose(), key.material.expose());
        *opened.expose()
    });
    let mut keys = join_all(round_trips).await;
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 64);
}

async fn a_check_tells_what_is_broken(pair: Pair) {
    pair.old.check().await.unwrap();
    let class = async |backend: &dyn KeyBackend| backend.check().await.unwrap_err().class;
    if pair.arns.is_empty() {
        let file = pair.folder.path().join("old.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(class(&*pair.old).await, ErrorClass::KeyNotFound, "the file is gone");
        KeyFile::create(&file).unwrap();
        assert_eq!(class(&*pair.old).await, ErrorClass::KeyNotFound, "another file");
        std::fs::write(&file, text.replace("key = \"", "key = \"0")).unwrap();
        assert_eq!(class(&*pair.old).await, ErrorClass::KeyNotFound, "a damaged file");
        std::fs::write(&file, text).unwrap();
        pair.old.check().await.unwrap();
        return;
    }
    localstack().disable(&pair.arns[0]).await;
    assert_eq!(class(&*pair.old).await, ErrorClass::KeyDisabled);
    localstack().enable(&pair.arns[0]).await;
    pair.old.check().await.unwrap();
    localstack().schedule_deletion(&pair.arns[0]).await;
    assert_eq!(class(&*pair.old).await, ErrorClass::KeyDisabled, "it waits for its deletion");
    assert_eq!(class(&kms("x", "alias/oubliette-nothing").await).await, ErrorClass::KeyNotFound);
    let rsa = localstack().create_rsa_key().await;
    assert_eq!(class(&kms("x", &rsa).await).await, ErrorClass::KeyUnsuitable);
    let mut config = localstack().backend_config(&pair.arns[1]);
    config.endpoint_url = Some("http://127.0.0.1:1".parse().unwrap());
    let nobody_there = AwsKmsBackend::new("x", &config, KeyMetrics::default()).await.unwrap();
    assert_eq!(class(&nobody_there).await, ErrorClass::Unavailable);
}

#[tokio::test]
async fn an_alias_that_moves_on_leaves_its_old_key_readable() {
    log_everything();
    let [first, second] = [localstack().create_key().await, localstack().create_key().await];
    let alias = format!("alias/oubliette-{:08x}", rand::random::<u32>());
    localstack().create_alias(&alias, &first).await;
    let context = context();
    let key = kms("before", &alias).await.generate(&context).await.unwrap();
    assert_eq!(key.wrapped.kek_id.as_str(), first, "the ARN is stored, not the alias");
    localstack().point_alias(&alias, &second).await;
    let after = kms("after", &alias).await;
    assert_eq!(after.owns(&key.wrapped.kek_id), Ownership::Likely, "before anything is known of the alias");
    let opened = after.unwrap(&key.wrapped, &context).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
    assert_eq!(after.owns(&key.wrapped.kek_id), Ownership::Likely);
    assert_eq!(after.owns(&KekId::new(&*second)), Ownership::Certain);
    assert_eq!(after.generate(&context).await.unwrap().wrapped.kek_id.as_str(), second);
    // Another account's key is not touched, whatever the database says.
    let foreign =
        WrappedKey { kek_id: KekId::new(first.replace("000000000000", "111122223333")), ..key.wrapped };
    assert_eq!(after.owns(&foreign.kek_id), Ownership::No);
    assert_eq!(class_of_unwrap(&after, &foreign, &context).await, ErrorClass::KeyNotFound);
}

#[tokio::test]
async fn a_replica_in_another_region_opens_what_a_multi_region_key_wrapped() {
    log_everything();
    let (here, there) = localstack().create_replicated_key("eu-west-1").await;
    let context = context();
    let key = kms("here", &here).await.generate(&context).await.unwrap();
    let mut config = localstack().backend_config(&there);
    config.region = Some("eu-west-1".to_owned());
    let there = AwsKmsBackend::new("there", &config, KeyMetrics::default()).await.unwrap();
    assert_eq!(there.owns(&key.wrapped.kek_id), Ownership::Likely);
    let opened = there.unwrap(&key.wrapped, &context).await.unwrap();
    assert_eq!(opened.expose(), key.material.expose());
}

#[tokio::test]
async fn the_hook_of_docker_compose_makes_the_key_of_the_profile() {
    log_everything();
    // Twice: the container may be started again.
    for _ in 0..2 {
        localstack().run_hook("oubliette_key.py");
    }
    let backend = kms("localstack", "alias/oubliette").await;
    backend.check().await.unwrap();
    let context = context();
    let key = backend.generate(&context).await.unwrap();
    assert_eq!(backend.unwrap(&key.wrapped, &context).await.unwrap().expose(), key.material.expose());
}
