//! What holds for every kind of backend, shown with a kind that nothing else in the crate knows.

mod configuration;
mod contract;
mod guard;
mod plan;

use std::sync::Arc;

use serde_json::{Value, json};

use super::fake::FakeBackend;
use crate::{
    KeyContext, SharedObserver,
    config::KeysConfig,
    envelope::{DataKeyId, KeyVersion, SubjectId},
};

fn nobody() -> SharedObserver {
    Arc::new(())
}

fn config(backends: &Value) -> KeysConfig {
    serde_json::from_value(json!({ "active": "one", "backends": backends })).unwrap()
}

/// A backend over the vault `v`, with so many wrapping keys in use.
fn fake(name: &str, shards: u32) -> FakeBackend {
    FakeBackend::new(name, "v", shards.try_into().unwrap())
}

fn context() -> KeyContext {
    DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST }.into()
}
