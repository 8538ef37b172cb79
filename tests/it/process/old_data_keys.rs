//! A database of an earlier release, with data keys in it.

use migration::{Migrator, MigratorTrait};
use oubliette::{
    database,
    entity::{data_key, wrapping_key},
};
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder};

use crate::harness::{TestStack, on_both_databases};

on_both_databases!(old_data_keys_get_an_identity_and_their_wrapping_keys_are_active);

/// Migrations before the one that adds identities and `wrapping_keys`.
const BEFORE: u32 = 6;

async fn old_data_keys_get_an_identity_and_their_wrapping_keys_are_active(stack: TestStack) {
    let db = database::connect(&stack.config()).await.unwrap();
    Migrator::up(&db, Some(BEFORE)).await.unwrap();
    let bytes = if stack.is_postgres() { "'\\x00'" } else { "x'00'" };
    let id = |number: usize| {
        let id = uuid::Uuid::from_u128(number as u128);
        if stack.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
    };
    for number in 0..30 {
        let kek = ["local:a", "local:b", "arn:c"][number % 3];
        let row = format!(
            "INSERT INTO data_keys (subject_id, version, kek_id, wrapped, created_at) VALUES \
             ({}, 1, '{kek}', {bytes}, '2026-11-{:02} 00:00:00+00:00')",
            id(number),
            number % 28 + 1
        );
        db.execute_unprepared(&row).await.unwrap();
    }
    Migrator::up(&db, None).await.unwrap();

    let keys = data_key::Entity::find().order_by_asc(data_key::Column::SubjectId).all(&db).await.unwrap();
    let mut identities: Vec<_> = keys.iter().map(|key| key.id).collect();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), 30);
    assert!(keys.iter().all(|key| key.commitment.is_none() && key.wrapped == [0]));
    let wrapping_keys =
        wrapping_key::Entity::find().order_by_asc(wrapping_key::Column::KekId).all(&db).await.unwrap();
    let told: Vec<_> = wrapping_keys.iter().map(|kek| (kek.kek_id.as_str(), kek.state.as_str())).collect();
    assert_eq!(told, [("arn:c", "active"), ("local:a", "active"), ("local:b", "active")]);
    assert_eq!(wrapping_keys[1].first_used_at.to_rfc3339(), "2026-11-01T00:00:00+00:00");

    // A server of the release before, on a database that several servers share, goes on until it is updated.
    if stack.is_postgres() {
        let row = format!(
            "INSERT INTO data_keys (subject_id, version, kek_id, wrapped, created_at) VALUES ({}, 1, 'local:a', {bytes}, now())",
            id(30)
        );
        db.execute_unprepared(&row).await.unwrap();
    }

    // And back.
    let since = u32::try_from(Migrator::migrations().len()).unwrap() - BEFORE;
    Migrator::down(&db, Some(since)).await.unwrap();
    let gone = db.execute_unprepared("SELECT id FROM data_keys").await;
    assert!(gone.is_err());
    Migrator::up(&db, None).await.unwrap();
}
