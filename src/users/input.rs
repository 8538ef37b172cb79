use super::{AttributeChanges, UserError};
use crate::{
    attributes::{AttributeName, Change},
    database::now,
    entity::user,
    envelope::{SealError, SubjectId},
    keys::subjects::Sealer,
    names::is_name,
};

/// A user to be created, checked.
#[derive(Debug)]
pub struct NewUser {
    /// The username.
    pub username: Username,
    /// The personal attributes.
    pub personal: AttributeChanges,
}

impl NewUser {
    /// The row, made now.
    pub(super) fn row(&self, subject: SubjectId, sealer: Sealer<'_>) -> Result<user::Model, SealError> {
        let now = now();
        let mut row = user::Model {
            id: subject.into(),
            username: self.username.as_str().to_owned(),
            created_at: now,
            updated_at: now,
            ..user::Model::default()
        };
        self.personal.columns.apply(Some(sealer), &mut row)?;
        Ok(row)
    }

    /// The names of what is given.
    pub(super) fn names(&self) -> Vec<AttributeName> {
        [AttributeName::plain(USERNAME)].into_iter().chain(self.personal.names()).collect()
    }
}

/// Changes to a user, checked.
#[derive(Debug, Default)]
pub struct UserChanges {
    /// A new username, if there is one.
    pub username: Option<Username>,
    /// The personal attributes.
    pub personal: AttributeChanges,
}

impl UserChanges {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// The names of what changes.
    pub(super) fn names(&self) -> Vec<AttributeName> {
        self.username.iter().map(|_| AttributeName::plain(USERNAME)).chain(self.personal.names()).collect()
    }
}

/// The name of the field, and of the attribute in the audit trail.
const USERNAME: &str = "username";

/// A name that nobody else has. It is stored in the clear: it may appear in logs, and it sorts and searches. So no address
/// fits into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username(String);

impl Username {
    /// Checks what a person typed.
    ///
    /// # Errors
    ///
    /// [`UserError::Invalid`].
    pub fn parse(input: &str) -> Result<Self, UserError> {
        if input.contains('@') {
            return Err(invalid("is stored in the clear and must not be an e-mail address"));
        }
        if !is_username(input) {
            return Err(invalid("must be 1 to 64 letters (a to z), digits, dots, dashes or underscores"));
        }
        Ok(Self(input.to_owned()))
    }

    /// The same for a change, which must not remove it.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn parse_change(input: Change<&str>) -> Result<Option<Self>, UserError> {
        match input {
            Change::Keep => Ok(None),
            Change::Remove => Err(invalid("cannot be removed; leave it out to keep it")),
            Change::Replace(username) => Self::parse(username).map(Some),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether anybody can have this username.
pub(super) fn is_username(text: &str) -> bool {
    is_name(text.as_bytes())
}

fn invalid(problem: &str) -> UserError {
    UserError::Invalid { field: USERNAME.into(), problem: problem.to_owned() }
}
