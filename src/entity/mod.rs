//! SeaORM entities: what the tables hold, and nothing else.
//!
//! Personal attributes are [`Encrypted`](crate::envelope::Encrypted) columns. Rows say nothing of how
//! keys are found or values are opened; the schema itself is in the `migration` crate. The tables of data keys are those of
//! `oubliette-keys`.

pub mod access_token;
pub mod audit_event;
pub mod audit_event_subject;
pub mod audit_group_subject;
pub mod audit_head;
pub mod blind_index;
pub mod erasure;
pub mod erasure_head;
pub mod ledger_publication;
pub mod ledger_rollback;
pub mod ledger_sink;
pub mod moved_erasure;
pub mod personal_value;
mod sealed_name;
pub mod search_head;
pub mod search_index;
pub mod user;

pub use oubliette_keys::entity::{
    data_key, index_key, key_claim, key_claim_turn, key_operation, wrapping_key,
};

pub use sealed_name::SealedName;

use crate::keys::subjects::Registry;

/// All tables of this service that hold sealed values: rotation, verification, forgetting and `users show` walk them.
#[must_use]
pub fn registry() -> Registry {
    Registry::new().with::<user::Model>().with::<personal_value::Model>()
}
