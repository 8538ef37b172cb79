//! [`Encrypted`] as a SeaORM column: binary, decoded without looking at it.
//!
//! SeaORM turns a decoding error in a joined row into an absent row, so decoding accepts any bytes and
//! damage shows when the value is opened.

use sea_orm::{
    ColIdx, IntoActiveValue, QueryResult, Set, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, StringLen, ValueType, ValueTypeErr},
};

use super::Encrypted;

impl<A> From<Encrypted<A>> for Value {
    fn from(value: Encrypted<A>) -> Self {
        Self::Bytes(Some(value.into_sealed()))
    }
}

impl<A> TryGetable for Encrypted<A> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        Vec::try_get_by(row, index).map(Self::from_sealed)
    }
}

impl<A> ValueType for Encrypted<A> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <Vec<u8> as ValueType>::try_from(value).map(Self::from_sealed)
    }

    fn type_name() -> String {
        "Encrypted".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::Bytes
    }

    fn column_type() -> ColumnType {
        ColumnType::VarBinary(StringLen::None)
    }
}

impl<A> Nullable for Encrypted<A> {
    fn null() -> Value {
        Value::Bytes(None)
    }
}

impl<A> IntoActiveValue<Self> for Encrypted<A> {
    fn into_active_value(self) -> sea_orm::ActiveValue<Self> {
        Set(self)
    }
}
