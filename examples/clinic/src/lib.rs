//! An example: a program with personal data in two tables, on `oubliette-envelope` and `oubliette-keys` alone.

mod clinic;
mod error;
mod migrations;
pub mod patient;
mod schema;
pub mod visit;

pub use clinic::Clinic;
pub use error::ClinicError;
pub use schema::router;
