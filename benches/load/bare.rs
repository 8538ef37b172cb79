//! The server to be compared with: axum, async-graphql and sea-orm over plaintext columns, written the way
//! one writes it by hand, and nothing else. No encryption, no limits, no logs, no request ids.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use async_graphql::connection::{Connection, Edge, query};
use async_graphql::{
    Context, EmptyMutation, EmptySubscription, Error, ID, Object, Request, Response, Schema, SimpleObject,
};
use axum::extract::State;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use clap::Parser;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, EntityTrait};
use tokio::net::TcpListener;
use uuid::Uuid;

/// The first argument that turns the load run into this server.
pub(crate) const COMMAND: &str = "bare";

/// The largest page, as Oubliette's.
const LARGEST_PAGE: usize = 100;

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Options {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    database_url: String,
    #[arg(long)]
    max_connections: u32,
}

/// Serves until it is killed.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let options = Options::try_parse_from(arguments)?;
    tokio::runtime::Runtime::new()?.block_on(serve(options))
}

async fn serve(options: Options) -> anyhow::Result<()> {
    // A connection is pinged only after a second of idleness, as in Oubliette: sea-orm's default, a ping
    // before every statement, would slow the bare server down for a reason that has nothing to do with ours.
    let mut database = ConnectOptions::new(options.database_url);
    database
        .max_connections(options.max_connections)
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .sqlx_logging(false);
    let database = Database::connect(database).await?;
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).data(database).finish();
    let router = Router::new()
        .route("/graphql", post(graphql))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(schema);
    let listener = TcpListener::bind(options.listen).await?.tap_io(|stream| {
        // A stream that does not take the option is as good, only slower.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await?;
    Ok(())
}

type BareSchema = Schema<Query, EmptyMutation, EmptySubscription>;

async fn graphql(State(schema): State<BareSchema>, Json(request): Json<Request>) -> Json<Response> {
    Json(schema.execute(request).await)
}

struct Query;

#[Object]
impl Query {
    async fn user(&self, context: &Context<'_>, id: ID) -> async_graphql::Result<Option<User>> {
        let database = context.data::<DatabaseConnection>()?;
        let id = parse(&id)?;
        let user = entity::Entity::find_by_id(id).one(database).await.map_err(|error| internal(&error))?;
        Ok(user.map(User::from))
    }

    async fn users(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> async_graphql::Result<Connection<String, User>> {
        let database = context.data::<DatabaseConnection>()?;
        query(
            after,
            before,
            first,
            last,
            |after: Option<String>, before: Option<String>, first, last| async move {
                let after = after.as_deref().map(parse).transpose()?;
                let before = before.as_deref().map(parse).transpose()?;
                page(database, after, before, first, last).await.map_err(|error| internal(&error))
            },
        )
        .await
    }
}

/// Reads one row more than the page has, to know whether there are more.
async fn page(
    database: &DatabaseConnection,
    after: Option<Uuid>,
    before: Option<Uuid>,
    first: Option<usize>,
    last: Option<usize>,
) -> Result<Connection<String, User>, DbErr> {
    let size = first.or(last).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE);
    let backward = first.is_none() && last.is_some();
    let mut cursor = entity::Entity::find().cursor_by(entity::Column::Id);
    if let Some(after) = after {
        cursor.after(after);
    }
    if let Some(before) = before {
        cursor.before(before);
    }
    let limit = size as u64 + 1;
    let mut rows = if backward { cursor.last(limit) } else { cursor.first(limit) }.all(database).await?;
    let more = rows.len() > size;
    if more && backward {
        rows.remove(0);
    }
    rows.truncate(size);
    let (previous, next) = if backward { (more, before.is_some()) } else { (after.is_some(), more) };
    let mut connection = Connection::new(previous, next);
    connection.edges.extend(rows.into_iter().map(|row| Edge::new(row.id.to_string(), User::from(row))));
    Ok(connection)
}

fn parse(id: &str) -> async_graphql::Result<Uuid> {
    Uuid::parse_str(id).map_err(|_| Error::new("not an id"))
}

fn internal(error: &DbErr) -> Error {
    Error::new(error.to_string())
}

#[derive(SimpleObject)]
struct User {
    id: ID,
    username: String,
    email: Option<String>,
    phone: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<entity::Model> for User {
    fn from(row: entity::Model) -> Self {
        Self {
            id: row.id.into(),
            username: row.username,
            email: row.email,
            phone: row.phone,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[expect(unreachable_pub, reason = "what is derived is public")]
mod entity {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, DeriveEntityModel, Eq, PartialEq)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        #[sea_orm(unique)]
        pub username: String,
        pub email: Option<String>,
        pub phone: Option<String>,
        pub created_at: ChronoDateTimeUtc,
        pub updated_at: ChronoDateTimeUtc,
    }

    #[derive(Clone, Copy, Debug, DeriveRelation, EnumIter)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
