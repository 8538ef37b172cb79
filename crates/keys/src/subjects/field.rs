//! What a field of a model is, by its type: of this, [`sealed_model!`](crate::sealed_model) makes what a row holds.

use std::marker::PhantomData;

use crate::envelope::{Attribute, SealedColumn, SealedField, SealedMut};

/// A field of this type. For types that are sealed columns, the methods below; for all others, those of [`PlainField`], since
/// a type's own methods come first. A sealed column whose values are of no attribute is an error, and no plain field:
///
/// ```compile_fail,E0277
/// use oubliette_keys::{envelope::Encrypted, subjects::field::{FieldOf, PlainField as _}};
///
/// struct NoAttribute;
///
/// fn visit(field: &Encrypted<NoAttribute>) {
///     FieldOf::<Encrypted<NoAttribute>>::sealed(field);
/// }
/// ```
#[derive(Debug)]
pub struct FieldOf<T>(PhantomData<fn() -> T>);

impl<T: SealedColumn> FieldOf<T> {
    pub const SEALED: usize = 1;

    // The bound is here and not above, where it would make a plain field of what does not meet it.
    pub fn sealed(field: &T) -> Option<SealedField<'_>>
    where
        T::Attribute: Attribute,
    {
        Some(field.field())
    }

    pub fn sealed_mut(field: &mut T) -> Option<SealedMut<'_>>
    where
        T::Attribute: Attribute,
    {
        field.field_mut()
    }
}

/// A field that holds no sealed value.
pub trait PlainField {
    type Type;

    const SEALED: usize = 0;

    #[must_use]
    fn sealed(_: &Self::Type) -> Option<SealedField<'_>> {
        None
    }

    #[must_use]
    fn sealed_mut(_: &mut Self::Type) -> Option<SealedMut<'_>> {
        None
    }
}

impl<T> PlainField for FieldOf<T> {
    type Type = T;
}
