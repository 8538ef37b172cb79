//! The erasure ledger: a chain without gaps or forks that anybody can check.

use futures::future::join_all;
use oubliette::{chain::GENESIS, entity::erasure};
use sea_orm::{EntityTrait, QueryOrder};
use sha2::{Digest, Sha256};

use crate::harness::{Person, TestApp, TestStack, on_every_stack};

on_every_stack!(concurrent_erasures_form_one_chain);

async fn concurrent_erasures_form_one_chain(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(app.create(&Person::new()).await);
    }
    // Each twice, at the same time.
    let erasures = join_all(ids.iter().chain(&ids).map(|id| app.forget(*id))).await;
    for (first, second) in erasures[..40].iter().zip(&erasures[40..]) {
        assert_eq!(first, second);
    }
    let entries = erasure::Entity::find().order_by_asc(erasure::Column::Sequence).all(&app.db).await.unwrap();
    assert_eq!(entries.len(), 40);
    let mut previous = GENESIS.to_vec();
    for (expected, entry) in (1..).zip(&entries) {
        assert_eq!(entry.sequence, expected);
        assert_eq!(entry.previous_digest, previous);
        // As the documentation says it, not as the code does.
        let text = format!(
            "oubliette erasure 2\n{}\n{}\n{}\n{}\n{}\n{}\n",
            hex::encode(&previous),
            entry.sequence,
            entry.subject_id.unwrap(),
            entry.erased_at.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
            entry.actor,
            entry.destroyed_keys,
        );
        assert_eq!(entry.digest, Sha256::digest(text).to_vec());
        previous.clone_from(&entry.digest);
    }
    let head = app.rows("SELECT digest FROM erasure_head").await;
    assert_eq!(head[0].try_get::<Vec<u8>>("", "digest").unwrap(), previous);
}
