use crate::{BackendError, ErrorClass, KekId, causes, envelope::DataKeyId};

/// A data key that could not be dealt with. It is as it was.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which.
    pub id: DataKeyId,
    /// The wrapping key that it is under.
    pub kek_id: KekId,
    /// A short name of the cause, as metrics use it.
    pub class: &'static str,
    /// The cause, in one line, without personal values.
    pub cause: String,
}

impl Failure {
    /// A failure of a key backend.
    #[must_use]
    pub fn new(id: DataKeyId, kek_id: KekId, error: &BackendError) -> Self {
        Self { id, kek_id, class: error.class.name(), cause: causes::line(error) }
    }
}

/// Why a run stopped before its end: a cause that would hit every other key as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StopCause(pub String);

impl StopCause {
    /// The cause, if an operator must act before any other key can fare better.
    #[must_use]
    pub fn of(error: &BackendError) -> Option<Self> {
        let hits_all = matches!(
            error.class,
            ErrorClass::Denied
                | ErrorClass::KeyDisabled
                | ErrorClass::KeyNotFound
                | ErrorClass::KeyUnsuitable
        );
        hits_all.then(|| Self(causes::line(error)))
    }

    /// A backend that has not answered once for as long as a call is tried again.
    #[must_use]
    pub fn outage(error: &BackendError) -> Self {
        Self(format!("no call succeeded for a long time, last: {}", causes::line(error)))
    }
}
