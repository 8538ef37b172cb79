use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::OnceCell;

use super::{
    Reads, UserAttribute, UserError, Users,
    values::{WithValues, and_values},
};
use crate::{
    attributes::Declaration,
    entity::{personal_value, user},
    envelope::{
        DataKeyId, FormatError, Header, OpenError, Opener, PersonalText, Sealed, SealedRow, SubjectId,
    },
    keys::{FoundKey, KeyringError, OpenDataKey, OpenedKey, subjects::Unreadable},
};

/// A user. Personal attributes are opened when they are asked for; until then no key is touched.
#[derive(Clone, Debug)]
pub struct User {
    row: user::Model,
    /// Those of the declared attributes that were read.
    values: Vec<personal_value::Model>,
    read: Arc<[Arc<Declaration>]>,
    keys: Arc<PageKeys>,
    /// Where this user's keys begin in `keys`.
    first_key: usize,
}

/// A value does not open without waiting, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAtOnce;

/// The data keys of users who were read together: the first attribute that is asked for opens all of
/// them, with one statement for those that are not cached.
#[derive(Debug)]
struct PageKeys {
    users: Users,
    ids: Vec<DataKeyId>,
    found: Vec<FoundKey>,
    /// One for each of `ids`.
    opened: OnceCell<Vec<OpenedKey>>,
}

impl User {
    /// Users who were read together, with their values of `declared`, and the data keys that were found at the same time.
    pub(super) fn together(
        users: &Users,
        rows: Vec<WithValues>,
        declared: &[Arc<Declaration>],
        found: Vec<FoundKey>,
    ) -> Vec<Self> {
        let read: Arc<[_]> = declared.into();
        let mut ids = Vec::with_capacity(rows.len());
        let first_keys: Vec<_> = rows
            .iter()
            .map(|(row, values)| {
                let first_key = ids.len();
                add_data_key_ids(row, first_key, &mut ids);
                for value in values {
                    add_data_key_ids(value, first_key, &mut ids);
                }
                first_key
            })
            .collect();
        let keys = Arc::new(PageKeys { users: users.clone(), ids, found, opened: OnceCell::new() });
        let user = |((row, values), first_key)| {
            let (read, keys) = (read.clone(), keys.clone());
            Self { row, values, read, keys, first_key }
        };
        rows.into_iter().zip(first_keys).map(user).collect()
    }

    /// A user whose row was just written, of whose values nothing was read. Their data key may be open already.
    pub(super) fn written(users: Users, row: user::Model, key: Option<Arc<OpenDataKey>>) -> Self {
        let mut ids = Vec::with_capacity(1);
        let opened = if let Some(key) = key {
            ids.push(key.id());
            OnceCell::new_with(Some(vec![Ok(key)]))
        } else {
            add_data_key_ids(&row, 0, &mut ids);
            OnceCell::new()
        };
        let keys = PageKeys { users, ids, found: Vec::new(), opened };
        Self { row, values: Vec::new(), read: Arc::default(), keys: Arc::new(keys), first_key: 0 }
    }

    /// The same user, of whom more values were read: one statement, if there are any that were not.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn reading(self, reads: &Reads) -> Result<Self, UserError> {
        let is_read = |one: &Arc<Declaration>| self.has_read(one);
        if reads.declared.iter().all(is_read) {
            return Ok(self);
        }
        let users = &self.keys.users;
        let row = and_values(&users.db, vec![self.row.clone()], &reads.declared).await?;
        Ok(Self::together(users, row, &reads.declared, Vec::new()).pop().unwrap_or(self))
    }

    /// The user's id, which is the subject id.
    #[must_use]
    pub fn id(&self) -> SubjectId {
        self.row.subject()
    }

    /// The username, which is stored in the clear.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.row.username
    }

    /// When the user was created.
    #[must_use]
    pub fn created_at(&self) -> DateTime<Utc> {
        self.row.created_at
    }

    /// When the user was last changed. Rotations of keys do not count.
    #[must_use]
    pub fn updated_at(&self) -> DateTime<Utc> {
        self.row.updated_at
    }

    /// When an attribute was last changed, or, of a column, the user; `None` if it has no value. It must have been read.
    #[must_use]
    pub fn changed_at(&self, attribute: &UserAttribute) -> Option<DateTime<Utc>> {
        match attribute {
            UserAttribute::Column(attribute) => attribute.sealed(&self.row).map(|_| self.row.updated_at),
            UserAttribute::Declared(declaration) => self.value(declaration).map(|value| value.updated_at),
        }
    }

    /// A personal attribute, opened. It must have been read.
    ///
    /// # Errors
    ///
    /// [`UserError::Unreadable`], [`UserError::Keys`], [`UserError::LedgerWentBack`], [`UserError::Forgotten`] if that happened
    /// just now.
    // Small as a future, since GraphQL makes one for every field of a page: what is rare is boxed.
    pub async fn open(&self, attribute: &UserAttribute) -> Result<Option<PersonalText>, UserError> {
        let Some(value) = self.sealed(attribute) else { return Ok(None) };
        self.keys.users.require_trusted_ledger()?;
        let id = self.data_key_id(value.header()).map_err(|error| self.unreadable(value.name(), error))?;
        if self.keys.opened.get().is_none() {
            Box::pin(self.keys.open()).await;
        }
        let key = match self.keys.get(self.first_key, id) {
            Some(key) => key.clone(),
            None => Box::pin(self.keys.users.keyring.open(id)).await,
        };
        match key {
            Ok(key) => self.open_with(&key, value).await,
            Err(error) if matches!(*error, KeyringError::Missing(_)) => {
                Box::pin(self.reread(attribute, value, error)).await
            }
            Err(error) => Err(self.keyless(value.name(), error)),
        }
    }

    /// Opens the data keys of all users who were read together, unless they are open. Then most values open without waiting.
    pub async fn open_keys(&self) {
        self.keys.open().await;
    }

    /// A personal value, opened into the opener's buffer, without waiting. It must have been read.
    ///
    /// # Errors
    ///
    /// [`NotAtOnce`]: [`open`](Self::open) says why, or waits for what has to be waited for.
    pub fn open_at_once<'o>(
        &self,
        attribute: &UserAttribute,
        opener: &'o mut Opener,
    ) -> Result<Option<&'o str>, NotAtOnce> {
        let Some(value) = self.sealed(attribute) else { return Ok(None) };
        self.keys.users.require_trusted_ledger().map_err(|_| NotAtOnce)?;
        let id = self.data_key_id(value.header()).map_err(|_| NotAtOnce)?;
        let key = self.keys.get(self.first_key, id).and_then(|key| key.as_ref().ok()).ok_or(NotAtOnce)?;
        key.open_with(opener, value).map(Some).map_err(|_| NotAtOnce)
    }

    fn has_read(&self, declaration: &Declaration) -> bool {
        self.read.iter().any(|known| known.name() == declaration.name())
    }

    fn value(&self, declaration: &Declaration) -> Option<&personal_value::Model> {
        self.values.iter().find(|value| value.attribute.name() == declaration.name())
    }

    fn sealed<'a>(&'a self, attribute: &'a UserAttribute) -> Option<Sealed<'a>> {
        match attribute {
            UserAttribute::Column(attribute) => attribute.sealed(&self.row),
            UserAttribute::Declared(declaration) => {
                let value = self.value(declaration)?;
                Some(Sealed::new(declaration.sealed_name(), value.sealed.as_bytes()))
            }
        }
    }

    fn data_key_id(&self, header: Result<Header, FormatError>) -> Result<DataKeyId, OpenError> {
        Ok(DataKeyId { subject: self.id(), version: header?.key_version })
    }

    async fn open_with(
        &self,
        key: &OpenDataKey,
        value: Sealed<'_>,
    ) -> Result<Option<PersonalText>, UserError> {
        match key.open_sealed(value) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => Box::pin(self.open_anew(value, key, error)).await,
        }
    }

    /// A value did not open with a data key that may have been in the cache for a while: the table may have another one of the
    /// same version, after a failover or a restore that lost a rotation.
    async fn open_anew(
        &self,
        value: Sealed<'_>,
        stale: &OpenDataKey,
        error: OpenError,
    ) -> Result<Option<PersonalText>, UserError> {
        let name = value.name();
        match self.keys.users.keyring.open_instead_of(stale).await {
            Ok(Some(key)) => key.open_sealed(value).map(Some).map_err(|error| self.unreadable(name, error)),
            Ok(None) => Err(self.unreadable(name, error)),
            Err(error) => Err(self.keyless(name, error)),
        }
    }

    /// The data key is gone that was there when the row was read: the user was forgotten meanwhile, or given a
    /// fresh one.
    async fn reread(
        &self,
        attribute: &UserAttribute,
        value: Sealed<'_>,
        error: Arc<KeyringError>,
    ) -> Result<Option<PersonalText>, UserError> {
        let (users, name) = (&self.keys.users, value.name());
        let mut known = value.as_bytes().to_vec();
        loop {
            let Some(now) = users.sealed_now(self.id(), attribute).await? else {
                return Err(self.without_a_key(name, error).await);
            };
            let Some(now) = now else { return Ok(None) };
            if now == known {
                return Err(self.without_a_key(name, error).await);
            }
            let value = Sealed::new(name, &now);
            let id = self.data_key_id(value.header()).map_err(|error| self.unreadable(name, error))?;
            match users.keyring.open(id).await {
                Ok(key) => return self.open_with(&key, value).await,
                // Changed again.
                Err(error) if matches!(*error, KeyringError::Missing(_)) => known = now,
                Err(error) => return Err(self.keyless(name, error)),
            }
        }
    }

    /// What to answer when the data key does not exist: the ledger of erasures says whether it should.
    async fn without_a_key(&self, name: &str, error: Arc<KeyringError>) -> UserError {
        match self.keys.users.absent(self.id()).await {
            UserError::NotFound(_) => self.unreadable(name, error),
            forgotten_or_failed => forgotten_or_failed,
        }
    }

    /// What to answer about an attribute whose key could not be had.
    fn keyless(&self, name: &str, error: Arc<KeyringError>) -> UserError {
        match &*error {
            KeyringError::Backend(backend) if backend.class.blames_the_wrapped_key() => {
                self.unreadable(name, error)
            }
            _ => UserError::Keys(error),
        }
    }

    fn unreadable(&self, name: &str, cause: impl Into<Unreadable>) -> UserError {
        UserError::Unreadable { attribute: name.to_owned(), subject: self.id(), cause: cause.into() }
    }
}

impl PageKeys {
    /// Opens all of them, once.
    async fn open(&self) {
        self.opened.get_or_init(|| self.users.keyring.open_found(&self.ids, self.found.clone())).await;
    }

    /// A key that was opened with the others; `hint` is where to look for it.
    fn get(&self, hint: usize, id: DataKeyId) -> Option<&OpenedKey> {
        let position = hint + self.ids.iter().skip(hint).position(|known| *known == id)?;
        self.opened.get()?.get(position)
    }
}

/// Adds the data keys that a row's sealed values name to those of its subject, which begin at `first`. Almost always one.
fn add_data_key_ids(row: &impl SealedRow, first: usize, ids: &mut Vec<DataKeyId>) {
    let subject = row.subject();
    row.each_sealed(&mut |field| {
        if let Some(Ok(header)) = field.value.map(|value| value.header()) {
            let id = DataKeyId { subject, version: header.key_version };
            if !ids[first..].contains(&id) {
                ids.push(id);
            }
        }
    });
}
