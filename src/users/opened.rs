use std::collections::{HashMap, HashSet};

use super::Users;
use crate::{
    envelope::{DataKeyId, PersonalText, Sealed, SubjectId},
    keys::{OpenedKey, subjects::Unreadable},
};

/// The data keys of values that are opened together.
pub(super) struct Opened<'a> {
    users: &'a Users,
    keys: HashMap<DataKeyId, OpenedKey>,
}

impl Users {
    /// Opens the data keys of these values: one statement for all that are not in the cache.
    pub(super) async fn open_keys_of<'v>(
        &self,
        values: impl Iterator<Item = (SubjectId, Sealed<'v>)>,
    ) -> Opened<'_> {
        let ids: HashSet<_> = values.filter_map(|(subject, value)| key_of(subject, value)).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let opened = self.keyring.open_many(&ids).await;
        Opened { users: self, keys: ids.into_iter().zip(opened).collect() }
    }
}

impl Opened<'_> {
    /// Opens one of the values.
    pub(super) async fn value(
        &self,
        subject: SubjectId,
        value: Sealed<'_>,
    ) -> Result<PersonalText, Unreadable> {
        let key = key_of(subject, value).and_then(|id| self.keys.get(&id)?.as_ref().ok());
        match key.and_then(|key| key.open_sealed(value).ok()) {
            Some(text) => Ok(text),
            // Says why, or opens it with the key that the table has now.
            None => self.users.keyring.open_sealed(subject, value).await,
        }
    }
}

pub(super) fn key_of(subject: SubjectId, value: Sealed<'_>) -> Option<DataKeyId> {
    Some(DataKeyId { subject, version: value.header().ok()?.key_version })
}
