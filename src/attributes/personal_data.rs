/// Lists the attributes of a row, once. Whatever goes through a person's attributes is made of this list: changes, the
/// and the
/// registry's view of the row. A field of the model that is in no list does not compile.
macro_rules! personal_data {
    (
        $model:ident {
            subject: $subject:ident in $column:expr,
            plain: [$($plain:ident in $plain_column:expr),* $(,)?] $(,)?
        }
        $($field:ident: $attribute:ident,)*
    ) => {
        ::oubliette_keys::sealed_row!($model {
            subject: $subject in $column,
            sealed: [$($field),*],
            plain: [$($plain),*],
        });

        impl $model {
            /// A row with all columns in the order of [`Column`], found by their places. What is null there and cannot be null is
            /// empty: it was not selected.
            ///
            /// # Errors
            ///
            /// The database's error: a value has another type.
            pub fn by_places(row: &::sea_orm::QueryResult) -> Result<Self, ::sea_orm::DbErr> {
                Ok(Self {
                    $subject: row.try_get_by_index($column as usize)?,
                    $($plain: row.try_get_by_index::<Option<_>>($plain_column as usize)?.unwrap_or_default(),)*
                    $($field: row.try_get_by_index(Column::$attribute as usize)?,)*
                })
            }
        }

        /// What becomes of each personal attribute, checked.
        #[derive(Debug, Default)]
        pub struct PersonalChanges {
            $(
                #[doc = concat!("Of the attribute [`", stringify!($attribute), "`].")]
                pub $field: $crate::attributes::Change<$crate::envelope::Personal<$attribute>>,
            )*
        }

        /// One of the personal attributes, where it is known only at run time which.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum PersonalAttribute {
            $(
                #[doc = concat!("The attribute [`", stringify!($attribute), "`](type@", stringify!($attribute), ").")]
                $attribute,
            )*
        }

        impl PersonalAttribute {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$attribute),*];

            /// The name in the API.
            #[must_use]
            pub const fn field(self) -> &'static str {
                match self {
                    $(Self::$attribute => <$attribute as $crate::envelope::Attribute>::FIELD,)*
                }
            }

            /// The name in the audit trail.
            #[must_use]
            pub const fn name(self) -> $crate::attributes::AttributeName {
                match self {
                    $(Self::$attribute => $crate::attributes::AttributeName::of::<$attribute>(),)*
                }
            }

            /// What its values are.
            #[must_use]
            pub const fn kind(self) -> $crate::attributes::AttributeKind {
                match self {
                    $(Self::$attribute => <$attribute as $crate::attributes::HasKind>::KIND,)*
                }
            }

            /// A value, masked.
            #[must_use]
            pub fn mask(self, text: &str) -> String {
                match self {
                    $(Self::$attribute => <$attribute as $crate::envelope::Attribute>::mask(text),)*
                }
            }

            /// The column, which has the name of the attribute's type.
            #[must_use]
            pub const fn column(self) -> Column {
                match self {
                    $(Self::$attribute => Column::$attribute,)*
                }
            }

            /// A row's value.
            #[must_use]
            pub fn sealed(self, row: &$model) -> Option<$crate::envelope::Sealed<'_>> {
                match self {
                    $(Self::$attribute => row.$field.as_ref().map($crate::envelope::Encrypted::as_sealed),)*
                }
            }
        }

        impl PersonalChanges {
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

            /// Checks what becomes of one attribute.
            ///
            /// # Errors
            ///
            /// [`AttributeError`](crate::envelope::AttributeError), by the attribute's own rules.
            pub fn set(
                &mut self,
                attribute: PersonalAttribute,
                change: $crate::attributes::Change<&str>,
            ) -> Result<(), $crate::envelope::AttributeError> {
                match attribute {
                    $(PersonalAttribute::$attribute => self.$field = $crate::attributes::Change::parse(change)?,)*
                }
                Ok(())
            }

            /// Whether one attribute changes.
            #[must_use]
            pub fn has(&self, attribute: PersonalAttribute) -> bool {
                match attribute {
                    $(PersonalAttribute::$attribute => self.$field != $crate::attributes::Change::Keep,)*
                }
            }

            /// The new value of one attribute, if there is one.
            #[must_use]
            pub fn new_value(&self, attribute: PersonalAttribute) -> Option<&$crate::envelope::PersonalText> {
                match attribute {
                    $(PersonalAttribute::$attribute => match &self.$field {
                        $crate::attributes::Change::Replace(value) => Some(value.as_text()),
                        _ => None,
                    },)*
                }
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
    };
}

pub(crate) use personal_data;
