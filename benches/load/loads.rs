//! The two loads: one user at a time, and pages of users.
//!
//! Each prepares its requests for a server by asking each once, which also warms the server, and keeps
//! the answer if it is the truth about the users.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Connection, graphql_request};
use crate::contender::Running;
use crate::generator::Exchange;
use crate::options::Options;
use crate::population::{Population, User};

const ONE: &str = "query($id: ID!) { user(id: $id) { id username email phone } }";

const BY_ID: &str = ONE;

const BY_EMAIL: &str =
    "query($email: String!) { user: userByEmail(email: $email) { id username email phone } }";

const PAGE: &str = "query($after: String) { \
                    users(first: 100, after: $after) { edges { node { id username email phone } } } }";

const PAGES: &str = "query($after: String) { \
                     users(first: 100, after: $after) { pageInfo { hasNextPage endCursor } } }";

/// Both loads, in the order of the report, with the share of the baseline's requests per second to reach, if any.
pub(crate) fn all([one, page]: [Option<f64>; 2]) -> [Load; 2] {
    [
        Load { title: "One user", query: ONE, aim: one, kind: Kind::One, baseline: None },
        Load { title: "A page of 100 users", query: PAGE, aim: page, kind: Kind::Page, baseline: None },
    ]
}

/// The load of a look-up, and that of a read by the id beside it.
pub(crate) fn find() -> Load {
    let baseline =
        Load { title: "One user by the id", query: BY_ID, aim: None, kind: Kind::One, baseline: None };
    Load {
        title: "One user by the e-mail address",
        query: BY_EMAIL,
        aim: Some(0.85),
        kind: Kind::ByEmail,
        baseline: Some(Box::new(baseline)),
    }
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) title: &'static str,
    pub(crate) query: &'static str,
    pub(crate) aim: Option<f64>,
    kind: Kind,
    /// What the other server is asked, if it is something else.
    pub(crate) baseline: Option<Box<Self>>,
}

#[derive(Debug)]
enum Kind {
    One,
    ByEmail,
    Page,
}

impl Load {
    /// Asks a server everything once, checks each answer against the truth, and remembers it.
    pub(crate) async fn prepare(
        &self,
        server: &Running,
        population: &Population,
        options: &Options,
    ) -> anyhow::Result<Arc<[Exchange]>> {
        let variables = match self.kind {
            Kind::One => population.keys().map(|id| json!({ "id": id })).collect(),
            Kind::ByEmail => population.values().map(|truth| json!({ "email": truth.user.email })).collect(),
            Kind::Page => walk(server, population.len()).await?,
        };
        let share = variables.len().div_ceil(usize::try_from(options.connections)?);
        let shares = variables.chunks(share).map(|share| self.ask_each(server, share));
        let (exchanges, seen): (Vec<_>, Vec<_>) = try_join_all(shares).await?.into_iter().flatten().unzip();
        check(&seen.concat(), population)?;
        Ok(exchanges.into())
    }

    async fn ask_each(
        &self,
        server: &Running,
        variables: &[Value],
    ) -> anyhow::Result<Vec<(Exchange, Vec<User>)>> {
        let mut connection = Connection::open(server.address).await?;
        let mut exchanges = Vec::new();
        for variables in variables {
            let request = graphql_request(server.credential(), self.query, variables);
            let answer = connection.ask(&request).await?;
            let context = || format!("{variables}: status {}: {}", answer.status, answer.text());
            ensure!(answer.status == 200, context());
            let users = self.users(answer.body).with_context(context)?;
            exchanges.push((Exchange { request, answer: answer.body.to_vec() }, users));
        }
        Ok(exchanges)
    }

    /// The users in an answer.
    fn users(&self, body: &[u8]) -> serde_json::Result<Vec<User>> {
        Ok(match self.kind {
            Kind::One | Kind::ByEmail => vec![serde_json::from_slice::<Answer<One>>(body)?.data.user],
            Kind::Page => {
                let page = serde_json::from_slice::<Answer<Page>>(body)?.data.users;
                page.edges.into_iter().map(|edge| edge.node).collect()
            }
        })
    }
}

/// Each user must have been answered once, and be who they are.
fn check(seen: &[User], population: &Population) -> anyhow::Result<()> {
    for user in seen {
        let truth = population.get(&user.id).with_context(|| format!("nobody created {user:?}"))?;
        ensure!(*user == truth.user, "{user:?} should be {:?}", truth.user);
    }
    let distinct: HashSet<_> = seen.iter().map(|user| &user.id).collect();
    let (seen, distinct, expected) = (seen.len(), distinct.len(), population.len());
    ensure!(seen == expected && distinct == expected, "{seen} answers, {distinct} of {expected} users");
    Ok(())
}

/// Goes through the connection once, and returns the variables that ask for each page.
pub(crate) async fn walk(server: &Running, users: usize) -> anyhow::Result<Vec<Value>> {
    let mut connection = Connection::open(server.address).await?;
    let mut pages = Vec::new();
    let mut after = None;
    for _ in 0..users {
        let variables = json!({ "after": after });
        let data = connection.graphql(server.credential(), PAGES, &variables).await?;
        let Walked { users } = serde_json::from_value(data)?;
        pages.push(variables);
        if !users.page_info.has_next_page {
            return Ok(pages);
        }
        after = users.page_info.end_cursor;
    }
    bail!("the connection has no end")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer<Data> {
    data: Data,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    user: User,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    users: Users,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Users {
    edges: Vec<Edge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edge {
    node: User,
}

#[derive(Deserialize)]
struct Walked {
    users: PageInfoOnly,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfoOnly {
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}
