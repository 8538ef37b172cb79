use std::{borrow::Cow, sync::Arc};

use sea_orm::DbErr;

use crate::{
    database::MayBeDatabases,
    envelope::{Attribute, AttributeError, SealError, SubjectId},
    keys::{
        KeyringError, NotStored,
        subjects::{SealingError, Unreadable},
    },
    ledger::AppendError,
    search::SearchError,
};

/// Why something could not be done with a user. Contains no personal value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UserError {
    /// An input value was refused.
    #[error("{field} {problem}")]
    Invalid {
        /// The input field.
        field: Cow<'static, str>,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// There is no such user, and never was.
    #[error("there is no user {0}")]
    NotFound(SubjectId),
    /// The user was forgotten. Nothing brings the data back.
    #[error("user {0} was forgotten")]
    Forgotten(SubjectId),
    /// Another user has this username.
    #[error("the username is taken")]
    UsernameTaken,
    /// Another user has this value, of which there can be only one owner.
    #[error("another user has this `{attribute}`")]
    Taken {
        /// The attribute's name.
        attribute: String,
    },
    /// Several users have the value that one was looked for by.
    #[error("several users have this `{attribute}`")]
    Ambiguous {
        /// The attribute's name.
        attribute: String,
        /// Two of them.
        subjects: Vec<SubjectId>,
    },
    /// Nobody can say who has a value, or write one: the database has no index of the attribute as it is configured here.
    #[error("the index of `{attribute}` is not ready")]
    IndexNotReady {
        /// The attribute's name.
        attribute: String,
    },
    /// The indexes have changed since tags were made. The change can be made anew.
    #[error("the indexes have changed meanwhile")]
    IndexesChanged,
    /// An attribute does not open: changed, moved, or sealed under a key that is not there.
    #[error("{attribute} of user {subject} could not be opened")]
    Unreadable {
        /// The attribute's name.
        attribute: String,
        /// Whose.
        subject: SubjectId,
        #[source]
        cause: Unreadable,
    },
    /// The data key could not be had.
    #[error("the data key could not be had")]
    Keys(#[source] Arc<KeyringError>),
    /// The index key could not be had.
    #[error("the index key could not be had")]
    IndexKey(#[source] Arc<KeyringError>),
    /// A value could not be sealed.
    #[error("a value could not be sealed")]
    Seal(#[from] SealError),
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] Arc<DbErr>),
    /// The erasure ledger is not the newest: it went back, and nobody has adopted it yet; or it is not at one with the ledger outside the database.
    #[error(
        "the erasure ledger is not the newest, as after a failover or a restored backup; an operator must look"
    )]
    LedgerWentBack,
    /// The data key changed each time a change was about to be stored.
    #[error("the user's data key kept changing")]
    Contended,
    /// The server is shutting down, or a bug stopped the change.
    #[error("the change was interrupted")]
    Interrupted,
}

impl UserError {
    /// Whether a new data key was not stored since its wrapping key is being retired.
    pub(super) fn is_inactive_wrapping_key(&self) -> bool {
        matches!(self, Self::Keys(error) if matches!(**error, KeyringError::Inactive(_)))
    }

    /// A value of an attribute was refused.
    #[must_use]
    pub fn refused<A: Attribute>(error: &AttributeError) -> Self {
        Self::Invalid { field: A::FIELD.into(), problem: error.to_string() }
    }
}

impl MayBeDatabases for UserError {
    fn database_error(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DbErr> for UserError {
    fn from(error: DbErr) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<AppendError> for UserError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Behind => Self::LedgerWentBack,
            AppendError::Database(error) => error.into(),
        }
    }
}

impl From<NotStored> for UserError {
    fn from(error: NotStored) -> Self {
        match error {
            NotStored::Inactive(inactive) => KeyringError::from(inactive).into(),
            NotStored::Database(error) => error.into(),
            other => DbErr::Custom(other.to_string()).into(),
        }
    }
}

impl From<SealingError> for UserError {
    fn from(error: SealingError) -> Self {
        match error {
            SealingError::NoDataKey(subject) => KeyringError::NoDataKey(subject).into(),
            SealingError::Keys(error) => Self::Keys(error),
            SealingError::Contended(_) => Self::Contended,
            SealingError::Database(error) => error.into(),
            // Not of a subject who exists, or not of this release.
            _ => Self::Interrupted,
        }
    }
}

impl From<SearchError> for UserError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Taken { attribute } => Self::Taken { attribute },
            SearchError::NotReady { attribute } => Self::IndexNotReady { attribute },
            SearchError::Changed => Self::IndexesChanged,
            SearchError::Keys(error) => Self::IndexKey(Arc::new(error)),
            SearchError::Interrupted => Self::Interrupted,
            SearchError::Database(error) => error.into(),
        }
    }
}

impl From<KeyringError> for UserError {
    fn from(error: KeyringError) -> Self {
        Self::Keys(Arc::new(error))
    }
}
