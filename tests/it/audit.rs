//! The audit trail: complete, a chain, and of no personal value.

mod changes;
mod commands;
mod pages;
mod servers;
mod several;
mod trail;

use std::time::Duration;

use oubliette::attributes::AttributeName;
use oubliette::{
    audit::{self, Action, AuditMetrics, NewEvent, Origin, Trail},
    chain::Problem,
    config::AuditReads,
    database,
    entity::audit_event::{self, Model},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, QueryOrder};

use crate::harness::TestStack;

/// An empty, migrated database.
async fn migrated(stack: &TestStack) -> DatabaseConnection {
    let db = database::connect(&stack.config()).await.unwrap();
    database::migrate(&db).await.unwrap();
    db
}

pub(crate) fn trail(db: &DatabaseConnection) -> Trail {
    Trail::start(db.clone(), AuditReads::Required, Duration::from_secs(10), AuditMetrics::default())
}

/// So many reads by one actor.
pub(crate) fn reads(actor: &str, count: usize) -> Vec<NewEvent> {
    let origin = Origin::new(actor).in_request("r-1");
    let read = |_| {
        NewEvent::new(&origin, Action::ReadPii)
            .about(oubliette::envelope::SubjectId::generate())
            .attributes(&[AttributeName::plain("email"), AttributeName::plain("phone")])
    };
    (0..count).map(read).collect()
}

/// The whole trail, as it is stored.
async fn events(db: &impl ConnectionTrait) -> Vec<Model> {
    audit_event::Entity::find().order_by_asc(audit_event::Column::Sequence).all(db).await.unwrap()
}

/// The first thing that is wrong.
async fn fault(db: &impl ConnectionTrait) -> Option<(i64, Problem)> {
    audit::verify(db, None).await.unwrap().fault.map(|fault| (fault.sequence, fault.problem))
}
