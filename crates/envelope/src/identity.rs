use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The person whom data is about (GDPR: data subject). A user's id is its subject id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(Uuid);

impl SubjectId {
    /// A fresh id: UUID version 7 (RFC 9562), so that ids sort by the time they were made.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id as a UUID, as the database stores it.
    #[must_use]
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl From<Uuid> for SubjectId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<SubjectId> for Uuid {
    fn from(id: SubjectId) -> Self {
        id.0
    }
}

impl FromStr for SubjectId {
    type Err = uuid::Error;

    fn from_str(id: &str) -> Result<Self, uuid::Error> {
        id.parse().map(Self)
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of a subject's data keys: 1 for the first, one more after each rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyVersion(u32);

impl KeyVersion {
    /// The version of a subject's first data key.
    pub const FIRST: Self = Self(1);

    /// The version as a number, as a sealed value's header carries it.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl From<u32> for KeyVersion {
    fn from(version: u32) -> Self {
        Self(version)
    }
}

impl fmt::Display for KeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one data key: whose, and which version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataKeyId {
    /// The subject whom the key belongs to.
    pub subject: SubjectId,
    /// Which of the subject's keys.
    pub version: KeyVersion,
}

impl fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.version)
    }
}
