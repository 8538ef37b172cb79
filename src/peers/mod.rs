//! Peers: other servers on the same database, and `oubliette-admin`. What they forgot leaves this server's
//! memory, too.
//!
//! The erasure ledger is what servers share: each follows it from where it stood at the start, and evicts the
//! data keys of whom it finds there. Looking now and then is what can be relied on; a notification only makes
//! the next look come sooner. Nothing is decided by it, and a lost one costs at most `poll_interval`.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`PeerWatch`] | follows the ledger, for as long as the server runs |
//! | `listener` | hears that somebody has forgotten, on PostgreSQL |
//! | [`PeerMetrics`] | how long it took, and whether it works |

mod listener;
mod metrics;
mod watch;

pub use metrics::PeerMetrics;
pub use watch::PeerWatch;
