use super::{Attribute, Encrypted, FormatError, Header, NamedAttribute, SubjectId, attribute::mask_all};

/// A row that holds sealed values of one subject. Rotation, verification, forgetting and whatever else goes through
/// all of a person's data sees a row as this, and knows none of its attributes.
pub trait SealedRow {
    /// The subject whose data the row holds.
    fn subject(&self) -> SubjectId;

    /// Visits each sealed field of the row, also one without a value.
    fn each_sealed(&self, visit: &mut dyn FnMut(SealedField<'_>));

    /// Visits each sealed value of the row, so that it can be [sealed anew](super::DataKey::reseal).
    fn each_sealed_mut(&mut self, visit: &mut dyn FnMut(SealedMut<'_>));
}

/// A field of a row that holds a sealed value, or none.
#[derive(Clone, Copy, Debug)]
pub struct SealedField<'a> {
    /// The attribute's name.
    pub name: &'a str,
    /// The attribute's mask: [`Attribute::mask`].
    pub mask: fn(&str) -> String,
    /// The sealed value.
    pub value: Option<Sealed<'a>>,
}

/// A sealed value of some attribute.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Sealed bytes, and the name of the attribute that they are said to be bound to. Opening tells whether they are.
    #[must_use]
    pub fn new(name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, bytes }
    }

    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the value says about itself: above all, which data key opens it.
    ///
    /// # Errors
    ///
    /// [`FormatError`] if the bytes cannot be a sealed attribute.
    pub fn header(&self) -> Result<Header, FormatError> {
        Header::parse(self.bytes)
    }

    /// The name of the attribute that the value is bound to.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }
}

impl std::fmt::Debug for Sealed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// A sealed value that can be replaced by the same one, sealed anew, and by nothing else.
#[derive(Debug)]
pub struct SealedMut<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: &'a mut Vec<u8>,
}

impl SealedMut<'_> {
    /// The value as it is.
    #[must_use]
    pub fn as_sealed(&self) -> Sealed<'_> {
        Sealed { name: self.name, bytes: self.bytes }
    }
}

/// A column that holds a sealed value, or may hold one. The macro `sealed_row!` of `oubliette-keys` sees columns as this.
pub trait SealedColumn {
    /// The attribute whose values the column holds.
    type Attribute;

    /// The sealed value.
    fn value(&self) -> Option<&Encrypted<Self::Attribute>>;

    /// The sealed value, to be sealed anew.
    fn value_mut(&mut self) -> Option<&mut Encrypted<Self::Attribute>>;

    /// The column as a field of a [`SealedRow`].
    fn field(&self) -> SealedField<'_>
    where
        Self::Attribute: Attribute,
    {
        SealedField {
            name: Self::Attribute::NAME,
            mask: Self::Attribute::mask,
            value: self.value().map(Encrypted::as_sealed),
        }
    }

    /// The same, for an attribute whose name stands in the row.
    fn field_named<'a>(&'a self, name: &'a str) -> SealedField<'a>
    where
        Self::Attribute: NamedAttribute,
    {
        let value = self.value().map(|value| Sealed { name, bytes: value.as_bytes() });
        SealedField { name, mask: mask_all, value }
    }

    /// The column's value, to be sealed anew.
    fn field_mut(&mut self) -> Option<SealedMut<'_>>
    where
        Self::Attribute: Attribute,
    {
        self.value_mut().map(|value| SealedMut { name: Self::Attribute::NAME, bytes: value.sealed_mut() })
    }

    /// The same, for an attribute whose name stands in the row.
    fn field_named_mut<'a>(&'a mut self, name: &'a str) -> Option<SealedMut<'a>>
    where
        Self::Attribute: NamedAttribute,
    {
        self.value_mut().map(|value| SealedMut { name, bytes: value.sealed_mut() })
    }
}

impl<A> SealedColumn for Encrypted<A> {
    type Attribute = A;

    fn value(&self) -> Option<&Self> {
        Some(self)
    }

    fn value_mut(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

impl<A> SealedColumn for Option<Encrypted<A>> {
    type Attribute = A;

    fn value(&self) -> Option<&Encrypted<A>> {
        self.as_ref()
    }

    fn value_mut(&mut self) -> Option<&mut Encrypted<A>> {
        self.as_mut()
    }
}
