//! The users: created through Oubliette, copied as plaintext for the bare server, and remembered here as
//! the truth that both are held to.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::json;

use crate::client::Connection;
use crate::options::Options;
use crate::postgres::Postgres;

/// What a user is asked for, and must be. An answer with anything else in it does not parse.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) phone: String,
}

/// Every user by id.
pub(crate) type Population = HashMap<String, Truth>;

/// A user with what only the server could know.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) user: User,
    created_at: String,
    updated_at: String,
}

const CREATE: &str = "mutation($input: CreateUserInput!) { \
                      createUser(input: $input) { id createdAt updatedAt } }";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    create_user: CreatedUser,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreatedUser {
    id: String,
    created_at: String,
    updated_at: String,
}

/// Creates the users over HTTP, over all the connections at once.
pub(crate) async fn create(address: SocketAddr, options: &Options) -> anyhow::Result<Population> {
    let step = usize::try_from(options.connections)?;
    let workers = (0..options.connections).map(|worker| async move {
        let mut connection = Connection::open(address).await?;
        let mut created = Vec::new();
        for index in (worker..options.users).step_by(step) {
            created.push(create_one(&mut connection, index).await?);
        }
        anyhow::Ok(created)
    });
    let created = try_join_all(workers).await?.into_iter().flatten();
    Ok(created.map(|created| (created.user.id.clone(), created)).collect())
}

async fn create_one(connection: &mut Connection, index: u32) -> anyhow::Result<Truth> {
    let username = format!("person-{index:07}");
    let email = format!("person.{index:07}@load.example.org");
    let phone = format!("+49151{:08}", 10_000_000 + index);
    let input = json!({ "username": username, "email": email, "phone": phone });
    let data = connection.graphql(None, CREATE, &json!({ "input": input })).await?;
    let Answer { create_user } = serde_json::from_value(data)?;
    let CreatedUser { id, created_at, updated_at } = create_user;
    Ok(Truth { user: User { id, username, email, phone }, created_at, updated_at })
}

/// Fills the bare server's table with the same users, in the clear, in the order of their ids.
pub(crate) fn copy(population: &Population, postgres: &Postgres, database: &str) {
    let mut users: Vec<_> = population.values().collect();
    users.sort_unstable_by_key(|created| &created.user.id);
    let mut sql = String::from(
        "CREATE TABLE users (id uuid PRIMARY KEY, username text NOT NULL UNIQUE, email text, phone text, \
         created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);\n\
         COPY users FROM STDIN;\n",
    );
    for Truth { user, created_at, updated_at } in users {
        let User { id, username, email, phone } = user;
        // Writing to a string cannot fail.
        let _ = writeln!(sql, "{id}\t{username}\t{email}\t{phone}\t{created_at}\t{updated_at}");
    }
    sql.push_str("\\.\n");
    postgres.psql(database, &sql);
}
