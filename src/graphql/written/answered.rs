use std::borrow::Cow;

use async_graphql::{
    ContextSelectionSet, OutputType, Positioned, ServerResult, Value, parser::types::Field,
    registry::Registry,
};
use bytes::Bytes;

/// What a field answers: finished JSON, or a value whose fields are to be resolved. For the schema, it is that value.
pub(in crate::graphql) enum Answered<T> {
    /// JSON. In the library's response, it is a `Value::Binary`, as nothing else is: see [`Answer`](super::super::Answer).
    Written(Bytes),
    /// To be resolved.
    Resolved(T),
}

/// In a request's data: nothing is written, everything is resolved.
pub(in crate::graphql) struct ResolveAll;

impl<T> Answered<T> {
    /// The same with another value to be resolved.
    pub(in crate::graphql) fn map<U>(self, map: impl FnOnce(T) -> U) -> Answered<U> {
        match self {
            Self::Written(json) => Answered::Written(json),
            Self::Resolved(value) => Answered::Resolved(map(value)),
        }
    }
}

impl<T: OutputType> OutputType for Answered<T> {
    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn qualified_type_name() -> String {
        T::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    async fn resolve(
        &self,
        context: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        match self {
            Self::Written(json) => Ok(Value::Binary(json.clone())),
            Self::Resolved(value) => value.resolve(context, field).await,
        }
    }
}
