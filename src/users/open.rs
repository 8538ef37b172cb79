use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::EntityTrait;
use tokio::sync::OnceCell;

use super::{UserError, Users};
use crate::{
    attributes::Holds,
    entity::user::{self, PersonalAttribute},
    envelope::{Attribute, DataKeyId, Encrypted, OpenError, Opener, Personal, SealedRow, SubjectId},
    keys::{FoundKey, KeyringError, OpenDataKey, OpenedKey, subjects::Unreadable},
};

/// A user. Personal attributes are opened when they are asked for; until then no key is touched.
#[derive(Clone, Debug)]
pub struct User {
    row: user::Model,
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
    /// Users who were read together.
    pub(super) fn together(users: &Users, rows: Vec<user::Model>) -> Vec<Self> {
        let mut ids = Vec::with_capacity(rows.len());
        let first_keys: Vec<_> = rows
            .iter()
            .map(|row| {
                let first_key = ids.len();
                add_data_key_ids(row, &mut ids);
                first_key
            })
            .collect();
        let keys =
            Arc::new(PageKeys { users: users.clone(), ids, found: Vec::new(), opened: OnceCell::new() });
        let user = |(row, first_key)| Self { row, keys: keys.clone(), first_key };
        rows.into_iter().zip(first_keys).map(user).collect()
    }

    /// A user who was read alone, with the data keys that were found at the same time.
    pub(super) fn alone(users: Users, row: user::Model, found: Vec<FoundKey>) -> Self {
        let mut ids = Vec::with_capacity(1);
        add_data_key_ids(&row, &mut ids);
        Self { row, keys: Arc::new(PageKeys { users, ids, found, opened: OnceCell::new() }), first_key: 0 }
    }

    /// A user whose data key is open already.
    pub(super) fn with_key(users: Users, row: user::Model, key: Arc<OpenDataKey>) -> Self {
        let ids = vec![key.id()];
        let opened = OnceCell::new_with(Some(vec![Ok(key)]));
        Self { row, keys: Arc::new(PageKeys { users, ids, found: Vec::new(), opened }), first_key: 0 }
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

    /// A personal attribute, opened.
    ///
    /// # Errors
    ///
    /// [`UserError::Unreadable`], [`UserError::Keys`], [`UserError::LedgerWentBack`], [`UserError::Forgotten`] if that happened
    /// just now.
    // Small as a future, since GraphQL makes one for every field of a page: what is rare is boxed.
    pub async fn open<A: Attribute>(&self) -> Result<Option<Personal<A>>, UserError>
    where
        user::Model: Holds<A>,
    {
        let Some(value) = self.row.sealed() else { return Ok(None) };
        self.keys.users.require_trusted_ledger()?;
        let header = value.header().map_err(|error| self.unreadable::<A>(OpenError::from(error)))?;
        let id = DataKeyId { subject: self.id(), version: header.key_version };
        if self.keys.opened.get().is_none() {
            Box::pin(self.keys.open()).await;
        }
        let key = match self.keys.get(self.first_key, id) {
            Some(key) => key.clone(),
            None => Box::pin(self.keys.users.keyring.open(id)).await,
        };
        match key {
            Ok(key) => self.open_with(&key, value).await,
            Err(error) if matches!(*error, KeyringError::Missing(_)) => Box::pin(self.reread(error)).await,
            Err(error) => Err(self.keyless::<A>(error)),
        }
    }

    /// Opens the data keys of all users who were read together, unless they are open. Then most values open without waiting.
    pub async fn open_keys(&self) {
        self.keys.open().await;
    }

    /// A personal value, opened into the opener's buffer, without waiting.
    ///
    /// # Errors
    ///
    /// [`NotAtOnce`]: [`open`](Self::open) says why, or waits for what has to be waited for.
    pub fn open_at_once<'o>(
        &self,
        attribute: PersonalAttribute,
        opener: &'o mut Opener,
    ) -> Result<Option<&'o str>, NotAtOnce> {
        let Some(value) = attribute.sealed(&self.row) else { return Ok(None) };
        self.keys.users.require_trusted_ledger().map_err(|_| NotAtOnce)?;
        let header = value.header().map_err(|_| NotAtOnce)?;
        let id = DataKeyId { subject: self.id(), version: header.key_version };
        let key = self.keys.get(self.first_key, id).and_then(|key| key.as_ref().ok()).ok_or(NotAtOnce)?;
        key.open_with(opener, value).map(Some).map_err(|_| NotAtOnce)
    }

    async fn open_with<A: Attribute>(
        &self,
        key: &OpenDataKey,
        value: &Encrypted<A>,
    ) -> Result<Option<Personal<A>>, UserError> {
        match key.open(value) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => Box::pin(self.open_anew(value, key, error)).await,
        }
    }

    /// A value did not open with a data key that may have been in the cache for a while: the table may have another one of the
    /// same version, after a failover or a restore that lost a rotation.
    async fn open_anew<A: Attribute>(
        &self,
        value: &Encrypted<A>,
        stale: &OpenDataKey,
        error: OpenError,
    ) -> Result<Option<Personal<A>>, UserError> {
        match self.keys.users.keyring.open_instead_of(stale).await {
            Ok(Some(key)) => key.open(value).map(Some).map_err(|error| self.unreadable::<A>(error)),
            Ok(None) => Err(self.unreadable::<A>(error)),
            Err(error) => Err(self.keyless::<A>(error)),
        }
    }

    /// The data key is gone that was there when the row was read: the user was forgotten meanwhile, or given a
    /// fresh one.
    async fn reread<A: Attribute>(&self, error: Arc<KeyringError>) -> Result<Option<Personal<A>>, UserError>
    where
        user::Model: Holds<A>,
    {
        let users = &self.keys.users;
        let mut known: Option<Encrypted<A>> = self.row.sealed().cloned();
        loop {
            let row = user::Entity::find_by_id(*self.id().as_uuid()).one(&users.db).await?;
            let Some(changed) = row.as_ref().map(Holds::sealed).filter(|changed| *changed != known.as_ref())
            else {
                return Err(self.without_a_key::<A>(error).await);
            };
            let Some(value) = changed else { return Ok(None) };
            let header = value.header().map_err(|error| self.unreadable::<A>(OpenError::from(error)))?;
            let id = DataKeyId { subject: self.id(), version: header.key_version };
            match users.keyring.open(id).await {
                Ok(key) => return self.open_with(&key, value).await,
                // Changed again.
                Err(error) if matches!(*error, KeyringError::Missing(_)) => known = Some(value.clone()),
                Err(error) => return Err(self.keyless::<A>(error)),
            }
        }
    }

    /// What to answer when the data key does not exist: the ledger of erasures says whether it should.
    async fn without_a_key<A: Attribute>(&self, error: Arc<KeyringError>) -> UserError {
        match self.keys.users.absent(self.id()).await {
            UserError::NotFound(_) => self.unreadable::<A>(error),
            forgotten_or_failed => forgotten_or_failed,
        }
    }

    /// What to answer about an attribute whose key could not be had.
    fn keyless<A: Attribute>(&self, error: Arc<KeyringError>) -> UserError {
        match &*error {
            KeyringError::Backend(backend) if backend.class.blames_the_wrapped_key() => {
                self.unreadable::<A>(error)
            }
            _ => UserError::Keys(error),
        }
    }

    fn unreadable<A: Attribute>(&self, cause: impl Into<Unreadable>) -> UserError {
        UserError::Unreadable { attribute: A::NAME, subject: self.id(), cause: cause.into() }
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

/// Adds the data keys that a row's sealed values name. Almost always one.
fn add_data_key_ids(row: &user::Model, ids: &mut Vec<DataKeyId>) {
    let (subject, first) = (row.subject(), ids.len());
    row.each_sealed(&mut |field| {
        if let Some(Ok(header)) = field.value.map(|value| value.header()) {
            let id = DataKeyId { subject, version: header.key_version };
            if !ids[first..].contains(&id) {
                ids.push(id);
            }
        }
    });
}
