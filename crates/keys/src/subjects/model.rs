use sea_orm::{EntityTrait, FromQueryResult, IntoActiveModel, ModelTrait};

use crate::envelope::SealedRow;

/// A SeaORM model that holds sealed values of one subject. [`sealed_model!`](crate::sealed_model) and
/// [`sealed_row!`](crate::sealed_row) implement it.
pub trait SealedModel:
    ModelTrait<Entity: EntityTrait<Model = Self, ActiveModel: Send>>
    + IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel>
    + FromQueryResult
    + SealedRow
    + Send
    + Sync
    + 'static
{
    /// How many fields hold sealed values.
    const SEALED: usize;

    /// The column that holds the subject's id.
    fn subject_column() -> <Self::Entity as EntityTrait>::Column;
}

/// Makes a [`SealedModel`](crate::subjects::SealedModel) of a SeaORM model; says whose rows they are. Every field of the type
/// `Encrypted<A>` or `Option<Encrypted<A>>` is sealed, and no other: it is the type that says so, and one more sealed field is one
/// more line.
///
/// ```
/// use oubliette_keys::{envelope::{Attribute, AttributeError, Encrypted, PersonalText}, sealed_model, subjects::SealedModel};
/// use sea_orm::entity::prelude::*;
///
/// pub enum Note {}
///
/// impl Attribute for Note {
///     const NAME: &'static str = "visits.note";
///     const FIELD: &'static str = "note";
///
///     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
///         Ok(PersonalText::new(input.to_owned()))
///     }
/// }
///
/// sealed_model! {
///     subject: patient_id in Column::PatientId;
///
///     #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
///     #[sea_orm(table_name = "visits")]
///     pub struct Model {
///         #[sea_orm(primary_key, auto_increment = false)]
///         pub id: Uuid,
///         pub patient_id: Uuid,
///         pub note: Option<Encrypted<Note>>,
///     }
/// }
///
/// #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
/// pub enum Relation {}
///
/// impl ActiveModelBehavior for ActiveModel {}
///
/// assert_eq!(Model::SEALED, 1);
/// ```
///
/// A sealed value within another type is not seen. Such a column is binary all the same, and
/// [`unregistered`](crate::subjects::unregistered) finds it.
#[macro_export]
macro_rules! sealed_model {
    (
        subject: $subject:ident in $column:expr;
        $(#[$meta:meta])*
        $visibility:vis struct $model:ident {
            $($(#[$field_meta:meta])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $visibility struct $model {
            $($(#[$field_meta])* $field_visibility $field: $type,)*
        }

        const _: () = {
            #[allow(unused_imports, reason = "a model may have sealed fields only")]
            use $crate::subjects::field::{FieldOf, PlainField as _};

            impl $crate::envelope::SealedRow for $model {
                fn subject(&self) -> $crate::envelope::SubjectId {
                    self.$subject.into()
                }

                fn each_sealed(&self, visit: &mut dyn FnMut($crate::envelope::SealedField<'_>)) {
                    $(FieldOf::<$type>::sealed(&self.$field).into_iter().for_each(&mut *visit);)*
                }

                fn each_sealed_mut(&mut self, visit: &mut dyn FnMut($crate::envelope::SealedMut<'_>)) {
                    $(FieldOf::<$type>::sealed_mut(&mut self.$field).into_iter().for_each(&mut *visit);)*
                }
            }

            impl $crate::subjects::SealedModel for $model {
                const SEALED: usize = 0 $(+ FieldOf::<$type>::SEALED)*;

                fn subject_column() -> <Self::Entity as $crate::sea_orm::EntityTrait>::Column {
                    $column
                }
            }
        };
    };
}

/// The same by lists of fields, for a model that stands elsewhere or has attributes with names from its rows. Every field is named: one that is in no list
/// does not compile, and so cannot be left out of a rotation, which would lose it.
///
/// ```
/// use oubliette_keys::{envelope::{Attribute, AttributeError, Encrypted, PersonalText}, sealed_row};
/// use sea_orm::entity::prelude::*;
///
/// pub enum Note {}
///
/// impl Attribute for Note {
///     const NAME: &'static str = "visits.note";
///     const FIELD: &'static str = "note";
///
///     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
///         Ok(PersonalText::new(input.to_owned()))
///     }
/// }
///
/// #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
/// #[sea_orm(table_name = "visits")]
/// pub struct Model {
///     #[sea_orm(primary_key, auto_increment = false)]
///     pub id: Uuid,
///     pub patient_id: Uuid,
///     pub note: Option<Encrypted<Note>>,
/// }
///
/// #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
/// pub enum Relation {}
///
/// impl ActiveModelBehavior for ActiveModel {}
///
/// sealed_row!(Model { subject: patient_id in Column::PatientId, sealed: [note], plain: [id] });
/// ```
///
/// A field that no list names does not compile:
///
/// ```compile_fail,E0027
/// # use oubliette_keys::{envelope::{Attribute, AttributeError, Encrypted, PersonalText}, sealed_row};
/// # use sea_orm::entity::prelude::*;
/// # pub enum Note {}
/// # impl Attribute for Note {
/// #     const NAME: &'static str = "visits.note";
/// #     const FIELD: &'static str = "note";
/// #     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
/// #         Ok(PersonalText::new(input.to_owned()))
/// #     }
/// # }
/// # #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
/// # #[sea_orm(table_name = "visits")]
/// # pub struct Model {
/// #     #[sea_orm(primary_key, auto_increment = false)]
/// #     pub id: Uuid,
/// #     pub patient_id: Uuid,
/// #     pub note: Option<Encrypted<Note>>,
/// #     pub diagnosis: Option<Encrypted<Note>>,
/// # }
/// # #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
/// # pub enum Relation {}
/// # impl ActiveModelBehavior for ActiveModel {}
/// // The model has a field `diagnosis` as well.
/// sealed_row!(Model { subject: patient_id in Column::PatientId, sealed: [note], plain: [id] });
/// ```
///
/// An attribute that has its name from the row stands as `value by name`, where `name` is one of the plain fields:
/// `sealed: [value by name]`.
#[macro_export]
macro_rules! sealed_row {
    ($model:ident {
        subject: $subject:ident in $column:expr,
        sealed: [$($sealed:ident $(by $name:ident)?),* $(,)?],
        plain: [$($plain:ident),* $(,)?] $(,)?
    }) => {
        impl $crate::envelope::SealedRow for $model {
            fn subject(&self) -> $crate::envelope::SubjectId {
                self.$subject.into()
            }

            fn each_sealed(&self, visit: &mut dyn FnMut($crate::envelope::SealedField<'_>)) {
                #[allow(unused_variables)]
                let Self { $subject, $($sealed,)* $($plain,)* } = self;
                $(visit($crate::sealed_row!(@field $sealed $($name)?));)*
            }

            fn each_sealed_mut(&mut self, visit: &mut dyn FnMut($crate::envelope::SealedMut<'_>)) {
                #[allow(unused_variables)]
                let Self { $subject, $($sealed,)* $($plain,)* } = self;
                $($crate::sealed_row!(@field_mut $sealed $($name)?).into_iter().for_each(&mut *visit);)*
            }
        }

        impl $crate::subjects::SealedModel for $model {
            const SEALED: usize = [$(stringify!($sealed)),*].len();

            fn subject_column() -> <Self::Entity as $crate::sea_orm::EntityTrait>::Column {
                $column
            }
        }
    };
    (@field $sealed:ident) => { $crate::envelope::SealedColumn::field($sealed) };
    (@field $sealed:ident $name:ident) => { $crate::envelope::SealedColumn::field_named($sealed, $name) };
    (@field_mut $sealed:ident) => { $crate::envelope::SealedColumn::field_mut($sealed) };
    (@field_mut $sealed:ident $name:ident) => { $crate::envelope::SealedColumn::field_named_mut($sealed, $name) };
}
