//! Today's bytes must open in every future release.
//!
//! The files in `tests/vectors` are frozen: a format that changes gets a new number and new vectors, and
//! the old ones stay.

use oubliette::{
    attributes::{Email, Phone},
    entity::user,
    envelope::{Attribute, DataKey, DataKeyId, KeyMaterial, Personal},
    keys::{
        KekId, KeyBackend, WrappedKey,
        local::{KEK_PREFIX, KeyFile, LocalBackend},
    },
};
use sea_orm::sea_query::Value as SqlValue;
use serde_json::Value;
use tempfile::TempDir;

fn vectors(text: &str) -> Vec<Value> {
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    assert!(vectors.len() >= 4);
    vectors
}

fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{name} in {vector}"))
}

fn id(vector: &Value) -> DataKeyId {
    let subject: uuid::Uuid = text(vector, "subject").parse().unwrap();
    let version = u32::try_from(vector["version"].as_u64().unwrap()).unwrap();
    DataKeyId { subject: subject.into(), version: version.into() }
}

fn open<A: Attribute>(key: &DataKey, sealed: Vec<u8>) -> String {
    // Through the column's own decoding, as a row is read.
    let value = <oubliette::envelope::Encrypted<A> as sea_orm::sea_query::ValueType>::try_from(
        SqlValue::Bytes(Some(sealed)),
    )
    .unwrap();
    key.open(&value).unwrap().into_exposed()
}

#[test]
fn frozen_attributes_open() {
    for vector in vectors(include_str!("../vectors/attributes.json")) {
        let material = KeyMaterial::from_slice(&hex::decode(text(&vector, "data_key")).unwrap()).unwrap();
        let key = DataKey::new(id(&vector), &material);
        let sealed = hex::decode(text(&vector, "sealed")).unwrap();
        let opened = match text(&vector, "attribute") {
            Email::NAME => open::<Email>(&key, sealed),
            Phone::NAME => open::<Phone>(&key, sealed),
            other => panic!("no attribute {other}"),
        };
        assert_eq!(opened, text(&vector, "plaintext"));
    }
}

#[tokio::test]
async fn frozen_local_data_keys_unwrap() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("keys.toml");
    for vector in vectors(include_str!("../vectors/local_data_keys.json")) {
        let name = text(&vector, "wrapping_key_name");
        let key = text(&vector, "wrapping_key");
        let key_file = format!(
            "version = 1\nprimary = \"{name}\"\n[keys.{name}]\ncreated_at = \"2026-11-23T00:00:00Z\"\nkey = \"{key}\"\n"
        );
        std::fs::write(&file, key_file).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let backend = LocalBackend::new("local", &KeyFile::read(&file).unwrap());
        let wrapped = WrappedKey {
            kek_id: KekId::new(format!("{KEK_PREFIX}{name}")),
            bytes: hex::decode(text(&vector, "wrapped")).unwrap(),
        };
        let unwrapped = backend.unwrap(&wrapped, &id(&vector).into()).await.unwrap();
        assert_eq!(hex::encode(unwrapped.expose()), text(&vector, "data_key"));
    }
}

/// The names are authenticated with every value: to change one is to lose all values.
#[test]
fn attribute_and_column_names_are_frozen() {
    use sea_orm::IdenStatic;
    assert_eq!((Email::NAME, user::Column::Email.as_str()), ("users.email", "email_encrypted"));
    assert_eq!((Phone::NAME, user::Column::Phone.as_str()), ("users.phone", "phone_encrypted"));
}

/// One for the result; the associated data and the nonce live on the stack.
#[test]
fn sealing_and_opening_allocate_once() {
    let vector = &vectors(include_str!("../vectors/attributes.json"))[0];
    let material = KeyMaterial::from_slice(&hex::decode(text(vector, "data_key")).unwrap()).unwrap();
    let key = DataKey::new(id(vector), &material);
    let email = Personal::<Email>::parse(text(vector, "plaintext")).unwrap();
    let warm = key.seal(&email).unwrap();
    let count = |operation: &mut dyn FnMut()| allocation_counter::measure(operation).count_total;
    let mut sealed = None;
    assert_eq!(count(&mut || sealed = Some(key.seal(&email).unwrap())), 1);
    let mut opened = None;
    assert_eq!(count(&mut || opened = Some(key.open(&warm).unwrap())), 1);
    assert_eq!(opened, Some(email));
}
