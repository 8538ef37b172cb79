use std::time::Duration;

use oubliette_ledger::PolicyError;
use sea_orm::DbErr;

use super::SinkState;
use crate::{
    ledger::{ForwardError, NotSigned, OpenSignerError},
    users::UserError,
};

/// Sinks cannot be opened: the configuration is wrong, or a key is not there.
#[derive(Debug, thiserror::Error)]
pub enum OpenSinksError {
    /// Nobody signs.
    #[error(transparent)]
    Signer(#[from] OpenSignerError),
    /// Keys are trusted that are none.
    #[error("ledger.former_keys cannot be used")]
    Policy(#[from] PolicyError),
    /// One of them.
    #[error("ledger.sinks.{name} cannot be used")]
    Sink {
        /// Its name.
        name: String,
        #[source]
        source: object_store::Error,
    },
}

/// Something could not be done with a sink.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It does not answer, or refuses.
    #[error("the sink cannot be reached, or refuses")]
    Store(#[from] object_store::Error),
    /// It took too long.
    #[error("the sink has not answered within {0:?}")]
    Slow(Duration),
    /// What it holds is not what was published.
    #[error("the sink is damaged: {path} {problem}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong, as the end of a sentence.
        problem: String,
    },
    /// Another server has published.
    #[error("another server has published meanwhile")]
    Overtaken,
    /// A sink that does not answer may have a newer log.
    #[error(
        "nothing is signed before each sink was seen, or could not be reached for ledger.unreachable_for: one of them may have a newer log"
    )]
    Waiting,
    /// The database's own ledger is damaged.
    #[error("nothing is published: {0}; see `oubliette-admin ledger verify`")]
    Ledger(String),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] DbErr),
    /// Somebody could not be forgotten again.
    #[error("somebody could not be forgotten again")]
    Forget(#[from] UserError),
    /// Entries could not come in.
    #[error("entries could not be brought in")]
    Forward(#[from] ForwardError),
    /// The root could not be signed.
    #[error("the ledger's head could not be signed")]
    Sign(#[from] NotSigned),
}

impl SinkError {
    /// Whether the database failed, and not the sink.
    pub(super) fn is_of_the_database(&self) -> bool {
        matches!(self, Self::Database(_) | Self::Forget(_) | Self::Forward(_))
    }

    /// What the sink is, as far as this tells.
    pub(super) fn state(&self) -> SinkState {
        match self {
            Self::Damaged { .. } => SinkState::Damaged,
            _ => SinkState::Unreachable,
        }
    }

    /// An object, and what is wrong with it.
    pub(super) fn damaged(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), problem: problem.into() }
    }
}
