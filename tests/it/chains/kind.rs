//! What tells the two chains apart.

use std::sync::Arc;

use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    entity::{audit_event, erasure},
    envelope::SubjectId,
    keys::{Backends, Keyring, local::LocalBackend},
    users::Users,
};
use sea_orm::{ActiveModelBehavior, ActiveModelTrait, EntityTrait, IntoActiveModel};

use crate::{
    audit::{reads, trail},
    harness::{Site, populate},
};

pub(super) type Row<K> = <<K as Kind>::Entity as EntityTrait>::Model;

pub(super) trait Kind {
    /// `oubliette-admin …`.
    const COMMAND: &'static str;
    /// One of its entries, several, and all of it.
    const NAMES: [&'static str; 3];
    /// The tables.
    const ENTRIES: &'static str;
    const HEAD: &'static str;
    type Entity: EntityTrait<
            Model: IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel> + Clone + Sync,
            ActiveModel: ActiveModelTrait<Entity = Self::Entity> + ActiveModelBehavior + Send,
        >;
    const SEQUENCE: <Self::Entity as EntityTrait>::Column;
    /// What can be changed about an entry, in SQL that both databases know.
    const CHANGES: &[&str];

    /// Adds entries, as servers do.
    async fn grow(site: &Site, backend: &Arc<LocalBackend>, count: usize);
    /// Another entry like this one, about somebody else.
    fn another(row: &Row<Self>) -> Row<Self>;
    /// Sequence, previous digest, digest.
    fn place(row: &mut Row<Self>) -> (&mut i64, &mut Vec<u8>, &mut Vec<u8>);
    /// What the digest is taken over, as the documentation says it.
    fn documented_text(row: &Row<Self>) -> String;
}

/// The audit trail.
pub(super) struct Trail;

/// The erasure ledger.
pub(super) struct Ledger;

impl Kind for Trail {
    const COMMAND: &'static str = "audit";
    const NAMES: [&'static str; 3] = ["event", "events", "trail"];
    const ENTRIES: &'static str = "audit_events";
    const HEAD: &'static str = "audit_head";
    type Entity = audit_event::Entity;
    const SEQUENCE: audit_event::Column = audit_event::Column::Sequence;
    const CHANGES: &[&str] = &[
        "actor = 'eve'",
        "action = 'update'",
        "subject_id = NULL",
        "attributes = 'email'",
        "target = 'x'",
        "request_id = NULL",
        "outcome = 'denied'",
        "count = 2",
        "version = 1",
        "version = 3",
        "subject_ids = '019abcde-0000-7000-8000-000000000001,019abcde-0000-7000-8000-000000000002'",
        "occurred_at = '2026-11-23 21:05:00.123456+00:00'",
    ];

    async fn grow(site: &Site, _: &Arc<LocalBackend>, count: usize) {
        trail(&site.db).record_durably(&reads("ada", count)).await.unwrap();
    }

    fn another(row: &audit_event::Model) -> audit_event::Model {
        audit_event::Model { subject_id: Some(SubjectId::generate().into()), ..row.clone() }
    }

    fn place(row: &mut audit_event::Model) -> (&mut i64, &mut Vec<u8>, &mut Vec<u8>) {
        (&mut row.sequence, &mut row.previous_digest, &mut row.digest)
    }

    fn documented_text(event: &audit_event::Model) -> String {
        let subjects =
            event.subject_ids.clone().or(event.subject_id.map(|id| id.to_string())).unwrap_or_default();
        let count = if event.version == 1 { String::new() } else { format!("{}\n", event.count) };
        format!(
            "oubliette audit {}\n{}\n{}\n{}\n{}\n{}\n{}\n{count}{}\n{}\n{}\n{}\n",
            event.version,
            hex::encode(&event.previous_digest),
            event.sequence,
            event.occurred_at.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
            event.actor,
            event.action,
            subjects,
            event.attributes,
            event.target.clone().unwrap_or_default(),
            event.request_id.clone().unwrap_or_default(),
            event.outcome,
        )
    }
}

impl Kind for Ledger {
    const COMMAND: &'static str = "ledger";
    const NAMES: [&'static str; 3] = ["entry", "entries", "ledger"];
    const ENTRIES: &'static str = "erasures";
    const HEAD: &'static str = "erasure_head";
    type Entity = erasure::Entity;
    const SEQUENCE: erasure::Column = erasure::Column::Sequence;
    const CHANGES: &[&str] = &[
        "actor = 'eve'",
        "actor = ''",
        "destroyed_keys = ''",
        "destroyed_keys = '1 local:a 00ff'",
        "destroyed_keys = destroyed_keys || '; ' || destroyed_keys",
        "erased_at = '2026-11-23 21:05:00.123456+00:00'",
        "form = 'oubliette erasure 1'",
        "form = 'oubliette erasure 3'",
        "form = 'oubliette revocation 1'",
        "subject_id = NULL, target_id = subject_id",
        "target_id = subject_id",
        "subject_id = NULL",
    ];

    async fn grow(site: &Site, backend: &Arc<LocalBackend>, count: usize) {
        let backends =
            Backends::new(backend.clone(), Vec::new(), &KeysConfig::default(), KeyMetrics::default());
        let keyring = Keyring::new(site.db.clone(), backends, &KeysConfig::default(), KeyMetrics::default());
        let users = Users::new(site.db.clone(), keyring);
        for (id, _) in populate(&site.db, &**backend, count).await {
            users.forget(id.into(), &Origin::new("ada")).await.unwrap();
        }
    }

    fn another(row: &erasure::Model) -> erasure::Model {
        erasure::Model { subject_id: Some(SubjectId::generate().into()), ..row.clone() }
    }

    fn place(row: &mut erasure::Model) -> (&mut i64, &mut Vec<u8>, &mut Vec<u8>) {
        (&mut row.sequence, &mut row.previous_digest, &mut row.digest)
    }

    fn documented_text(entry: &erasure::Model) -> String {
        format!(
            "oubliette erasure 2\n{}\n{}\n{}\n{}\n{}\n{}\n",
            hex::encode(&entry.previous_digest),
            entry.sequence,
            entry.subject_id.unwrap(),
            entry.erased_at.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
            entry.actor,
            entry.destroyed_keys,
        )
    }
}
