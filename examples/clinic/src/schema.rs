use async_graphql::{Context, EmptySubscription, Object, Request, Response, Result, Schema};
use axum::{Json, Router, extract::State, routing::post};
use oubliette_envelope::{Personal, SubjectId};

use crate::{Clinic, clinic::Patient};

type ClinicSchema = Schema<Query, Mutation, EmptySubscription>;

/// `POST /graphql`.
pub fn router(clinic: Clinic) -> Router {
    let schema = Schema::build(Query, Mutation, EmptySubscription).data(clinic).finish();
    Router::new().route("/graphql", post(execute)).with_state(schema)
}

async fn execute(State(schema): State<ClinicSchema>, Json(request): Json<Request>) -> Json<Response> {
    Json(schema.execute(request).await)
}

struct Query;

#[Object]
impl Query {
    async fn patient(&self, ctx: &Context<'_>, id: String) -> Result<Option<Patient>> {
        Ok(ctx.data::<Clinic>()?.patient(subject(&id)?).await?)
    }

    /// Opens everything, and says what does not open.
    async fn verify(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(ctx.data::<Clinic>()?.verify().await?)
    }
}

struct Mutation;

#[Object]
impl Mutation {
    /// Gives the patient's id.
    async fn admit(&self, ctx: &Context<'_>, ward: String, name: String) -> Result<String> {
        Ok(ctx.data::<Clinic>()?.admit(ward, &name).await?.to_string())
    }

    /// Whether there is such a patient.
    async fn add_visit(&self, ctx: &Context<'_>, patient: String, note: String) -> Result<bool> {
        Ok(ctx.data::<Clinic>()?.add_visit(subject(&patient)?, &note).await?)
    }

    /// Whether there was anything to forget.
    async fn forget(&self, ctx: &Context<'_>, patient: String) -> Result<bool> {
        Ok(ctx.data::<Clinic>()?.forget(subject(&patient)?).await?)
    }

    /// Gives every patient a fresh data key. How many this call replaced.
    async fn rotate(&self, ctx: &Context<'_>) -> Result<u64> {
        Ok(ctx.data::<Clinic>()?.rotate().await?)
    }
}

#[Object]
impl Patient {
    async fn ward(&self) -> &str {
        &self.ward
    }

    async fn name(&self) -> &str {
        self.name.expose()
    }

    /// The notes, the oldest first.
    async fn visits(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        let notes = ctx.data::<Clinic>()?.visits(self.id).await?;
        Ok(notes.into_iter().map(Personal::into_exposed).collect())
    }
}

fn subject(id: &str) -> Result<SubjectId> {
    id.parse().map_err(|_| async_graphql::Error::new("this is no patient's id"))
}
