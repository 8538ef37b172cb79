use std::fmt;

use super::{Scope, Scopes};
use crate::attributes::AttributeName;

/// Which scopes allow something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// One of these, for all attributes.
    OneOf(&'static [Scope]),
    /// One of these, if only for some attribute.
    OneOfForAny(&'static [Scope]),
    /// This one, for all attributes or for this one.
    For(Scope, AttributeName),
    /// What is enough to know whether somebody has a value of this attribute: to see it masked, to read it, or to write it.
    There(AttributeName),
}

impl Need {
    /// Whether some scopes are enough.
    #[must_use]
    pub fn is_met_by(&self, scopes: &Scopes) -> bool {
        match self {
            Self::OneOf(any) => any.iter().any(|scope| scopes.contains(*scope)),
            Self::OneOfForAny(any) => any.iter().any(|scope| scopes.contains_for_any(*scope)),
            Self::For(scope, attribute) => scopes.contains_for(*scope, attribute.as_str()),
            Self::There(attribute) => {
                THERE.iter().any(|scope| scopes.contains_for(*scope, attribute.as_str()))
            }
        }
    }
}

/// Whoever has one of these may know that there is a value.
const THERE: [Scope; 3] = [Scope::UsersRead, Scope::PiiRead, Scope::UsersWrite];

impl From<&'static [Scope]> for Need {
    fn from(any: &'static [Scope]) -> Self {
        Self::OneOf(any)
    }
}

impl<const N: usize> From<&'static [Scope; N]> for Need {
    fn from(any: &'static [Scope; N]) -> Self {
        Self::OneOf(any)
    }
}

/// What an error says: `users:read` or `users:write`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(any) | Self::OneOfForAny(any) => {
                let any: Vec<_> = any.iter().map(|scope| format!("`{scope}`")).collect();
                f.write_str(&any.join(" or "))
            }
            Self::For(scope, attribute) => write!(f, "`{scope}` or `{scope}:{}`", attribute.as_str()),
            Self::There(attribute) => {
                let name = attribute.as_str();
                write!(f, "`users:read`, `pii:read:{name}` or `users:write:{name}`")
            }
        }
    }
}
