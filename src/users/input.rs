use super::UserError;
use crate::{
    envelope::{
        Attribute,
        attributes::{Email, Phone},
    },
    names::is_name,
};

/// A user to be created, checked.
#[derive(Debug)]
pub struct NewUser {
    pub(super) username: String,
    pub(super) email: Option<Email>,
    pub(super) phone: Option<Phone>,
}

impl NewUser {
    /// Checks what a person typed.
    ///
    /// # Errors
    ///
    /// [`UserError::Invalid`] names the field.
    pub fn parse(username: &str, email: Option<&str>, phone: Option<&str>) -> Result<Self, UserError> {
        Ok(Self {
            username: parse_username(username)?,
            email: email.map(parse).transpose()?,
            phone: phone.map(parse).transpose()?,
        })
    }
}

impl NewUser {
    /// The names of what is given.
    pub(super) fn attributes(&self) -> Vec<&'static str> {
        names(true, self.email.is_some(), self.phone.is_some())
    }
}

/// What becomes of an attribute in an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is removed.
    Remove,
    /// It is replaced.
    Replace(T),
}

/// Changes to a user, checked.
#[derive(Debug, Default)]
pub struct UserChanges {
    pub(super) username: Option<String>,
    pub(super) email: Change<Email>,
    pub(super) phone: Change<Phone>,
}

impl UserChanges {
    /// Checks what a person typed.
    ///
    /// # Errors
    ///
    /// [`UserError::Invalid`] names the field.
    pub fn parse(
        username: Change<&str>,
        email: Change<&str>,
        phone: Change<&str>,
    ) -> Result<Self, UserError> {
        let username = match username {
            Change::Keep => None,
            Change::Remove => {
                return Err(invalid_username("cannot be removed; leave it out to keep it"));
            }
            Change::Replace(username) => Some(parse_username(username)?),
        };
        Ok(Self { username, email: email.try_map(parse)?, phone: phone.try_map(parse)? })
    }

    /// The names of what changes.
    pub(super) fn attributes(&self) -> Vec<&'static str> {
        let Self { username, email, phone } = self;
        names(username.is_some(), *email != Change::Keep, *phone != Change::Keep)
    }

    /// Whether anything has to be sealed.
    pub(super) fn seals(&self) -> bool {
        let Self { username: _, email, phone } = self;
        matches!(email, Change::Replace(_)) || matches!(phone, Change::Replace(_))
    }
}

impl<T> Change<T> {
    /// Applies `f` to the new value, if there is one.
    pub(super) fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::Replace(value) => Change::Replace(f(value)?),
        })
    }
}

fn names(username: bool, email: bool, phone: bool) -> Vec<&'static str> {
    let all = [("username", username), ("email", email), ("phone", phone)];
    all.into_iter().filter_map(|(name, is_meant)| is_meant.then_some(name)).collect()
}

fn parse<A: Attribute>(input: &str) -> Result<A, UserError> {
    A::parse(input).map_err(UserError::attribute::<A>)
}

/// Usernames are stored in the clear: they may appear in logs, and they sort and search. So no address
/// fits into one.
fn parse_username(input: &str) -> Result<String, UserError> {
    if input.contains('@') {
        return Err(invalid_username("is stored in the clear and must not be an e-mail address"));
    }
    if !is_username(input) {
        return Err(invalid_username(
            "must be 1 to 64 letters (a to z), digits, dots, dashes or underscores",
        ));
    }
    Ok(input.to_owned())
}

/// Whether anybody can have this username.
pub(super) fn is_username(text: &str) -> bool {
    is_name(text.as_bytes())
}

fn invalid_username(problem: &str) -> UserError {
    UserError::Invalid { field: "username", problem: problem.to_owned() }
}
