use std::{fmt, marker::PhantomData};

use zeroize::{Zeroize, zeroize_stack};

use super::{DataKey, OpenError, Sealed, data_key::STACK_OF_CIPHER};

/// What those who open with an opener have on the stack between its drop and the cipher, and some more, in bytes.
const STACK_BETWEEN: usize = 4 * 1024;

/// Opens values one after another into one buffer: for callers who copy each value on at once, as into a page of many
/// people. Nothing is allocated for a value, and the buffer and the stack are wiped once, when the opener is dropped.
///
/// It stays on its thread, whose stack it wipes: so it cannot be held while something is awaited in a task that moves.
///
/// ```
/// use oubliette_envelope::{
///     Attribute, AttributeError, DataKey, DataKeyId, Encrypted, KeyMaterial, KeyVersion, Opener, Personal, PersonalText,
///     SubjectId,
/// };
///
/// enum Name {}
///
/// impl Attribute for Name {
///     const NAME: &'static str = "people.name";
///     const FIELD: &'static str = "name";
///
///     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
///         Ok(PersonalText::new(input.to_owned()))
///     }
/// }
///
/// let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
/// let key = DataKey::new(id, &KeyMaterial::generate()?);
/// let names: Vec<Encrypted<Name>> =
///     ["Ada", "Grace"].into_iter().map(|name| Ok(key.seal(&Personal::parse(name)?)?)).collect::<Result<_, Box<dyn std::error::Error>>>()?;
///
/// let (mut opener, mut line) = (Opener::new(), String::new());
/// for name in &names {
///     line.push_str(opener.open(&key, name.as_sealed())?);
///     line.push(' ');
/// }
/// assert_eq!(line, "Ada Grace ");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Opener {
    text: Vec<u8>,
    /// On this thread's stack, there is something to be wiped.
    used: bool,
    thread: PhantomData<*const ()>,
}

impl Opener {
    /// Nothing opened yet.
    #[must_use]
    pub fn new() -> Self {
        Self { text: Vec::new(), used: false, thread: PhantomData }
    }

    /// Opens a value. It stays until the next one is opened.
    ///
    /// # Errors
    ///
    /// [`OpenError`], as for [`DataKey::open`].
    pub fn open<'o>(&'o mut self, key: &DataKey, value: Sealed<'_>) -> Result<&'o str, OpenError> {
        self.used = true;
        let length = value.as_bytes().len();
        if self.text.capacity() < length {
            // A vector that grows by itself leaves a copy behind.
            self.text.zeroize();
            self.text = Vec::with_capacity(length.next_power_of_two());
        }
        self.text.clear();
        key.open_into(value, &mut self.text)?;
        std::str::from_utf8(&self.text).map_err(|_| OpenError::NotText)
    }
}

impl Default for Opener {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.text.zeroize();
        if self.used {
            zeroize_stack::<{ STACK_OF_CIPHER + STACK_BETWEEN }>();
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataKeyId, KeyMaterial, KeyVersion, SubjectId};

    fn key(material: u8) -> DataKey {
        let id = DataKeyId {
            subject: SubjectId::from(uuid::Uuid::from_bytes([1; 16])),
            version: KeyVersion::FIRST,
        };
        DataKey::new(id, &KeyMaterial::from_slice(&[material; 32]).unwrap())
    }

    #[test]
    fn each_value_is_alone_in_the_buffer_and_one_that_does_not_open_leaves_nothing_there() {
        let (key, other) = (key(1), key(2));
        let long = "x".repeat(300);
        let sealed = [&*long, "", "Ada"].map(|text| key.seal_bytes("a.b", text.as_bytes()).unwrap());
        let foreign = other.seal_bytes("a.b", b"Grace").unwrap();
        let mut opener = Opener::new();
        for (sealed, text) in sealed.iter().zip([&*long, "", "Ada"]) {
            assert_eq!(opener.open(&key, Sealed::new("a.b", sealed)), Ok(text));
            assert_eq!(opener.open(&key, Sealed::new("a.c", sealed)), Err(OpenError::NotAuthentic));
            assert_eq!(opener.open(&key, Sealed::new("a.b", &foreign)), Err(OpenError::NotAuthentic));
            assert_eq!(
                opener.open(&key, Sealed::new("a.b", &sealed[..9])),
                Err(crate::FormatError::TooShort.into())
            );
        }
        let bytes = key.seal_bytes("a.b", &[0xff, 0xfe]).unwrap();
        assert_eq!(opener.open(&key, Sealed::new("a.b", &bytes)), Err(OpenError::NotText));
        assert_eq!(opener.open(&key, Sealed::new("a.b", &sealed[2])), Ok("Ada"));
    }
}
