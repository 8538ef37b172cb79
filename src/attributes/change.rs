use crate::{
    envelope::{Attribute, AttributeError, Encrypted, Personal, SealError},
    keys::subjects::Sealer,
};

/// What becomes of an attribute when a row is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is. In a new row, it is absent.
    #[default]
    Keep,
    /// It is removed.
    Remove,
    /// It is replaced.
    Replace(T),
}

impl<T> Change<T> {
    /// Applies `f` to the new value, if there is one.
    ///
    /// # Errors
    ///
    /// That of `f`.
    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Change<U>, E> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Remove => Change::Remove,
            Self::Replace(value) => Change::Replace(f(value)?),
        })
    }
}

impl<A: Attribute> Change<Personal<A>> {
    /// Checks what a person typed.
    ///
    /// # Errors
    ///
    /// [`AttributeError`], by the attribute's own rules.
    pub fn parse(input: Change<&str>) -> Result<Self, AttributeError> {
        input.try_map(Personal::parse)
    }

    /// Makes the change to a column. A new value needs a sealer.
    pub(crate) fn apply(
        &self,
        sealer: Option<Sealer<'_>>,
        column: &mut Option<Encrypted<A>>,
    ) -> Result<(), SealError> {
        match self {
            Self::Keep => {}
            Self::Remove => *column = None,
            Self::Replace(value) => *column = Some(sealer.ok_or(SealError)?.seal(value)?),
        }
        Ok(())
    }
}

impl<'a> From<Option<&'a str>> for Change<&'a str> {
    /// What is not given stays.
    fn from(given: Option<&'a str>) -> Self {
        given.map_or(Self::Keep, Self::Replace)
    }
}
