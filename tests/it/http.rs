//! GraphQL over HTTP: which requests are taken, and in what form they are answered.

mod cors;
mod headers;
mod health;
mod introspection;
mod limits;
mod outage;
mod playground;
mod repeated;

use reqwest::{
    Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack};

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";
const REQUEST_ID: &str = "x-request-id";

async fn started() -> TestApp {
    TestApp::start(TestStack::sqlite()).await
}

/// Posts a GraphQL request and gives status, media type and answer.
async fn post(
    app: &TestApp,
    accept: Option<&str>,
    query: &str,
    variables: Value,
) -> (StatusCode, String, Value) {
    let mut request = app.post("/graphql").json(&json!({ "query": query, "variables": variables }));
    if let Some(accept) = accept {
        request = request.header(ACCEPT, accept);
    }
    let response = request.send().await.unwrap();
    let media_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    (response.status(), media_type, response.json().await.unwrap())
}

/// Checks that a request was refused before it came to GraphQL: in the form of a GraphQL error.
async fn assert_refused(response: Response, status: StatusCode, code: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()[CONTENT_TYPE], JSON);
    assert!(response.headers().contains_key(REQUEST_ID));
    headers::assert_data(&response);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"], json!({ "code": code }));
    assert!(answer["errors"][0]["message"].is_string(), "{answer}");
    assert_eq!(answer.get("data"), None);
}

#[tokio::test]
async fn application_json_answers_200_even_to_a_request_error() {
    let app = started().await;
    for accept in [
        None,
        Some("*/*"),
        Some(JSON),
        Some("application/*;q=0.5"),
        Some("text/html, Application/JSON; q=0.9"),
    ] {
        for query in ["{ nonsense }", "{", "{}"] {
            let (status, media_type, answer) = post(&app, accept, query, json!({})).await;
            assert_eq!((status, media_type.as_str()), (StatusCode::OK, JSON), "{accept:?} {query}");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
            assert_eq!(answer.get("data"), None, "nothing was executed");
        }
        let (status, media_type, answer) = post(&app, accept, "{ __typename }", json!({})).await;
        assert_eq!((status, media_type.as_str()), (StatusCode::OK, JSON));
        assert_eq!(answer, json!({ "data": { "__typename": "Query" } }));
    }
}

#[tokio::test]
async fn graphql_response_json_answers_400_to_a_request_error() {
    let app = started().await;
    for accept in [GRAPHQL, "application/json, application/graphql-response+json; charset=utf-8"] {
        for (query, variables) in [
            ("{ nonsense }", json!({})),
            ("{", json!({})),
            ("query($id: ID!) { user(id: $id) { id } }", json!({})),
            ("query A { __typename } query B { __typename }", json!({})),
        ] {
            let (status, media_type, answer) = post(&app, Some(accept), query, variables).await;
            assert_eq!((status, media_type.as_str()), (StatusCode::BAD_REQUEST, GRAPHQL), "{query}");
            assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
            assert_eq!(answer.get("data"), None, "{answer}");
        }
        let (status, media_type, _) = post(&app, Some(accept), "{ __typename }", json!({})).await;
        assert_eq!((status, media_type.as_str()), (StatusCode::OK, GRAPHQL));
    }
}

#[tokio::test]
async fn a_missing_variable_stops_a_request_before_it_runs() {
    let app = started().await;
    let create = "mutation($input: CreateUserInput!) {
        first: createUser(input: { username: \"first\" }) { id }
        second: createUser(input: $input) { id }
    }";
    let (status, _, answer) = post(&app, Some(GRAPHQL), create, json!({})).await;
    assert_eq!((status, answer.get("data")), (StatusCode::BAD_REQUEST, None));
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("\"$input\""), "{answer}");
    assert!(app.rows("SELECT * FROM users").await.is_empty());

    // One with a default, or one that may be null, may be missing; so may those of other operations.
    app.data(
        "query($n: Int! = 1, $after: String) { users(first: $n, after: $after) { nodes { id } } }",
        json!({}),
    )
    .await;
    let body = json!({
        "query": "query A($id: ID!) { user(id: $id) { id } } query B { __typename }",
        "operationName": "B",
    });
    let response = app.post("/graphql").json(&body).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({ "data": { "__typename": "Query" } }));
}

#[tokio::test]
async fn graphql_response_json_answers_200_to_what_was_executed_in_part() {
    let app = started().await;
    let id = app.create(&Person::new()).await;
    app.set_column(id, "email_encrypted", b"damaged").await;
    let query = "query($id: ID!) { user(id: $id) { id email } }";
    let (status, _, answer) = post(&app, Some(GRAPHQL), query, json!({ "id": id })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["data"]["user"], json!({ "id": id, "email": null }));
    assert_eq!(answer["errors"][0]["path"], json!(["user", "email"]));

    // The error of a field that cannot be null leaves nothing, but it was executed: `data` is there.
    let query = "{ users(first: 1000) { nodes { id } } }";
    let (status, _, answer) = post(&app, Some(GRAPHQL), query, json!({})).await;
    assert_eq!((status, answer.get("data")), (StatusCode::OK, Some(&Value::Null)));
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_mutation_that_is_refused_hides_no_other_ones_receipt() {
    let app = started().await;
    let id = app.create(&Person::new()).await;
    let query = "mutation($id: ID!) {
        forgetUser(id: $id) { sequence }
        refused: createUser(input: { username: \"\" }) { id }
        again: forgetUser(id: $id) { sequence }
    }";
    let answer = app.graphql(query, json!({ "id": id })).await;
    let receipt = json!({ "sequence": 1 });
    assert_eq!(answer["data"], json!({ "forgetUser": receipt, "refused": null, "again": receipt }));
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["errors"][0]["path"], json!(["refused"]));
}

#[tokio::test]
async fn a_client_that_accepts_no_json_is_told_so() {
    let app = started().await;
    for accept in ["text/html", "text/*", "application/xml, image/png", "application/jsonish", ""] {
        let query = json!({ "query": "mutation { createUser(input: { username: \"x\" }) { id } }" });
        let response = app.post("/graphql").header(ACCEPT, accept).json(&query).send().await.unwrap();
        assert_refused(response, StatusCode::NOT_ACCEPTABLE, "BAD_REQUEST").await;
    }
    assert!(app.rows("SELECT * FROM users").await.is_empty(), "and nothing was executed");
}

#[tokio::test]
async fn accept_in_several_headers_is_read_whole() {
    let app = started().await;
    let request = app.post("/graphql").header(ACCEPT, "text/html").header(ACCEPT, GRAPHQL);
    let response = request.json(&json!({ "query": "{ __typename }" })).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()[CONTENT_TYPE]),
        (StatusCode::OK, &HeaderValue::from_static(GRAPHQL))
    );
}

#[tokio::test]
async fn only_json_is_read() {
    let app = started().await;
    let create = r#"{ "query": "mutation { createUser(input: { username: \"x\" }) { id } }" }"#;
    let multipart = format!(
        "--limit\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{create}\r\n\
         --limit\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{{}}\r\n--limit--\r\n"
    );
    // What a browser sends across origins without asking first is among them: that keeps forged requests out.
    for (content_type, body) in [
        (Some("multipart/form-data; boundary=limit"), multipart.as_str()),
        (Some("application/x-www-form-urlencoded"), "query=mutation{createUser(input:{username:\"x\"}){id}}"),
        (Some("text/plain"), create),
        (Some("application/graphql"), "mutation { createUser(input: { username: \"x\" }) { id } }"),
        (Some("application/jsonish"), create),
        (Some(""), create),
        (None, create),
    ] {
        let mut request = app.post("/graphql").body(body.to_owned());
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = request.send().await.unwrap();
        assert_refused(response, StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_REQUEST").await;
    }
    assert!(app.rows("SELECT * FROM users").await.is_empty());

    let request = app.post("/graphql").header(CONTENT_TYPE, "Application/JSON; charset=utf-8").body(create);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(app.rows("SELECT * FROM users").await.len(), 1);
}

#[tokio::test]
async fn nothing_runs_over_get() {
    let app = started().await;
    let create = "mutation { createUser(input: { username: \"x\" }) { id } }";
    for query in [create, "{ __typename }"] {
        let mut request = app.get("/graphql").build().unwrap();
        request.url_mut().query_pairs_mut().append_pair("query", query);
        let response = reqwest::Client::new().execute(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "POST");
        let response = app.get("/graphql").json(&json!({ "query": query })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(app.rows("SELECT * FROM users").await.is_empty());
}

#[tokio::test]
async fn batches_are_refused() {
    let app = started().await;
    let create = json!({ "query": "mutation { createUser(input: { username: \"x\" }) { id } }" });
    for body in [json!([create]), json!([create, create]), json!([])] {
        let response = app.post("/graphql").json(&body).send().await.unwrap();
        assert_refused(response, StatusCode::BAD_REQUEST, "BAD_REQUEST").await;
    }
    let request = app.post("/graphql").header(CONTENT_TYPE, JSON).body(format!(" \n\t[{create}]"));
    assert_refused(request.send().await.unwrap(), StatusCode::BAD_REQUEST, "BAD_REQUEST").await;
    assert!(app.rows("SELECT * FROM users").await.is_empty());
}

#[tokio::test]
async fn malformed_requests_are_refused_without_being_quoted() {
    let app = started().await;
    let person = Person::new();
    for body in [
        format!("{{ \"query\": \"{{ __typename }}\", \"variables\": {{ \"email\": \"{}\" }}", person.email),
        format!("\"{}\"", person.email),
        format!("{{ \"query\": {{ \"{}\": 1 }} }}", person.email),
        format!("{{ \"query\": \"{{ __typename }}\", \"variables\": \"{}\" }}", person.email),
        "null".to_owned(),
        "{}".to_owned(),
        r#"{ "query": null }"#.to_owned(),
        r#"{ "query": " " }"#.to_owned(),
        r#"{ "operationName": "A" }"#.to_owned(),
        "\u{0}".to_owned(),
        String::new(),
    ] {
        for accept in [JSON, GRAPHQL] {
            let request = app.post("/graphql").header(CONTENT_TYPE, JSON).header(ACCEPT, accept);
            let response = request.body(body.clone()).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
            let text = response.text().await.unwrap();
            assert!(text.contains("BAD_REQUEST") && !text.contains(&person.email), "{text}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let app = started().await;
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/healthz", "/readyz", "/playground", "/graphql", "/nothing"] {
        let response = app.get(path).send().await.unwrap();
        let id = response.headers()[REQUEST_ID].to_str().unwrap();
        assert!(Uuid::try_parse(id).is_ok(), "{path}: {id}");
        assert!(seen.insert(id.to_owned()), "fresh for each request");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept() {
    let app = started().await;
    for id in ["x", "0b5a1e4f-7c7e-4c80-b2a4-0c6e1f0a9d33", "req_42.a-B", &"a".repeat(64)] {
        let response = app.get("/healthz").header(REQUEST_ID, id).send().await.unwrap();
        assert_eq!(response.headers()[REQUEST_ID], id);
    }
}

#[tokio::test]
async fn an_odd_request_id_is_replaced() {
    let app = started().await;
    let too_long = "a".repeat(65);
    for id in [
        b"" as &[u8],
        too_long.as_bytes(),
        b"a b",
        b"\"quoted\"",
        b"{}",
        b"a/b",
        b"a\tb",
        b"caf\xc3\xa9",
        b"\xff",
    ] {
        let value = HeaderValue::from_bytes(id).unwrap();
        let response = app.get("/healthz").header(REQUEST_ID, value).send().await.unwrap();
        let answered = response.headers()[REQUEST_ID].to_str().unwrap();
        assert!(Uuid::try_parse(answered).is_ok(), "{id:?} became {answered}");
    }
}
