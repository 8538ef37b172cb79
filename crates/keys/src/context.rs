use uuid::Uuid;

use crate::envelope::{DataKeyId, KeyVersion};

/// What a wrapped key is for, and whose it is: bound to it when it is wrapped.
///
/// A wrapped key moved to another context does not unwrap. AWS calls this the encryption context; it appears in CloudTrail,
/// so it holds no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyContext {
    purpose: &'static str,
    pairs: Vec<(&'static str, String)>,
}

/// The purpose of what seals a subject's attributes. It is not among the pairs: it was not when there was no other one.
const DATA_KEY: &str = "data-key";

impl KeyContext {
    /// The context of a key that is no subject's data key: what it is for, and the names and values that tell it from others of
    /// that purpose, in an order that never changes.
    #[must_use]
    pub fn new(purpose: &'static str, pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let own = [("purpose", purpose.to_owned())];
        Self { purpose, pairs: own.into_iter().chain(pairs).collect() }
    }

    /// The context of no data key, for asking a backend whether it would wrap one.
    #[must_use]
    pub fn of_nobody() -> Self {
        DataKeyId { subject: Uuid::nil().into(), version: KeyVersion::FIRST }.into()
    }

    /// What the key is for.
    #[must_use]
    pub fn purpose(&self) -> &'static str {
        self.purpose
    }

    /// The context as named values, in a fixed order; the first is the purpose, except for data keys.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.pairs.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl From<DataKeyId> for KeyContext {
    fn from(id: DataKeyId) -> Self {
        let pairs = vec![("subject", id.subject.to_string()), ("version", id.version.to_string())];
        Self { purpose: DATA_KEY, pairs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_a_data_key_is_its_subject_and_version_and_no_more() {
        let id = DataKeyId { subject: Uuid::from_u128(7).into(), version: 3.into() };
        let pairs: Vec<_> =
            KeyContext::from(id).pairs().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["subject=00000000-0000-0000-0000-000000000007", "version=3"]);
    }

    #[test]
    fn another_purpose_is_another_context_whatever_the_pairs() {
        let id = DataKeyId { subject: Uuid::nil().into(), version: KeyVersion::FIRST };
        let data_key = KeyContext::from(id);
        let pairs = [("subject", id.subject.to_string()), ("version", id.version.to_string())];
        for purpose in [DATA_KEY, "branch"] {
            let other = KeyContext::new(purpose, pairs.clone());
            assert!(!other.pairs().eq(data_key.pairs()), "{purpose}");
        }
    }
}
