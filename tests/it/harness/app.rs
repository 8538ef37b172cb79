use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use oubliette::{
    KeyMetrics,
    access::{
        Authenticator, Refusals,
        tokens::{self, NewToken},
    },
    app::App,
    attributes::Declarations,
    audit::{Origin, Trail},
    config::{AuthMode, Config},
    database,
    http::{self, Connections},
    keys::{Backends, Keyring},
    users::Users,
};
use reqwest::{Client, RequestBuilder, StatusCode};
use sea_orm::{ConnectionTrait, DatabaseConnection, ExecResult, QueryResult};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{
    ATTRIBUTES, Person, TestBackend, TestStack, client::client, create_visits, declared, log_everything,
    registry_with_visits,
};

/// A whole Oubliette in this process, behind real HTTP.
pub(crate) struct TestApp {
    pub(crate) backend: Arc<TestBackend>,
    pub(crate) database: TestStack,
    /// A connection beside the server's, for looking and for damage.
    pub(crate) db: DatabaseConnection,
    pub(crate) keyring: Keyring,
    pub(crate) users: Users,
    pub(crate) refusals: Refusals,
    pub(crate) trail: Trail,
    url: String,
    metrics_url: String,
    client: Client,
    statements: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl TestApp {
    pub(crate) async fn start(stack: TestStack) -> Self {
        Self::start_with(stack, |_| {}).await
    }

    pub(crate) async fn start_with(stack: TestStack, configure: impl FnOnce(&mut Config)) -> Self {
        let backend = Arc::new(stack.backend().await);
        Self::start_on(stack, backend, configure).await
    }

    pub(crate) async fn start_on(
        stack: TestStack,
        backend: Arc<TestBackend>,
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        log_everything();
        let mut config = Config { database: stack.config(), ..Config::default() };
        config.auth.mode = AuthMode::Off;
        config.limits.requests_per_second_per_address = 0;
        config.limits.requests_per_second_per_token = 0;
        config.limits.looks_per_second_per_token = 0;
        config.limits.refusals_per_minute_per_token = 0;
        config.http.playground = true;
        config.graphql.introspection = true;
        declared(ATTRIBUTES)(&mut config);
        configure(&mut config);
        let mut db_of_server = database::connect(&config.database).await.unwrap();
        database::migrate(&db_of_server).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        db_of_server.set_metric_callback({
            let statements = statements.clone();
            move |info| statements.lock().unwrap().push(info.statement.sql.clone())
        });
        let metrics = KeyMetrics::default();
        let backends = Backends::new(backend.clone(), Vec::new(), &config.keys, metrics.clone());
        let authenticator = Authenticator::open(&config.auth, &config.limits, &db_of_server).await.unwrap();
        create_visits(&db_of_server).await;
        let tables = registry_with_visits();
        let declarations = Declarations::of(&config.attributes).unwrap();
        let app =
            App::assemble(&config, db_of_server, backends, tables, declarations, authenticator, metrics);
        // A server starts without a key backend, too.
        let _ = app.users.prepare_search(config.search.build_at_start).await;
        backend.count_anew();
        statements.lock().unwrap().clear();
        tokio::spawn(app.authenticator.keep_fresh());
        let listener = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let metrics_listener = http::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let metrics_url = format!("http://{}/metrics", metrics_listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let connections = || Connections::plain(&config.http);
            tokio::join!(
                http::serve(listener, app.router, connections(), pending()),
                http::serve(metrics_listener, app.metrics_router, connections(), pending()),
            );
        });
        let db = database::connect(&stack.config()).await.unwrap();
        Self {
            backend,
            database: stack,
            db,
            keyring: app.keyring,
            users: app.users,
            refusals: app.refusals,
            trail: app.trail,
            url,
            metrics_url,
            client: client(),
            statements,
            server,
        }
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        let response = self.client.get(&self.metrics_url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// Sends a GraphQL request and gives the whole answer.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        let response = self.post("/graphql").json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// Sends a GraphQL request with a bearer token, or without one, and gives status and answer.
    pub(crate) async fn ask(
        &self,
        token: Option<&str>,
        query: &str,
        variables: Value,
    ) -> (StatusCode, Value) {
        let mut request = self.post("/graphql").json(&json!({ "query": query, "variables": variables }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// Makes a token that allows `scopes`, to one user, or to all.
    pub(crate) async fn token(&self, scopes: &str, own: Option<Uuid>) -> String {
        let new = NewToken {
            name: format!("t-{:016x}", rand::random::<u64>()),
            scopes: scopes.parse().unwrap(),
            subject: own.map(Into::into),
            subjects_per_minute: None,
            expires_at: None,
        };
        self.token_of(new).await
    }

    pub(crate) async fn token_of(&self, new: NewToken) -> String {
        let (_, token) = tokens::create(&self.db, new, &Origin::new("test")).await.unwrap();
        token.expose().to_owned()
    }

    /// Makes a user without asking the API.
    pub(crate) async fn add(&self, person: &Person) -> Uuid {
        let new = person.new_user();
        self.users.create(new, &Origin::new("test")).await.unwrap().id().into()
    }

    /// Sends a request that must succeed and gives its `data`.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}");
        answer["data"].clone()
    }

    /// Sends a request that must fail with one error, and gives its code.
    pub(crate) async fn code(&self, query: &str, variables: Value) -> String {
        let answer = self.graphql(query, variables).await;
        let errors = answer["errors"].as_array().expect("an error");
        assert_eq!(errors.len(), 1, "{answer}");
        errors[0]["extensions"]["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) async fn create(&self, person: &Person) -> Uuid {
        let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
        let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
        let data = self.data(query, json!({ "input": input })).await;
        data["createUser"]["id"].as_str().unwrap().parse().unwrap()
    }

    /// The whole answer to reading a user with everything personal.
    pub(crate) async fn read(&self, id: Uuid) -> Value {
        self.graphql("query($id: ID!) { user(id: $id) { id username email phone } }", json!({ "id": id }))
            .await
    }

    pub(crate) async fn forget(&self, id: Uuid) -> Value {
        let query = "mutation($id: ID!) { forgetUser(id: $id) { userId erasedAt sequence digest } }";
        self.data(query, json!({ "id": id })).await["forgetUser"].clone()
    }

    /// The statements that the server sent since the last call.
    pub(crate) fn take_statements(&self) -> Vec<String> {
        std::mem::take(&mut self.statements.lock().unwrap())
    }

    pub(crate) async fn sql(&self, sql: &str) -> ExecResult {
        self.db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        self.db
            .query_all_raw(sea_orm::Statement::from_string(self.db.get_database_backend(), sql))
            .await
            .unwrap()
    }

    /// An id as a literal of this database.
    pub(crate) fn literal(&self, id: Uuid) -> String {
        if self.database.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.simple()) }
    }

    /// Bytes as a literal of this database.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        let prefix = if self.database.is_postgres() { "'\\x" } else { "x'" };
        format!("{prefix}{}'", hex::encode(bytes))
    }

    /// A column of a user's row, as it is stored.
    pub(crate) async fn column(&self, id: Uuid, column: &str) -> Vec<u8> {
        let sql = format!("SELECT {column} AS value FROM users WHERE id = {}", self.literal(id));
        self.rows(&sql).await[0].try_get("", "value").unwrap()
    }

    /// Overwrites a column of a user's row.
    pub(crate) async fn set_column(&self, id: Uuid, column: &str, value: &[u8]) {
        let value = self.bytes(value);
        self.sql(&format!("UPDATE users SET {column} = {value} WHERE id = {}", self.literal(id))).await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}
