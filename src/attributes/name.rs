use std::{borrow::Cow, fmt};

use crate::envelope::Attribute;

/// What the audit trail calls an attribute: `email`, or `email_masked` for a look at masked values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttributeName {
    name: Cow<'static, str>,
    masked: bool,
}

impl AttributeName {
    /// The name of a personal attribute.
    #[must_use]
    pub const fn of<A: Attribute>() -> Self {
        Self::plain(const { short(A::NAME) })
    }

    /// The name of an attribute that is not personal.
    #[must_use]
    pub const fn plain(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), masked: false }
    }

    /// The name of a personal attribute whose type is not known: `users.email`.
    #[must_use]
    pub fn of_field(name: &str) -> Self {
        Self { name: Cow::Owned(short(name).to_owned()), masked: false }
    }

    /// The same attribute, masked.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { masked: true, ..self }
    }

    /// The name, whether the attribute is masked or not.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.masked { "_masked" } else { "" })
    }
}

/// The name within the table: what stands after the dot of `users.email`.
const fn short(name: &str) -> &str {
    let bytes = name.as_bytes();
    let mut start = bytes.len();
    // The compiler runs no iterators.
    while start > 0 && bytes[start - 1] != b'.' {
        start -= 1;
    }
    // A dot is a character of its own in UTF-8.
    name.split_at(start).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_stands_after_the_last_dot() {
        for (name, expected) in
            [("users.email", "email"), ("email", "email"), ("a.b.ü", "ü"), ("a.", ""), ("", "")]
        {
            assert_eq!(AttributeName::of_field(name).as_str(), expected);
        }
    }
}
