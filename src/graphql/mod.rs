//! The GraphQL API: resolvers that translate between requests and [`Users`], and nothing more.
//!
//! A resolver never sees a key or a ciphertext. Every error leaves through `errors.rs`, which decides what
//! a client may know. `schema.graphql` is made from this room by `oubliette-admin schema`.

mod answer;
mod attribute;
mod audit_event;
mod connection;
mod document_size;
mod documents;
mod erasure;
mod errors;
mod find;
mod looks;
mod merge;
mod mutation;
mod nullable;
mod preflight;
mod query;
mod scalars;
mod session;
mod user;
mod written;

use std::sync::Arc;

use async_graphql::{EmptySubscription, Request, Response, SDLExportOptions, SchemaBuilder};
use chrono::{DateTime, Utc};

use crate::{
    access::{Budget, Caller, Refusals},
    audit::{AuditError, Trail},
    config::GraphqlConfig,
    sinks::Receipts,
    users::Users,
};
pub use answer::Answer;
use documents::Documents;
use merge::{Merged, fill_in_defaults, merged};
use mutation::Mutation;
use preflight::Preflight;
use query::Query;
pub use session::Session;
use written::ResolveAll;

type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// The executable schema, and what every request passes before and after it.
pub struct Api {
    schema: Schema,
    documents: Documents,
    preflight: Preflight,
    trail: Trail,
    refusals: Refusals,
    resolves_all: bool,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Api {
    /// The API over `users`, with the configured limits.
    #[must_use]
    pub fn new(
        users: Users,
        receipts: Receipts,
        budget: Budget,
        refusals: Refusals,
        trail: Trail,
        config: &GraphqlConfig,
    ) -> Self {
        let mut builder = builder()
            .data(users)
            .data(receipts)
            .data(budget)
            .data(trail.clone())
            .limit_depth(config.max_depth)
            .limit_complexity(config.max_complexity)
            .limit_directives(config.max_directives);
        if !config.introspection {
            // A suggestion ("did you mean …") tells the schema, too.
            builder = builder.disable_introspection().disable_suggestions();
        }
        Self {
            schema: builder.finish(),
            documents: Documents::new(),
            preflight: Preflight::new(config, &sdl()),
            trail,
            refusals,
            resolves_all: false,
        }
    }

    /// The same with nothing written in one pass: every field is resolved. Slower, with equal answers: for the test that compares
    /// the two.
    #[must_use]
    pub fn resolving_all(self) -> Self {
        Self { resolves_all: true, ..self }
    }

    /// A request of `caller`, to be executed. Whatever becomes of it, what it is refused is recorded.
    #[must_use]
    pub fn session(&self, caller: Arc<Caller>, request_id: &str) -> Session {
        Session::new(caller, request_id, self.trail.clone(), self.refusals.clone())
    }

    /// Runs one request, if it keeps to the limits. What it looked at is in the audit trail before it is answered,
    /// if that is required.
    ///
    /// # Errors
    ///
    /// [`AuditError`]: what was read cannot be recorded, and so must not be answered. A change may have been made.
    pub async fn execute(&self, session: Session, mut request: Request) -> Result<Answer, AuditError> {
        let Self { documents, preflight, trail, .. } = self;
        let parsed = documents.parse(&mut request).await;
        let checked = parsed.and_then(|newcomer| preflight.check(&mut request).map(|()| newcomer));
        let response = match checked {
            Ok(newcomer) => {
                let response = self.run(session.clone(), request).await;
                if let Some(newcomer) = newcomer.filter(|_| response.is_ok()) {
                    documents.keep(newcomer);
                }
                response
            }
            Err(error) => Response::from_errors(vec![error]),
        };
        trail.record_reads(&session.take_looks()).await?;
        Ok(Answer::of(response))
    }

    /// Executes what passed the preflight, each field once.
    async fn run(&self, session: Session, mut request: Request) -> Response {
        let (name, mut variables) = (request.operation_name.take(), std::mem::take(&mut request.variables));
        let merged = request.parsed_query().and_then(|document| {
            fill_in_defaults(document, name.as_deref(), &mut variables);
            merged(document, name.as_deref(), &variables)
        });
        (request.operation_name, request.variables) = (name, variables);
        match merged {
            Ok(None) => {}
            Ok(Some(Merged { whole, once })) => {
                // The library validates only what it also executes, so the whole document goes through it first.
                let mut all = Request::new(String::new()).variables(request.variables.clone());
                all.operation_name.clone_from(&request.operation_name);
                all.set_parsed_query(whole);
                let validated = self.schema.execute(all.data(session.clone())).await;
                if validated.is_err() {
                    return validated;
                }
                request.set_parsed_query(once);
            }
            Err(error) => return Response::from_errors(vec![error]),
        }
        if self.resolves_all {
            request = request.data(ResolveAll);
        }
        self.schema.execute(request.data(session)).await
    }
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
