//! x
pub mod config;
pub mod keys;
pub mod entity;
pub mod envelope;
