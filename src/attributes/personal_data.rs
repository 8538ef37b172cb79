use crate::envelope::Encrypted;

/// A row that has a column for the values of an attribute.
pub trait Holds<A> {
    /// The column's value.
    fn sealed(&self) -> Option<&Encrypted<A>>;
}

/// Lists the attributes of a row, once. Whatever goes through a person's attributes is made of this list: changes, the
/// registry's view of the row, and [`Holds`]. A field of the model that is in no list does not compile.
macro_rules! personal_data {
    (
        $model:ident { subject: $subject:ident in $column:expr, plain: $plain:tt }
        $($field:ident: $attribute:ident,)*
    ) => {
        ::oubliette_keys::sealed_row!($model {
            subject: $subject in $column,
            sealed: [$($field),*],
            plain: $plain,
        });

        /// What becomes of each personal attribute, checked.
        #[derive(Debug, Default)]
        pub struct PersonalChanges {
            $(
                #[doc = concat!("Of the attribute [`", stringify!($attribute), "`].")]
                pub $field: $crate::attributes::Change<$crate::envelope::Personal<$attribute>>,
            )*
        }

        impl PersonalChanges {
            /// The attributes' names in the API.
            pub const FIELDS: &'static [&'static str] =
                &[$(<$attribute as $crate::envelope::Attribute>::FIELD),*];

            /// The names of the attributes that change.
            #[must_use]
            pub fn names(&self) -> Vec<$crate::attributes::AttributeName> {
                let mut names = Vec::new();
                $(
                    if self.$field != $crate::attributes::Change::Keep {
                        names.push($crate::attributes::AttributeName::of::<$attribute>());
                    }
                )*
                names
            }

            /// Whether anything has to be sealed.
            #[must_use]
            pub fn seals(&self) -> bool {
                false $(|| matches!(self.$field, $crate::attributes::Change::Replace(_)))*
            }

            /// Makes the changes to a row. New values need a sealer.
            ///
            /// # Errors
            ///
            /// [`SealError`](crate::envelope::SealError); then the row is changed in part.
            pub fn apply(
                &self,
                sealer: Option<$crate::keys::subjects::Sealer<'_>>,
                row: &mut $model,
            ) -> Result<(), $crate::envelope::SealError> {
                $(self.$field.apply(sealer, &mut row.$field)?;)*
                Ok(())
            }
        }

        $(
            impl $crate::attributes::Holds<$attribute> for $model {
                fn sealed(&self) -> Option<&$crate::envelope::Encrypted<$attribute>> {
                    self.$field.as_ref()
                }
            }
        )*
    };
}

pub(crate) use personal_data;
