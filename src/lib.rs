//! x
pub mod config;
pub mod database;
pub mod entity;
pub mod envelope;
pub mod keys;
pub mod users;
