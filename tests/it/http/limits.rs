use std::time::Duration;

use oubliette::{
    config::Config,
    envelope::{DataKeyId, KeyVersion},
};
use reqwest::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{GRAPHQL, JSON, assert_refused};
use crate::harness::{Person, RawConnection, TestApp, TestStack};

async fn started(configure: impl FnOnce(&mut Config)) -> TestApp {
    let app = TestApp::start_with(TestStack::sqlite(), configure).await;
    app.take_statements();
    app
}

/// A time limit for requests: long for a busy machine to answer one in, and short to wait for.
const LIMIT: Duration = Duration::from_secs(1);
/// What takes this long, is not limited.
const FOREVER: Duration = Duration::from_secs(20);

fn key_of(id: Uuid) -> DataKeyId {
    DataKeyId { subject: id.into(), version: KeyVersion::FIRST }
}

/// Checks that a query is refused before anything of it runs.
async fn assert_exceeds(app: &TestApp, query: &str, variables: Value, problem: &str) {
    let body = json!({ "query": query, "variables": variables });
    let response = app.post("/graphql").header(ACCEPT, GRAPHQL).json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query:.1000}");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{answer}");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains(problem), "{answer}");
    assert_eq!(answer.get("data"), None);
    assert_eq!(app.take_statements(), Vec::<String>::new(), "nothing was executed");
}

/// A request of exactly this many bytes.
fn request_of(bytes: usize) -> String {
    let mut request = r#"{ "query": "{ __typename }" }"#.to_owned();
    request.push_str(&" ".repeat(bytes - request.len()));
    request
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let app = started(|_| {}).await;
    let post = |bytes| app.post("/graphql").header(CONTENT_TYPE, JSON).body(request_of(bytes)).send();
    assert_eq!(post(256 * 1024).await.unwrap().status(), StatusCode::OK, "the limit itself fits");
    assert_refused(post(256 * 1024 + 1).await.unwrap(), StatusCode::PAYLOAD_TOO_LARGE, "BAD_REQUEST").await;
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused() {
    let app = started(|config| config.http.max_body_bytes = 1000).await;
    for (bytes, status) in [(1000, "200"), (1001, "413")] {
        let mut connection = RawConnection::open(app.get("/").build().unwrap().url()).await;
        connection
            .send(
                "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Transfer-Encoding: chunked\r\n\r\n",
            )
            .await;
        // In two chunks, neither of them over the limit by itself.
        let body = request_of(bytes);
        for part in [&body[..600], &body[600..]] {
            connection.send(&format!("{:x}\r\n{part}\r\n", part.len())).await;
        }
        connection.send("0\r\n\r\n").await;
        let answer = connection.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes}: {answer}");
        assert_eq!(answer.contains("\"code\":\"BAD_REQUEST\""), status == "413", "{answer}");
    }
}

#[tokio::test]
async fn deep_queries_are_refused() {
    let app = started(|config| config.graphql.max_depth = 3).await;
    let query = |fields: &str| format!("{{ users(first: 1) {fields} }}");
    assert_exceeds(&app, &query("{ edges { node { id } } }"), json!({}), "too deep").await;
    let fragments = query("{ ...A }")
        + "fragment A on UserConnection { edges { ...B } } fragment B on UserEdge { ... on UserEdge { node { id } } }";
    assert_exceeds(&app, &fragments, json!({}), "too deep").await;
    let in_a_mutation =
        "mutation { createUser(input: { username: \"x\" }) { id } } { users { edges { node { id } } } }";
    app.graphql(in_a_mutation, json!({})).await;
    app.data(&query("{ nodes { id } }"), json!({})).await;
}

#[tokio::test]
async fn by_default_16_levels_are_allowed() {
    let app = started(|_| {}).await;
    let nested = |levels: usize| {
        let inner = format!("{}name{}", "ofType { ".repeat(levels - 3), " }".repeat(levels - 3));
        format!("{{ __schema {{ types {{ {inner} }} }} }}")
    };
    assert_exceeds(&app, &nested(17), json!({}), "too deep").await;
    app.data(&nested(16), json!({})).await;
}

#[tokio::test]
async fn expensive_queries_are_refused() {
    let app = started(|_| {}).await;
    let page = "nodes { id username email phone createdAt updatedAt }";
    let pages = |count: usize, arguments: &str| -> String {
        (0..count).map(|n| format!("p{n}: users({arguments}) {{ {page} }} ")).collect()
    };
    let too_complex = "too complex";

    // 100 users with 7 fields each: 700 a page.
    app.data(&format!("{{ {} }}", pages(5, "first: 100")), json!({})).await;
    app.take_statements();
    assert_exceeds(&app, &format!("{{ {} }}", pages(6, "first: 100")), json!({}), too_complex).await;
    assert_exceeds(&app, &format!("{{ {} }}", pages(6, "last: 100")), json!({}), too_complex).await;
    // Not even if the size is a variable, or the variable's default.
    let query = format!("query($n: Int) {{ {} }}", pages(6, "first: $n"));
    assert_exceeds(&app, &query, json!({ "n": 100 }), too_complex).await;
    let query = format!("query($n: Int = 100) {{ {} }}", pages(6, "first: $n"));
    assert_exceeds(&app, &query, json!({}), too_complex).await;
    // Not by fragments, either, nor if all are given to the same alias.
    let query = format!(
        "{{ {} }} fragment F on UserConnection {{ {page} }}",
        pages(6, "first: 100").replace(page, "...F")
    );
    assert_exceeds(&app, &query, json!({}), too_complex).await;
    let query = format!("{{ {} }}", format!("users(first: 100) {{ {page} }} ").repeat(6));
    assert_exceeds(&app, &query, json!({}), too_complex).await;
    // 20 users a page if the query does not say.
    assert_exceeds(&app, &format!("{{ {} }}", pages(30, "after: null")), json!({}), too_complex).await;
}

#[tokio::test]
async fn fragments_that_multiply_are_refused_at_once() {
    let app = started(|_| {}).await;
    for leaf in ["__typename", "users { nodes { id } }", "...Nothing", "... { ...Nothing }"] {
        // 2^30 fields in two kilobytes.
        let mut query = format!("{{ ...F0 }} fragment F30 on Query {{ {leaf} }}");
        for n in 0..30 {
            query.push_str(&format!(" fragment F{n} on Query {{ ...F{0} ...F{0} }}", n + 1));
        }
        let refused = assert_exceeds(&app, &query, json!({}), "too complex");
        tokio::time::timeout(Duration::from_secs(5), refused)
            .await
            .expect("it is refused before it is expanded");
    }
    // As long a chain as a document may hold must not exhaust the stack.
    let chain: String = (0..1800).map(|n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1)).collect();
    for user in ["...F0", "__typename"] {
        assert_exceeds(&app, &format!("{{ {user} }} {chain}"), json!({}), "too deep").await;
    }
    let cycle = "{ ...A } fragment A on Query { __typename ...B } fragment B on Query { ...A }";
    assert_exceeds(&app, cycle, json!({}), "depth").await;
    assert_exceeds(&app, "{ __typename } fragment A on Query { ...A }", json!({}), "never used").await;
}

#[tokio::test]
async fn type_names_are_not_free() {
    let app = started(|_| {}).await;
    let names: String = (0..4000).map(|n| format!("t{n}: __typename ")).collect();
    assert_exceeds(
        &app,
        &format!("{{ users(first: 1) {{ nodes {{ {names} }} }} }}"),
        json!({}),
        "too complex",
    )
    .await;
    app.data("{ __typename users(first: 1) { __typename nodes { __typename id } } }", json!({})).await;
}

#[tokio::test]
async fn deep_brackets_do_not_exhaust_the_stack() {
    let app = started(|_| {}).await;
    for (open, close) in [("[", "]"), ("{a:", "}")] {
        // As many as a document may have tokens.
        let value = format!("{}1{}", open.repeat(4_000), close.repeat(4_000));
        let body = json!({ "query": format!("{{ user(id: {value}) {{ id }} }}") });
        let response = app.post("/graphql").json(&body).send().await.unwrap();
        assert!(response.text().await.unwrap().contains("GRAPHQL_VALIDATION_FAILED"));
    }
    let body =
        format!("{{ \"query\": \"{{ __typename }}\", \"variables\": {{ \"v\": {} }} }}", "[".repeat(100_000));
    let response = app.post("/graphql").header(CONTENT_TYPE, JSON).body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn expensive_mutations_change_nothing() {
    let app = started(|_| {}).await;
    let creates = |count: usize| -> String {
        let create = |n| format!("c{n}: createUser(input: {{ username: \"u{n}\" }}) {{ id }} ");
        format!("mutation {{ {} }}", (0..count).map(create).collect::<String>())
    };
    assert_exceeds(&app, &creates(79), json!({}), "too complex").await;
    assert!(app.rows("SELECT * FROM users").await.is_empty());
    app.data(&creates(3), json!({})).await;
    assert_eq!(app.rows("SELECT * FROM users").await.len(), 3);
}

#[tokio::test]
async fn many_directives_are_refused() {
    let app = started(|config| config.graphql.max_directives = 1).await;
    let problem = "number of directives";
    let two = "@skip(if: false) @include(if: true)";
    assert_exceeds(&app, &format!("{{ users {two} {{ nodes {{ id }} }} }}"), json!({}), problem).await;
    assert_exceeds(&app, &format!("{{ users {{ nodes {{ id {two} }} }} }}"), json!({}), problem).await;
    app.data("{ users @include(if: true) { nodes { id @skip(if: false) } } }", json!({})).await;

    let app = started(|_| {}).await;
    app.data(&format!("{{ users {two} {{ nodes {{ id }} }} }}"), json!({})).await;
    app.take_statements();
    let nine = "@a ".repeat(9);
    assert_exceeds(&app, &format!("{{ users {nine} {{ nodes {{ id }} }} }}"), json!({}), problem).await;
}

#[tokio::test]
async fn a_slow_request_is_answered_in_time() {
    let app = started(|config| config.http.request_timeout = LIMIT).await;
    let id = app.create(&Person::new()).await;
    app.keyring.evict(id.into(), [key_of(id)]).await;
    app.backend.hold();
    let body = json!({ "query": "query($id: ID!) { user(id: $id) { email } }", "variables": { "id": id } });
    let answered = tokio::time::timeout(FOREVER, app.post("/graphql").json(&body).send());
    let response = answered.await.expect("in time").unwrap();
    assert_refused(response, StatusCode::GATEWAY_TIMEOUT, "TIMEOUT").await;
    assert_eq!(app.get("/healthz").send().await.unwrap().status(), StatusCode::OK, "others are served");
    app.backend.release();
    assert_eq!(app.read(id).await.get("errors"), None);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let app = started(|config| config.http.request_timeout = LIMIT).await;
    let mut connection = RawConnection::open(app.get("/").build().unwrap().url()).await;
    connection
        .send(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{ \"query\":",
        )
        .await;
    let answer = tokio::time::timeout(FOREVER, connection.rest()).await.expect("in time");
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"TIMEOUT\""), "{answer}");
    assert!(answer.contains("nothing was done"), "{answer}");
}

#[tokio::test]
async fn a_change_that_ran_out_of_time_is_still_made() {
    let app = started(|config| config.http.request_timeout = LIMIT).await;
    let (id, person) = (app.create(&Person::new()).await, Person::new());
    app.keyring.evict(id.into(), [key_of(id)]).await;
    app.backend.hold();
    let query = "mutation($id: ID!, $email: String) { updateUser(id: $id, input: { email: $email }) { id } }";
    let body = json!({ "query": query, "variables": { "id": id, "email": person.email } });
    let answered = tokio::time::timeout(FOREVER, app.post("/graphql").json(&body).send());
    let response = answered.await.expect("in time").unwrap();
    assert_refused(response, StatusCode::GATEWAY_TIMEOUT, "TIMEOUT").await;
    app.backend.release();
    for _ in 0..500 {
        if app.read(id).await["data"]["user"]["email"] == person.email {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the change was not made");
}
