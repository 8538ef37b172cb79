//! x
pub mod entity;
pub mod envelope;
