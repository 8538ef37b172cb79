//! What one can do with users: create, find, list, update, forget, and bring in many.
//!
//! The only room that joins entities, the envelope and keys. What leaves it is a [`User`], whose personal
//! attributes are opened when they are asked for, and not before.
//!
//! Whatever changes something runs in a task of its own, so that a client that goes away cannot stop it
//! between the database's commit and the cache.

mod attribute;
mod by_tag;
mod changes;
mod columns;
mod create;
mod error;
mod find;
mod forget;
mod import;
mod index;
mod input;
mod list;
mod open;
mod opened;
mod personal;
mod reads;
mod searched;
mod stored;
mod trust;
mod update;
mod values;

use std::{future::Future, sync::Arc};

use sea_orm::DatabaseConnection;
use tracing::Instrument;

pub use attribute::UserAttribute;
pub use changes::AttributeChanges;
pub use columns::Columns;
pub use error::UserError;
pub use import::{Difference, Import, ImportOptions, Imported, ImportedUser};
pub use index::IndexBuild;
pub use input::{NewUser, UserChanges, Username};
pub use list::{MAX_PAGE_SIZE, UserPage, UserPageRequest};
pub use open::{NotAtOnce, User};
pub use personal::PersonalField;
pub use reads::Reads;
pub use searched::SearchedValue;
pub use stored::Misfit;
pub use trust::LedgerWatcher;

use self::{by_tag::TaggedRows, find::Rows, trust::Trust};
use crate::{
    attributes::Declarations,
    database::Before,
    entity,
    envelope::SubjectId,
    keys::{Journal, Keyring, rotate::Rotate, subjects::Registry, verify::Verify},
    search::Search,
};

/// The users of one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Users {
    db: DatabaseConnection,
    rows: Rows,
    tagged: TaggedRows,
    keyring: Keyring,
    registry: Registry,
    declarations: Declarations,
    search: Search,
    announcing: bool,
    trust: Trust,
}

impl Users {
    /// The users of `db`, whose data keys `keyring` opens.
    #[must_use]
    pub fn new(db: DatabaseConnection, keyring: Keyring) -> Self {
        let registry = entity::registry();
        let rows = find::rows_of(db.clone(), keyring.clone());
        let (declarations, trust) = (Declarations::default(), Trust::default());
        let search = searched::search(&db, &keyring, &declarations);
        let tagged = by_tag::tagged_rows(db.clone(), search.clone());
        Self { db, rows, tagged, keyring, registry, declarations, search, announcing: false, trust }
    }

    /// The same users, of whom these tables hold personal data.
    #[must_use]
    pub fn with_registry(self, registry: Registry) -> Self {
        Self { registry, ..self }
    }

    /// The same users, of whom these attributes are known beside their columns.
    #[must_use]
    pub fn with_declarations(self, declarations: Declarations) -> Self {
        let search = searched::search(&self.db, &self.keyring, &declarations);
        let tagged = by_tag::tagged_rows(self.db.clone(), search.clone());
        Self { tagged, declarations, search, ..self }
    }

    /// What gives users fresh data keys: these, or all of them, as far as their data key was made before a moment.
    #[must_use]
    pub fn rotate(
        &self,
        subjects: Option<Vec<SubjectId>>,
        before: Before,
        journal: impl Journal + 'static,
    ) -> Rotate {
        Rotate::new(self.keyring.clone(), self.registry.clone(), subjects, before, Arc::new(journal))
    }

    /// What opens all data of all users.
    #[must_use]
    pub fn verify(&self) -> Verify {
        Verify::new(self.keyring.clone(), self.registry.clone())
    }

    /// The same, telling other servers of each forgetting at once, if that is wanted.
    #[must_use]
    pub fn announcing(self, announcing: bool) -> Self {
        Self { announcing, ..self }
    }
}

/// Runs a change to its end, whatever becomes of the caller.
async fn run_to_completion<T: Send + 'static>(
    change: impl Future<Output = Result<T, UserError>> + Send + 'static,
) -> Result<T, UserError> {
    tokio::spawn(change.in_current_span()).await.unwrap_or(Err(UserError::Interrupted))
}
