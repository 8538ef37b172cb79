use oubliette_envelope::{Attribute, AttributeError, Personal, SealError};
use oubliette_keys::{
    OpenBackendError, causes,
    database::DatabaseError,
    subjects::{ForgetError, MayBeUnreadable, SealingError, Unreadable},
};
use sea_orm::DbErr;

/// Why the clinic could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[expect(missing_docs, reason = "each is the error that it has within")]
pub enum ClinicError {
    #[error("{0} {1}")]
    Refused(&'static str, AttributeError),
    Connect(#[from] DatabaseError),
    KeyFile(#[from] OpenBackendError),
    Sealing(#[from] SealingError),
    Seal(#[from] SealError),
    Unreadable(#[from] Unreadable),
    Forget(#[from] ForgetError),
    Database(#[from] DbErr),
    #[error("{0} data key(s) were not replaced: the log says why; what they seal is as readable as before")]
    Unrotated(u64),
}

impl MayBeUnreadable for ClinicError {
    fn unreadable(&self) -> Option<&Unreadable> {
        if let Self::Unreadable(error) = self { Some(error) } else { None }
    }
}

/// Checks what a person typed.
pub(crate) fn parse<A: Attribute>(input: &str) -> Result<Personal<A>, ClinicError> {
    Personal::parse(input).map_err(|error| ClinicError::Refused(A::FIELD, error))
}

impl From<ClinicError> for async_graphql::Error {
    /// A client learns what is wrong with its input, and nothing else.
    fn from(error: ClinicError) -> Self {
        if matches!(error, ClinicError::Refused(..)) {
            return Self::new(error.to_string());
        }
        tracing::error!("a request failed: {}", causes::line(&error));
        Self::new("internal error")
    }
}
