use super::PersonalText;

/// Longest [`Attribute::NAME`], in bytes: it is part of every associated data, which lives on the stack.
pub const MAX_NAME_LENGTH: usize = 64;

/// One kind of personal value: an e-mail address, a phone number.
///
/// An attribute is a newtype around [`PersonalText`], so it is wiped when dropped and never printed by
/// `Debug`. To add one: write the newtype, a column of type
/// [`Encrypted<A>`](super::Encrypted), a migration, a resolver line and an input field.
pub trait Attribute: Sized + Send + Sync + 'static {
    /// The stable name, `table.column`, at most [`MAX_NAME_LENGTH`] bytes.
    ///
    /// It is authenticated with every sealed value. Changing it makes all sealed values unreadable.
    const NAME: &'static str;

    /// Checks what a person typed and brings it into its one normal form.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] says what is wrong, without repeating the value.
    fn parse(input: &str) -> Result<Self, AttributeError>;

    /// Takes a value that was sealed earlier, without checking it again: what was accepted once stays
    /// readable when the rules become stricter.
    fn from_opened(text: PersonalText) -> Self;

    /// The plaintext.
    fn text(&self) -> &PersonalText;

    /// Gives the plaintext away, for an answer to somebody who may see it.
    fn into_text(self) -> PersonalText;
}

/// Why an attribute's value was refused. The message is for the person who typed it and does not
/// repeat the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttributeError(pub(super) &'static str);
