//! The GraphQL API: resolvers that translate between requests and [`Users`], and nothing more.
//!
//! A resolver never sees a key or a ciphertext. Every error leaves through [`errors`], which decides what
//! a client may know. `schema.graphql` is made from this room by `oubliette-admin schema`.

mod audit_event;
mod connection;
mod document_size;
mod documents;
mod erasure;
pub mod errors;
mod mutation;
mod nullable;
mod preflight;
mod query;
mod scalars;
mod session;
mod user;

use async_graphql::{EmptySubscription, Request, Response, SDLExportOptions, SchemaBuilder};
use chrono::{DateTime, Utc};

use crate::{
    access::Budget,
    audit::{AuditError, Trail},
    config::GraphqlConfig,
    users::Users,
};
use documents::Documents;
use mutation::Mutation;
use preflight::Preflight;
use query::Query;
use session::Seen;
pub use session::Session;

/// The executable schema.
pub type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// The schema over `users`, with the configured limits.
#[must_use]
pub fn schema(users: Users, budget: Budget, trail: Trail, config: &GraphqlConfig) -> Schema {
    let mut builder = builder()
        .data(users)
        .data(budget)
        .data(trail)
        .data(Documents::new())
        .data(Preflight::new(config, &sdl()))
        .limit_depth(config.max_depth)
        .limit_complexity(config.max_complexity)
        .limit_directives(config.max_directives);
    if !config.introspection {
        // A suggestion ("did you mean …") tells the schema, too.
        builder = builder.disable_introspection().disable_suggestions();
    }
    builder.finish()
}

/// Runs one request, if it keeps to the limits. What it looked at is in the audit trail before it is answered,
/// if that is required.
///
/// # Errors
///
/// [`AuditError`]: what was read cannot be recorded, and so must not be answered. A change may have been made.
pub async fn execute(
    schema: &Schema,
    session: Session,
    mut request: Request,
) -> Result<Response, AuditError> {
    let parsed = match schema.data::<Documents>() {
        Some(documents) => documents.parse(&mut request).await,
        None => Ok(()),
    };
    let checked = parsed
        .and_then(|()| schema.data::<Preflight>().map_or(Ok(()), |preflight| preflight.check(&mut request)));
    let response = match checked {
        Ok(()) => schema.execute(request.data(session.clone())).await,
        Err(error) => Response::from_errors(vec![error]),
    };
    if let Some(trail) = schema.data::<Trail>() {
        let Seen { looks, refusals, .. } = session.take_seen();
        trail.record_soon(&refusals);
        trail.record_reads(&looks).await?;
    }
    Ok(errors::shortened(response))
}

/// The schema in the schema definition language: what `schema.graphql` holds.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl_with_options(SDLExportOptions::new().prefer_single_line_descriptions())
}

fn builder() -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query, Mutation, EmptySubscription).override_output_type_description::<DateTime<Utc>>(
        "A point in time, RFC 3339 in UTC with microseconds: `2026-11-23T21:05:00.123456+00:00`.",
    )
}
