use std::borrow::Cow;

use super::PersonalText;

/// Longest [`Attribute::NAME`], in bytes: it is part of every associated data, which lives on the stack.
pub const MAX_NAME_LENGTH: usize = 64;

/// What a masked value shows if its attribute does not say more.
const MASKED: &str = "•••••";

/// One kind of personal value: an e-mail address, a phone number. An attribute is a type without values; a value of it
/// is a [`Personal<A>`](super::Personal), and a sealed one an [`Encrypted<A>`](super::Encrypted).
///
/// ```
/// use oubliette_envelope::{Attribute, AttributeError, Personal, PersonalText};
///
/// enum Nickname {}
///
/// impl Attribute for Nickname {
///     const NAME: &'static str = "people.nickname";
///     const FIELD: &'static str = "nickname";
///
///     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
///         match input.trim() {
///             "" => Err(AttributeError::new("is empty")),
///             name => Ok(PersonalText::new(name.to_owned())),
///         }
///     }
/// }
///
/// let nickname = Personal::<Nickname>::parse(" Ada ")?;
/// assert_eq!((nickname.expose(), &*nickname.masked()), ("Ada", "•••••"));
/// # Ok::<(), AttributeError>(())
/// ```
pub trait Attribute: Send + Sync + 'static {
    /// The stable name, `table.column`, at most [`MAX_NAME_LENGTH`] bytes.
    ///
    /// It is authenticated with every sealed value. Changing it makes all sealed values unreadable.
    const NAME: &'static str;

    /// The name of the attribute's field in an API, which errors about its value begin with.
    const FIELD: &'static str;

    /// Checks what a person typed and brings it into its one normal form. A value that was sealed is not checked again:
    /// it stays readable when the rules become stricter.
    ///
    /// # Errors
    ///
    /// [`AttributeError`] says what is wrong, without repeating the value.
    fn parse(input: &str) -> Result<PersonalText, AttributeError>;

    /// As much of a value as lets a reader who knows it recognise it. By default nothing: `•••••`.
    #[must_use]
    fn mask(text: &str) -> String {
        mask_all(text)
    }
}

/// The mask that shows nothing of a value.
pub(super) fn mask_all(_: &str) -> String {
    MASKED.to_owned()
}

/// An attribute that has its names from data: a row says which one a value is of. The program checks such values itself.
pub trait NamedAttribute: Send + Sync + 'static {}

/// Why an attribute's value was refused. The message is for the person who typed it and does not
/// repeat the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AttributeError(Cow<'static, str>);

impl AttributeError {
    /// `problem` is the end of a sentence that begins with the field's name, such as "is empty".
    #[must_use]
    pub fn new(problem: impl Into<Cow<'static, str>>) -> Self {
        Self(problem.into())
    }
}
