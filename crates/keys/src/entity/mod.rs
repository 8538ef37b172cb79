//! SeaORM entities of the tables that this crate owns.

pub mod data_key;
pub mod index_key;
pub mod key_claim;
pub mod key_claim_turn;
pub mod key_operation;
pub mod wrapping_key;
