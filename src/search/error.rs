use sea_orm::DbErr;

use crate::{
    database::MayBeDatabases,
    keys::{KeyringError, NotStored},
};

/// Why people could not be found by a value, or a value could not be made one that they are found by. Contains no personal value.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Somebody else has a value that one person alone may have.
    #[error("another user has this {attribute}")]
    Taken {
        /// The attribute.
        attribute: String,
    },
    /// The database has no index of the attribute that this process can use: none was built, or by other rules.
    #[error("the index of {attribute} is not ready")]
    NotReady {
        /// The attribute.
        attribute: String,
    },
    /// The indexes have changed since they were read. Begin again.
    #[error("the indexes have changed meanwhile")]
    Changed,
    /// The index key could not be had, or the MAC of a value.
    #[error("the tag could not be made")]
    Keys(#[from] KeyringError),
    /// The run is to end, of which it was a part.
    #[error("the run was interrupted")]
    Interrupted,
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbErr),
}

impl MayBeDatabases for SearchError {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<NotStored> for SearchError {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::Inactive(inactive) => Self::Keys(inactive.into()),
            NotStored::Database(error) => Self::Database(error),
            other => Self::Database(DbErr::Custom(other.to_string())),
        }
    }
}
