use sea_orm::DbErr;

use crate::{
    BackendError, Inactive, KekId, advice,
    envelope::{DataKeyId, SubjectId},
};

/// Why a data key could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no such data key. If its subject was forgotten, that is as it should be.
    #[error("there is no data key {0}")]
    Missing(DataKeyId),
    /// The subject has no data key at all, so nothing can be sealed for them.
    #[error("subject {0} has no data key")]
    NoDataKey(SubjectId),
    /// No configured backend owns the wrapping key. An operator must add it to the configuration.
    #[error("no configured key backend owns the wrapping key `{kek_id}`: {}", advice(kek_id))]
    NoBackend {
        /// The wrapping key.
        kek_id: KekId,
    },
    /// An attribute's tags need MACs, and no configured backend makes them. An operator must set the key.
    #[error("no key backend that could be opened makes MACs: keys.backends.NAME.mac_key_id")]
    NoMacKey,
    /// The wrapping key of a new data key is being retired, and the active backend gave no other one. An operator must look
    /// at it.
    #[error(transparent)]
    Inactive(#[from] Inactive),
    /// The backend failed; its class says what that means.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The database failed.
    #[error("the data keys could not be read")]
    Database(#[from] DbErr),
    /// The server is shutting down, or a bug stopped the load.
    #[error("the load of a data key was interrupted")]
    Interrupted,
}
