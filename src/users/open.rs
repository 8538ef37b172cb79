use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::OnceCell;

use super::{UserError, Users, error::Unreadable};
use crate::{
    entity::user,
    envelope::{
        Attribute, DataKey, DataKeyId, Encrypted, SubjectId,
        attributes::{Email, Phone},
    },
    keys::{KeyringError, OpenedKey},
};

/// A user. Personal attributes are opened when they are asked for; until then no key is touched.
#[derive(Clone, Debug)]
pub struct User {
    row: user::Model,
    keys: Arc<Keys>,
}

/// The data keys of users who were read together: the first attribute that is asked for opens all of
/// them, with one statement for those that are not cached.
#[derive(Debug)]
struct Keys {
    users: Users,
    ids: Vec<DataKeyId>,
    opened: OnceCell<HashMap<DataKeyId, OpenedKey>>,
}

impl User {
    /// Users who were read together.
    pub(super) fn together(users: &Users, rows: Vec<user::Model>) -> Vec<Self> {
        let ids = rows.iter().flat_map(data_key_ids).collect();
        let keys = Arc::new(Keys { users: users.clone(), ids, opened: OnceCell::new() });
        rows.into_iter().map(|row| Self { row, keys: keys.clone() }).collect()
    }

    /// A user who was read alone.
    pub(super) fn alone(users: Users, row: user::Model) -> Self {
        let ids = data_key_ids(&row).collect();
        Self { row, keys: Arc::new(Keys { users, ids, opened: OnceCell::new() }) }
    }

    /// A user whose data key is open already.
    pub(super) fn with_key(users: Users, row: user::Model, key: Arc<DataKey>) -> Self {
        let opened = OnceCell::new_with(Some(HashMap::from([(key.id(), Ok(key))])));
        Self { row, keys: Arc::new(Keys { users, ids: Vec::new(), opened }) }
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

    /// The e-mail address, opened.
    ///
    /// # Errors
    ///
    /// [`UserError::Unreadable`], [`UserError::Keys`], [`UserError::Forgotten`] if that happened just now.
    pub async fn email(&self) -> Result<Option<Email>, UserError> {
        self.open(self.row.email.as_ref()).await
    }

    /// The phone number, opened.
    ///
    /// # Errors
    ///
    /// As for [`User::email`].
    pub async fn phone(&self) -> Result<Option<Phone>, UserError> {
        self.open(self.row.phone.as_ref()).await
    }

    async fn open<A: Attribute>(&self, value: Option<&Encrypted<A>>) -> Result<Option<A>, UserError> {
        let Some(value) = value else { return Ok(None) };
        let subject = self.id();
        let unreadable = |cause| UserError::Unreadable { attribute: A::NAME, subject, cause };
        let header = value.header().map_err(|error| unreadable(Unreadable::Value(error.into())))?;
        let id = DataKeyId { subject, version: header.key_version };
        match self.keys.get(id).await {
            Ok(key) => key.open(value).map(Some).map_err(|error| unreadable(error.into())),
            Err(error) => Err(match &*error {
                KeyringError::Missing(_) => match self.keys.users.absent(subject).await {
                    UserError::NotFound(_) => unreadable(Unreadable::Key(error)),
                    forgotten_or_failed => forgotten_or_failed,
                },
                KeyringError::Backend(backend) if backend.class.blames_the_wrapped_key() => {
                    unreadable(Unreadable::Key(error))
                }
                _ => UserError::Keys(error),
            }),
        }
    }
}

impl Keys {
    async fn get(&self, id: DataKeyId) -> OpenedKey {
        let opened = self.opened.get_or_init(|| self.users.keyring.open_many(&self.ids)).await;
        opened.get(&id).cloned().unwrap_or_else(|| Err(Arc::new(KeyringError::Missing(id))))
    }
}

/// The data keys that a row's sealed values name. Almost always one.
fn data_key_ids(row: &user::Model) -> impl Iterator<Item = DataKeyId> + use<> {
    let subject = row.subject();
    let email = row.email.as_ref().and_then(|value| value.header().ok());
    let phone =
        row.phone.as_ref().and_then(|value| value.header().ok()).filter(|header| Some(*header) != email);
    [email, phone].into_iter().flatten().map(move |header| DataKeyId { subject, version: header.key_version })
}
