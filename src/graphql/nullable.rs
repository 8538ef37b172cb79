use std::future::Future;

use async_graphql::{Error, Result};

/// What a resolver of a nullable field returns.
///
/// Not `Result<Option<T>>`: async-graphql 7 leaves a field whose resolver fails out of the answer. The
/// GraphQL specification (6.4.4, handling execution errors) wants null there, which the error of the value
/// inside an `Option` becomes.
pub(super) type Nullable<T> = Option<Result<T, Error>>;

/// Runs the body of a resolver of a nullable field.
pub(super) async fn nullable<T>(resolve: impl Future<Output = Result<Option<T>, Error>>) -> Nullable<T> {
    resolve.await.transpose()
}
