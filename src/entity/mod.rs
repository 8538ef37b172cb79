//! SeaORM entities: what the tables hold, and nothing else.
//!
//! Personal attributes are [`Encrypted`](crate::envelope::Encrypted) columns. Rows say nothing of how
//! keys are found or values are opened; the schema itself is in the `migration` crate.

pub mod access_token;
pub mod audit_event;
pub mod audit_event_subject;
pub mod audit_head;
pub mod data_key;
pub mod erasure;
pub mod erasure_head;
pub mod key_claim;
pub mod key_claim_turn;
pub mod key_operation;
pub mod ledger_rollback;
pub mod user;
pub mod wrapping_key;
