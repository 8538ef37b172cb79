//! The audit trail: who did what to whom, as a hash chain that shows when it was changed.
//!
//! A change appends its event in its own transaction: neither is there without the other. Reads of personal
//! values go through a [`Trail`], which writes them in batches. Events name attributes and never hold values.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`NewEvent`], [`Origin`] | something that happened, and who did it, within which request |
//! | content | what an event says, and what its digest is taken over |
//! | store | the one place that writes events, after the head |
//! | [`Trail`], lane, writer | the batch writer, for events off the request path, and the ways to it, which actors share |
//! | [`page`] | reading events |
//! | [`verify()`], [`head()`] | walking the whole chain, and where it ends |
//! | [`AuditMetrics`] | what can be seen of it from outside |
//!
//! This room knows nothing of users or GraphQL. Of keys, it knows what is recorded of them.

mod content;
mod event;
mod journal;
mod lane;
mod metrics;
mod page;
mod store;
mod trail;
mod verify;
mod writer;

pub use event::{Action, NewEvent, Origin, Outcome};
pub(crate) use event::{MAX_ACTOR, MAX_SUBJECTS};
pub use metrics::AuditMetrics;
pub use page::{Event, EventPage, EventPageRequest, Filter, page};
pub(crate) use store::append;
pub use store::record;
pub use trail::{AuditError, Trail};
pub use verify::{head, verify};
