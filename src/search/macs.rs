//! Tags that need a MAC by the key backend: `second = "backend"`.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use futures::future::try_join_all;

use super::{Search, SearchError, Searched};
use crate::{
    attributes::{Matching, Second, TagInput},
    envelope::{BlindedValue, IndexKey, IndexTag, MAC_LENGTH, PersonalText},
    keys::{
        KeyBackend, KeyringError,
        sweep::{Pace, Refusal},
    },
};

/// What is asked of the key backend before an index is begun that needs its MACs.
const PROBE: &[u8] = b"oubliette index probe 1";

/// The MACs that the key backend made of blinded values.
#[derive(Default)]
pub(super) struct Macs(HashMap<BlindedValue, [u8; MAC_LENGTH]>);

impl Macs {
    /// The one way from a value to its tag: when it is written, when an index is built, and when it is looked for. `None` if it needs a MAC that is not
    /// there.
    pub(super) fn tag(
        &self,
        matching: &Matching,
        key: &IndexKey,
        attribute: &str,
        value: &PersonalText,
    ) -> Option<IndexTag> {
        match matching.input(key, attribute, value) {
            TagInput::Tag(tag) => Some(tag),
            TagInput::Blinded(blinded) => {
                self.0.get(&blinded).map(|mac| matching.tag_by_mac(key, attribute, mac))
            }
        }
    }
}

impl fmt::Debug for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Macs([{} redacted])", self.0.len())
    }
}

impl Search {
    /// The tag of one value; a call to the key backend if it needs one.
    pub(super) async fn tag(
        &self,
        searched: &Searched,
        key: &IndexKey,
        value: &PersonalText,
    ) -> Result<IndexTag, SearchError> {
        let Searched { name, matching, .. } = searched;
        let blinded = match matching.input(key, name, value) {
            TagInput::Tag(tag) => return Ok(tag),
            TagInput::Blinded(blinded) => blinded,
        };
        let macs = self.macs(HashSet::from([blinded]), None).await?;
        macs.tag(matching, key, name, value).ok_or(SearchError::Changed)
    }

    /// The MACs of blinded values: a call to the key backend for each, at a pace if there is one.
    pub(super) async fn macs(
        &self,
        blinded: HashSet<BlindedValue>,
        pace: Option<&Pace>,
    ) -> Result<Macs, SearchError> {
        if blinded.is_empty() {
            return Ok(Macs::default());
        }
        let backend = self.mac_backend()?;
        let calls = blinded.into_iter().map(async |value| {
            let call = || backend.mac(value.as_bytes());
            let mac = match pace {
                Some(pace) => pace.call(call).await?,
                None => call().await.map_err(KeyringError::from)?,
            };
            Ok::<_, SearchError>((value, mac))
        });
        Ok(Macs(try_join_all(calls).await?.into_iter().collect()))
    }

    /// Tries the key that makes MACs, if one of these attributes needs it: who writes needs it from the moment that an index is begun.
    pub(super) async fn try_macs<'n>(
        &self,
        attributes: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), SearchError> {
        let needs_macs = |name: &str| {
            self.searched(name).is_some_and(|(_, searched)| searched.settings.second == Second::Backend)
        };
        if attributes.into_iter().any(needs_macs) {
            self.mac_backend()?.mac(PROBE).await.map_err(KeyringError::from)?;
        }
        Ok(())
    }

    fn mac_backend(&self) -> Result<&dyn KeyBackend, SearchError> {
        Ok(self.0.keyring.backends().mac().ok_or(KeyringError::NoMacKey)?)
    }
}

impl From<Refusal> for SearchError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stopped => Self::Interrupted,
            Refusal::Backend(error) => Self::Keys(error.into()),
        }
    }
}
