use crate::{Form, Hash, entry::unhex};

/// In the place of a key commitment that was not known.
const UNKNOWN: &str = "-";

/// A data key that was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedKey {
    /// Of the subject's data keys, which.
    pub version: u32,
    /// The wrapping key that it was wrapped under.
    pub kek_id: String,
    /// SHA-256 of the wrapped key.
    pub fingerprint: Hash,
    /// The key commitment: what fixes the data key itself without telling it. `None` if it was not known, and in an entry that
    /// is written without them.
    pub commitment: Option<Hash>,
}

impl DestroyedKey {
    /// The line of an entry that lists them, without its newline.
    #[must_use]
    pub fn list(keys: &[Self], form: Form) -> String {
        let keys = keys.iter().map(|Self { version, kek_id, fingerprint, commitment }| {
            let key = format!("{version} {kek_id} {}", hex::encode(fingerprint));
            if form != Form::Erasure2 {
                return key;
            }
            format!("{key} {}", commitment.map_or_else(|| UNKNOWN.to_owned(), hex::encode))
        });
        keys.collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn parse_list(line: &str, form: Form) -> Option<Vec<Self>> {
        line.split("; ").filter(|key| !key.is_empty()).map(|key| Self::parse(key, form)).collect()
    }

    fn parse(text: &str, form: Form) -> Option<Self> {
        let (text, commitment) = if form == Form::Erasure2 {
            let (text, commitment) = text.rsplit_once(' ')?;
            (text, if commitment == UNKNOWN { None } else { Some(unhex(commitment)?) })
        } else {
            (text, None)
        };
        let (version, rest) = text.split_once(' ')?;
        let (kek_id, fingerprint) = rest.rsplit_once(' ')?;
        Some(Self {
            version: version.parse().ok()?,
            kek_id: kek_id.to_owned(),
            fingerprint: unhex(fingerprint)?,
            commitment,
        })
    }
}
