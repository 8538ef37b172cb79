//! Oubliette keeps personal data that can truly be forgotten.
//!
//! Every person's data is encrypted under a data key of their own, every data key is wrapped by a key
//! backend, and destroying one small row makes everything written about that person unreadable.
//!
//! ```text
//! POST /graphql ─▶ http ─▶ graphql ─▶ users ─┬─▶ entity ─▶ SQLite | PostgreSQL
//!                                            ├─▶ envelope   (pure: seal, open; no I/O, no async)
//!                                            └─▶ keys ─▶ keyring ─▶ cache ─▶ backend ─▶ KMS | key file
//! oubliette-admin ─▶ admin ─▶ users, keys, … ─┘
//! ```
//!
//! `users` and `oubliette-admin` also write and read two hash chains: `ledger`, who was forgotten, and `audit`, who did what. What
//! they have in common is in `chain`.
//!
//! Arrows go one way. `envelope` knows nothing of databases' contents, HTTP or key backends; `keys` knows
//! nothing of users or GraphQL; only `users` joins them.

#![allow(
    missing_docs,
    reason = "a service: nobody else uses this library, and an error's field that says \"The file.\" helps nobody"
)]

pub mod access;
pub mod admin;
pub mod app;
pub mod attributes;
pub mod audit;
pub mod chain;
mod characters;
pub mod config;
pub mod database;
pub mod entity;
pub mod errors;
pub mod exit;
mod from_zero;
pub mod graphql;
pub mod http;
mod key_metrics;
pub mod ledger;
pub mod memory;
mod names;
pub mod peers;
pub mod search;
pub mod sinks;
pub mod telemetry;
pub mod users;

pub use key_metrics::KeyMetrics;
pub use oubliette_envelope as envelope;
pub use oubliette_keys as keys;
pub use oubliette_platform::{causes, secret_file};
use oubliette_platform::{loopback, redaction};
