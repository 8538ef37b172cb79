//! What one can do with users: create, find, list, update, forget.
//!
//! The only room that joins entities, the envelope and keys. What leaves it is a [`User`], whose personal
//! attributes are opened when they are asked for, and not before.
//!
//! Whatever changes something runs in a task of its own, so that a client that goes away cannot stop it
//! between the database's commit and the cache.

mod create;
mod error;
mod find;
mod forget;
mod input;
mod list;
mod open;
mod rotate;
mod trust;
mod update;
mod verify;

use std::future::Future;

use sea_orm::DatabaseConnection;
use tracing::Instrument;

pub use error::UserError;
pub use input::{Change, NewUser, UserChanges};
pub use list::{MAX_PAGE_SIZE, Page, PageRequest};
pub use open::User;
pub use rotate::Rotate;
pub use verify::{Fault, Verified};

use self::trust::Trust;
use crate::keys::Keyring;

/// The users of one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    db: DatabaseConnection,
    keyring: Keyring,
    announcing: bool,
    trust: Trust,
}

impl Users {
    /// The users of `db`, whose data keys `keyring` opens.
    #[must_use]
    pub fn new(db: DatabaseConnection, keyring: Keyring) -> Self {
        Self { db, keyring, announcing: false, trust: Trust::default() }
    }

    /// The same, telling other servers of each forgetting at once, if that is wanted.
    #[must_use]
    pub fn announcing(self, announcing: bool) -> Self {
        Self { announcing, ..self }
    }
}

/// Runs a change to its end, whatever becomes of the caller.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, UserError>> + Send + 'static,
) -> Result<T, UserError> {
    tokio::spawn(change.in_current_span()).await.unwrap_or(Err(UserError::Interrupted))
}
