use uuid::Uuid;

use crate::envelope::{DataKeyId, KeyVersion};

/// The identity bound to a wrapped data key: whose key it is, and which version.
///
/// A wrapped key moved to another subject or version does not unwrap. AWS calls this the encryption
/// context; it appears in CloudTrail, so it holds no personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyContext(DataKeyId);

impl KeyContext {
    /// The context of no data key, for asking a backend whether it would wrap one.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self(DataKeyId { subject: Uuid::nil().into(), version: KeyVersion::FIRST })
    }

    /// The context as named values, in a fixed order.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, String); 2] {
        [("subject", self.0.subject.to_string()), ("version", self.0.version.to_string())]
    }
}

impl From<DataKeyId> for KeyContext {
    fn from(id: DataKeyId) -> Self {
        Self(id)
    }
}
