//! Many users at once, written to the database without the API.

use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use oubliette::{
    attributes::{Email, Phone},
    entity::{data_key, user},
    envelope::{DataKey, DataKeyId, KeyVersion, Personal, SubjectId},
    keys::{DataKeyIdentity, KeyBackend, KeyCommitment},
};
use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel};
use uuid::Uuid;

use super::Person;

/// Calls to the backend at the same time.
const AT_ONCE: usize = 16;
/// Rows in one statement: SQLite permits 32,766 values.
const TOGETHER: usize = 500;

/// Stores `count` users, each under a data key of their own that `backend` wraps.
pub(crate) async fn populate(
    db: &DatabaseConnection,
    backend: &dyn KeyBackend,
    count: usize,
) -> Vec<(Uuid, Person)> {
    let rows: Vec<_> = stream::iter(0..count)
        .map(|_| make(backend))
        .buffered(AT_ONCE)
        .map(Ok::<_, ()>)
        .try_collect()
        .await
        .unwrap();
    let mut people = Vec::with_capacity(count);
    let (mut users, mut keys) = (Vec::new(), Vec::new());
    for (person, user, key) in rows {
        people.push((user.id, person));
        users.push(user.into_active_model());
        keys.push(key.into_active_model());
    }
    while !users.is_empty() {
        let rest = users.split_off(users.len().min(TOGETHER));
        user::Entity::insert_many(std::mem::replace(&mut users, rest))
            .exec_without_returning(db)
            .await
            .unwrap();
        let rest = keys.split_off(keys.len().min(TOGETHER));
        data_key::Entity::insert_many(std::mem::replace(&mut keys, rest))
            .exec_without_returning(db)
            .await
            .unwrap();
    }
    people
}

async fn make(backend: &dyn KeyBackend) -> (Person, user::Model, data_key::Model) {
    let person = Person::new();
    let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
    let generated = backend.generate(&id.into()).await.unwrap();
    let key = DataKey::new(id, &generated.material);
    let identity = DataKeyIdentity::generate();
    let commitment = KeyCommitment::of(id, identity, &generated.material);
    let now = Utc::now();
    let user = user::Model {
        id: id.subject.into(),
        username: person.username.clone(),
        email: Some(key.seal(&Personal::<Email>::parse(&person.email).unwrap()).unwrap()),
        phone: Some(key.seal(&Personal::<Phone>::parse(&person.phone).unwrap()).unwrap()),
        created_at: now,
        updated_at: now,
    };
    let key = data_key::Model {
        subject_id: id.subject.into(),
        version: 1,
        kek_id: generated.wrapped.kek_id.as_str().to_owned(),
        wrapped: generated.wrapped.bytes,
        created_at: now,
        rewrapped_at: None,
        id: identity.into(),
        commitment: Some(commitment.as_bytes().to_vec()),
    };
    (person, user, key)
}
