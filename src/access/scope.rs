use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use crate::attributes::is_attribute_name;

/// One thing that a caller may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// `users:read`: see users, their personal attributes masked.
    UsersRead,
    /// `users:write`: create and change users. `users:write:<attribute>`: change one attribute of those that are there.
    UsersWrite,
    /// `users:forget`: forget users.
    UsersForget,
    /// `pii:read`: see personal attributes in the clear. `pii:read:<attribute>`: see one of them.
    PiiRead,
    /// `audit:read`: see who did what.
    AuditRead,
    /// `users:find`: find users by a personal attribute. `users:find:<attribute>`: by one of them.
    UsersFind,
}

impl Scope {
    /// All scopes there are.
    pub const ALL: [Self; 6] = [
        Self::UsersRead,
        Self::UsersWrite,
        Self::UsersForget,
        Self::PiiRead,
        Self::AuditRead,
        Self::UsersFind,
    ];

    /// The name, as tokens and documentation have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::UsersForget => "users:forget",
            Self::PiiRead => "pii:read",
            Self::AuditRead => "audit:read",
            Self::UsersFind => "users:find",
        }
    }

    /// Whether there is one for each attribute, too.
    fn is_of_attributes(self) -> bool {
        matches!(self, Self::UsersWrite | Self::PiiRead | Self::UsersFind)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no such scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no scope; there are users:read, users:write, users:forget, users:find, pii:read, audit:read, and for one attribute pii:read:email, users:write:email, users:find:email"
)]
pub struct UnknownScope(String);

/// A set of scopes. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    whole: u8,
    /// Those of one attribute each.
    of_attributes: Arc<BTreeSet<(Scope, String)>>,
}

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// The scope with this name, alone: `pii:read`, or `pii:read:email`. Whether there is such an attribute is not asked: it may be declared on
    /// other servers, or later.
    ///
    /// # Errors
    ///
    /// [`UnknownScope`].
    pub fn named(name: &str) -> Result<Self, UnknownScope> {
        let of_attribute = |scope: Scope| {
            let attribute = name.strip_prefix(scope.as_str())?.strip_prefix(':')?;
            let is_one = scope.is_of_attributes() && is_attribute_name(attribute);
            is_one.then(|| BTreeSet::from([(scope, attribute.to_owned())]))
        };
        if let Some(scope) = Scope::ALL.into_iter().find(|scope| scope.as_str() == name) {
            return Ok([scope].into_iter().collect());
        }
        let of_attributes = Scope::ALL.into_iter().find_map(of_attribute);
        let of_attributes = of_attributes.ok_or_else(|| UnknownScope(name.chars().take(64).collect()))?;
        Ok(Self { whole: 0, of_attributes: Arc::new(of_attributes) })
    }

    /// The scopes of both.
    #[must_use]
    pub fn and(self, others: &Self) -> Self {
        let of_attributes = if others.of_attributes.is_empty() {
            self.of_attributes
        } else {
            Arc::new(self.of_attributes.union(&others.of_attributes).cloned().collect())
        };
        Self { whole: self.whole | others.whole, of_attributes }
    }

    /// Whether the scope is among them, for all attributes.
    #[must_use]
    pub fn contains(&self, scope: Scope) -> bool {
        self.whole & scope.bit() != 0
    }

    /// Whether the scope is among them for this attribute, or for all.
    #[must_use]
    pub fn contains_for(&self, scope: Scope, attribute: &str) -> bool {
        let is_own = |(own, name): &(Scope, String)| *own == scope && name == attribute;
        self.contains(scope) || self.of_attributes.iter().any(is_own)
    }

    /// Whether the scope is among them for any attribute, or for all.
    #[must_use]
    pub fn contains_for_any(&self, scope: Scope) -> bool {
        self.contains(scope) || self.of_attributes.iter().any(|(own, _)| *own == scope)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole == 0 && self.of_attributes.is_empty()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let whole = scopes.into_iter().fold(0, |bits, scope| bits | scope.bit());
        Self { whole, ..Self::default() }
    }
}

/// Names with a space between them, as OAuth 2.0 has it (RFC 6749, 3.3).
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            Scope::ALL.into_iter().filter(|scope| self.contains(*scope)).map(|scope| scope.to_string());
        let of_attributes =
            self.of_attributes.iter().map(|(scope, attribute)| format!("{scope}:{attribute}"));
        f.write_str(&whole.chain(of_attributes).collect::<Vec<_>>().join(" "))
    }
}

/// Names with spaces or commas between them.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(names: &str) -> Result<Self, Self::Err> {
        let mut names = names.split([' ', ',']).filter(|name| !name.is_empty());
        names.try_fold(Self::default(), |all, name| Ok(all.and(&Self::named(name)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_as_they_are_written() {
        for scope in Scope::ALL {
            let alone: Scopes = [scope].into_iter().collect();
            assert_eq!(scope.as_str().parse(), Ok(alone));
        }
        assert_eq!(Scopes::all().to_string().parse(), Ok(Scopes::all()));
        assert_eq!("pii:read,users:read".parse::<Scopes>().unwrap().to_string(), "users:read pii:read");
        assert!("users:read everything".parse::<Scopes>().is_err());
        assert!("".parse::<Scopes>().unwrap().is_empty());
    }

    #[test]
    fn a_scope_of_an_attribute_is_for_that_one_alone() {
        let scopes: Scopes =
            "pii:read:address users:read users:write:email pii:read:address".parse().unwrap();
        assert_eq!(scopes.to_string(), "users:read users:write:email pii:read:address");
        assert_eq!(scopes.to_string().parse(), Ok(scopes.clone()));
        assert!(scopes.contains_for(Scope::PiiRead, "address") && scopes.contains_for_any(Scope::PiiRead));
        assert!(!scopes.contains(Scope::PiiRead) && !scopes.contains_for(Scope::PiiRead, "email"));
        assert!(!scopes.contains_for(Scope::UsersWrite, "address"));
        assert!(scopes.contains_for(Scope::UsersRead, "email") && !scopes.is_empty());
        assert!(Scopes::all().contains_for(Scope::PiiRead, "anything"));
        for none in
            ["pii:read:", "pii:read:Email", "users:read:email", "audit:read:email", "pii:read:a:b", "pii"]
        {
            assert!(none.parse::<Scopes>().is_err(), "{none}");
        }
    }
}
