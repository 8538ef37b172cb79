//! Integration tests: a real server over real HTTP on a real database, once on SQLite and once on
//! PostgreSQL where the database matters.
//!
//! Everything these tests log, at TRACE, goes to files that `tests/logs.rs` then searches for the personal
//! values they used; so personal values come from `harness::person`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod harness;

mod access;
mod admin;
mod alerts;
mod api;
mod attack;
mod attributes;
mod audit;
mod backends;
mod chains;
mod commitments;
mod connections;
mod docs;
mod envelope;
mod failover;
mod faults;
mod fixtures;
mod forgetting;
mod http;
mod import;
mod isolation;
mod keys;
mod ledger;
mod living;
mod peers;
mod poolers;
mod process;
mod raw_files;
mod rotation;
mod search;
mod sinks;
mod tables;
mod tampering;
mod together;
mod transport;
mod written;
