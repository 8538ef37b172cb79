//! Sinks: where the erasure ledger is kept outside the database, so that a database that went back forgets again.
//!
//! Each server compares the database with each sink, at its start and all the time. What the database has and a sink has not is published,
//! signed; what a sink has and the database has not is forgotten again and brought in, before anybody is answered about.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Sinks`] | all of them, for as long as a server runs |
//! | `Watch` | one of them: what is done again and again; and then: `publish`, `forward` (bringing the database forward) |
//! | `compare` | where the database stands, seen from a sink |
//! | `Mirror` | the log in a sink: its newest signed root, its entries; what it takes to append |
//! | `Store` | its objects |
//! | [`SinkHealth`], [`SinkState`] | what was found, and whether it is good enough to answer about people |
//! | [`Receipts`] | receipts for strangers, by what was published |
//! | [`inspect()`] | the same once, for a command; changes nothing |

mod all;
mod compare;
mod context;
mod error;
mod forward;
mod health;
mod inspect;
mod metrics;
mod mirror;
mod open;
mod pauses;
mod publish;
mod receipts;
mod said;
mod store;
mod watch;

pub use all::Sinks;
pub use error::{OpenSinksError, SinkError};
pub use health::{Readiness, SinkHealth, SinkState};
pub use inspect::{Fork, InspectError, InspectedSink, Inspection, inspect};
pub use metrics::SinkMetrics;
pub use mirror::{Consistency, CopyError};
pub use receipts::Receipts;
