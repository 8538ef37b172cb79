use chrono::{DateTime, Utc};

use super::{Need, Scope, Scopes};
use crate::{attributes::AttributeName, envelope::SubjectId};

/// Who sends a request, and what they may do.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As records name them: `token:billing`, `jwt:…`, `self:<subject id>`, `anonymous`.
    pub actor: String,
    /// What they may do.
    pub scopes: Scopes,
    /// If set, the one subject whom all of it is limited to.
    pub own: Option<SubjectId>,
    /// Most subjects whose personal attributes they may open within a minute. `None`: no limit.
    pub subjects_per_minute: Option<u32>,
    /// When the credential ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a caller may not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// They have none of the scopes that allow it.
    #[error("this needs the scope {0}")]
    Scope(Need),
    /// They are bound to one subject, and it is about another, or about all.
    #[error("these credentials are for one user's own data only")]
    Own,
    /// They are bound to one subject, and want to change what one user alone can have: whether it is taken tells of other users.
    #[error("these credentials are for one user's own data only, and cannot change {}, which one user alone can have", .0.as_str())]
    Unique(AttributeName),
    /// They are bound to one subject, and want another username: whether it is taken tells of other users.
    #[error("these credentials are for one user's own data only, and cannot change the username")]
    Username,
}

impl Caller {
    /// Any client of a server without access control.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            actor: "anonymous".to_owned(),
            scopes: Scopes::all(),
            own: None,
            subjects_per_minute: None,
            expires_at: None,
        }
    }

    /// Allows what needs these scopes.
    ///
    /// # Errors
    ///
    /// [`Denied::Scope`].
    pub fn allow(&self, need: impl Into<Need>) -> Result<(), Denied> {
        let need = need.into();
        if need.is_met_by(&self.scopes) { Ok(()) } else { Err(Denied::Scope(need)) }
    }

    /// Allows what needs these scopes, if it is about `subject`; `None` is everybody.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn allow_about(&self, need: impl Into<Need>, subject: Option<SubjectId>) -> Result<(), Denied> {
        self.allow(need)?;
        if self.own.is_none() || self.own == subject { Ok(()) } else { Err(Denied::Own) }
    }

    /// Allows a username to be changed.
    ///
    /// # Errors
    ///
    /// [`Denied::Username`].
    pub fn allow_rename(&self) -> Result<(), Denied> {
        if self.own.is_none() { Ok(()) } else { Err(Denied::Username) }
    }

    /// Allows somebody to be found by an attribute.
    ///
    /// # Errors
    ///
    /// [`Denied`]: also to who is bound to one subject, whoever has the value.
    pub fn allow_find(&self, attribute: &AttributeName) -> Result<(), Denied> {
        self.allow_about(Need::For(Scope::UsersFind, attribute.clone()), None)
    }

    /// Whether the credential has ended.
    #[must_use]
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;

    #[test]
    fn a_bound_caller_is_kept_to_their_own() {
        let (own, other) = (SubjectId::generate(), SubjectId::generate());
        let caller = Caller { own: Some(own), ..Caller::anonymous() };
        assert_eq!(caller.allow_about(&[Scope::UsersRead], Some(own)), Ok(()));
        assert_eq!(caller.allow_about(&[Scope::UsersRead], Some(other)), Err(Denied::Own));
        assert_eq!(caller.allow_about(&[Scope::UsersRead], None), Err(Denied::Own));
    }

    #[test]
    fn one_of_the_scopes_is_enough_and_none_is_not() {
        let scopes = [Scope::UsersWrite].into_iter().collect();
        let caller = Caller { scopes, ..Caller::anonymous() };
        assert_eq!(caller.allow(&[Scope::UsersRead, Scope::UsersWrite]), Ok(()));
        let denied = caller.allow(&[Scope::UsersRead, Scope::PiiRead]).unwrap_err();
        assert_eq!(denied.to_string(), "this needs the scope `users:read` or `pii:read`");
    }
    #[test]
    fn a_scope_of_one_attribute_allows_that_one() {
        let caller = Caller { scopes: "pii:read:address".parse().unwrap(), ..Caller::anonymous() };
        let read = |name| Need::For(Scope::PiiRead, AttributeName::plain(name));
        assert_eq!(caller.allow(read("address")), Ok(()));
        let denied = caller.allow(read("email")).unwrap_err();
        assert_eq!(denied.to_string(), "this needs the scope `pii:read` or `pii:read:email`");
        assert_eq!(caller.allow(Need::OneOfForAny(&[Scope::UsersRead, Scope::PiiRead])), Ok(()));
        assert!(caller.allow(&[Scope::PiiRead]).is_err());
        let everything = Caller::anonymous();
        assert_eq!(everything.allow(read("email")), Ok(()));
    }
}
