//! What Oubliette's programs stand on. Nothing in this crate knows of data keys, subjects or GraphQL.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`database`] | connections and transactions of SQLite and PostgreSQL that keep what they acknowledge |
//! | [`secret_file`] | files that hold a secret: who can read them |
//! | [`redaction`], [`ServiceUrl`] | URLs, without what may be a secret |
//! | [`causes`] | an error and its causes in one line |
//! | [`loopback`] | which hosts are this machine |

pub mod causes;
pub mod database;
pub mod loopback;
pub mod redaction;
pub mod secret_file;
mod service_url;

pub use service_url::{ServiceUrl, ServiceUrlError};
