use std::ops::Deref;

use sea_orm::{
    ColIdx, DbErr, IntoActiveValue, QueryResult, Set, TryFromU64, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, StringLen, ValueType, ValueTypeErr},
};

use crate::attributes::{MAX_ATTRIBUTE_NAME, SEALED_PREFIX};

/// The name that a declared attribute's values are bound to: `attributes.full_name`. The column has it without the first part, which all
/// rows have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SealedName(String);

impl SealedName {
    /// Of the attribute with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(format!("{SEALED_PREFIX}{name}"))
    }

    /// The attribute's name: `full_name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.strip_prefix(SEALED_PREFIX).unwrap_or(&self.0)
    }
}

/// The whole name.
impl Deref for SealedName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<SealedName> for Value {
    fn from(name: SealedName) -> Self {
        name.name().into()
    }
}

impl TryGetable for SealedName {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        String::try_get_by(row, index).map(|name| Self::of(&name))
    }
}

impl ValueType for SealedName {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <String as ValueType>::try_from(value).map(|name| Self::of(&name))
    }

    fn type_name() -> String {
        "SealedName".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::String
    }

    fn column_type() -> ColumnType {
        ColumnType::String(StringLen::N(MAX_ATTRIBUTE_NAME))
    }
}

/// No number is one.
impl TryFromU64 for SealedName {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("SealedName"))
    }
}

impl Nullable for SealedName {
    fn null() -> Value {
        Value::String(None)
    }
}

impl IntoActiveValue<Self> for SealedName {
    fn into_active_value(self) -> sea_orm::ActiveValue<Self> {
        Set(self)
    }
}
