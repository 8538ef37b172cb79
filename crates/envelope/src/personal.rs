use std::{fmt, marker::PhantomData};

use super::{Attribute, AttributeError, PersonalText};

/// A value of one attribute, in the clear. Wiped when dropped; `Debug` shows nothing of it.
pub struct Personal<A> {
    text: PersonalText,
    attribute: PhantomData<fn() -> A>,
}

impl<A: Attribute> Personal<A> {
    /// Checks what a person typed, and takes its normal form.
    ///
    /// # Errors
    ///
    /// [`AttributeError`], by the attribute's own rules.
    pub fn parse(input: &str) -> Result<Self, AttributeError> {
        A::parse(input).map(Self::from_opened)
    }

    /// The value, masked.
    #[must_use]
    pub fn masked(&self) -> String {
        A::mask(self.text.expose())
    }
}

impl<A> Personal<A> {
    pub(super) fn from_opened(text: PersonalText) -> Self {
        Self { text, attribute: PhantomData }
    }

    /// The plaintext.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The same value of no attribute in particular.
    #[must_use]
    pub fn as_text(&self) -> &PersonalText {
        &self.text
    }

    /// The plaintext, given away: from here on, nobody wipes it.
    #[must_use]
    pub fn into_exposed(self) -> String {
        self.text.into_exposed()
    }
}

// By hand: a derive would ask the same of `A`, of which nothing is held.
impl<A> Clone for Personal<A> {
    fn clone(&self) -> Self {
        Self::from_opened(self.text.clone())
    }
}

impl<A> PartialEq for Personal<A> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<A> Eq for Personal<A> {}

impl<A> fmt::Debug for Personal<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
