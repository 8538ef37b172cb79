//! Fields that are selected more than once: executed once, with all that is selected below any of them.

use serde_json::json;

use crate::harness::{Person, TestApp, TestStack};

async fn started() -> TestApp {
    TestApp::start(TestStack::sqlite()).await
}

#[tokio::test]
async fn a_mutation_that_is_selected_twice_is_made_once() {
    let app = started().await;
    let person = Person::new();
    let variables = json!({ "i": { "username": person.username, "email": person.email } });
    for query in [
        "mutation($i: CreateUserInput!) { createUser(input: $i) { email } createUser(input: $i) { username } }",
        "mutation M($i: CreateUserInput!) { ...F ... on Mutation { createUser(input: $i) { username } } }
         fragment F on Mutation { createUser(input: $i) { email } }",
        "mutation($i: CreateUserInput!) { ...F ...F ...G }
         fragment F on Mutation { createUser(input: $i) { email } }
         fragment G on Mutation { ...F createUser(input: $i) { username } }",
    ] {
        let created = app.data(query, variables.clone()).await;
        let expected = json!({ "email": person.email, "username": person.username });
        assert_eq!(created, json!({ "createUser": expected }), "{query}");
        assert_eq!(app.rows("SELECT 1 FROM users").await.len(), 1, "{query}");
        let users = app
            .data(
                "{ userByUsername(username: \"NAME\") { id } }".replace("NAME", &person.username).as_str(),
                json!({}),
            )
            .await;
        app.forget(users["userByUsername"]["id"].as_str().unwrap().parse().unwrap()).await;
    }
    let events = app.rows("SELECT 1 FROM audit_events WHERE action = 'create'").await;
    assert_eq!(events.len(), 3, "one for each");
}

#[tokio::test]
async fn what_is_selected_below_is_merged_on_all_levels() {
    let app = started().await;
    let person = Person::new();
    let id = app.create(&person).await;
    app.take_statements();
    let query = "query($id: ID!) {
        users(first: 1) { nodes { id } }
        ...Page
        ... { users(first: 1) { pageInfo { hasNextPage } nodes { ...Who phone: email } } }
        user(id: $id) { id }
    }
    fragment Page on Query { users(first: 1) { nodes { username ... on User { id } } } user(id: $id) { username } }
    fragment Who on User { username email }";
    let data = app.data(query, json!({ "id": id })).await;
    let Person { username, email, .. } = &person;
    let node = json!({ "id": id, "username": username, "email": email, "phone": email });
    assert_eq!(data["users"], json!({ "nodes": [node], "pageInfo": { "hasNextPage": false } }));
    assert_eq!(data["user"], json!({ "id": id, "username": username }));
    let statements = app.take_statements();
    let selects = statements.iter().filter(|sql| sql.contains("FROM \"users\"")).count();
    assert_eq!(selects, 2, "one for the page and one for the user: {statements:?}");
}

#[tokio::test]
async fn what_is_skipped_is_not_merged() {
    let app = started().await;
    let person = Person::new();
    let id = app.create(&person).await;
    let user = json!({ "id": id });
    for (query, variables) in [
        ("query($s: Boolean = true) { users(first: 1) { nodes { id } } users(first: 1) @skip(if: $s) { nodes { email } } }", json!({})),
        ("query($s: Boolean!) { users(first: 1) { nodes { id } } ...F @include(if: $s) ...F @include(if: $s) }
          fragment F on Query { users(first: 1) { nodes { email } } }", json!({ "s": false })),
        ("query($s: Boolean!) { users(first: 1) { nodes { id id email @skip(if: $s) } } }", json!({ "s": true })),
        (
            "query($s: Boolean = true) { users(first: 1) { nodes { id email @skip(if: $s) } } }",
            json!({}),
        ),
        // A variable that nothing uses any more.
        ("query($s: Boolean!, $n: Int) { users(first: 1) { nodes { id id } } users(first: $n) @skip(if: $s) { nodes { id } } }", json!({ "s": true })),
    ] {
        let answer = app.graphql(query, variables).await;
        if query.contains("$n") {
            // The specification compares what is skipped, too (5.3.2).
            assert!(answer["errors"][0]["message"].as_str().unwrap().contains("conflict"), "{answer}");
        } else {
            assert_eq!(answer, json!({ "data": { "users": { "nodes": [user] } } }), "{query}");
        }
    }
    // Where nothing is left, it is as if it had been selected once.
    let user = "user(id: $id) { id @skip(if: $s) }";
    let ask = async |fields: String| {
        let query = format!("query($id: ID!, $s: Boolean!) {{ {fields} }}");
        app.data(&query, json!({ "id": id, "s": true })).await
    };
    assert_eq!(ask(user.repeat(2)).await, ask(user.to_owned()).await);
}

#[tokio::test]
async fn one_key_for_different_fields_is_a_conflict() {
    let app = started().await;
    for query in [
        "{ users(first: 1) { nodes { id } } users(first: 2) { nodes { id } } }",
        "{ users(first: 1) { nodes { id } } users { nodes { id } } }",
        "{ users(first: 1) { nodes { id } } ...F } fragment F on Query { users(first: 2) { nodes { id } } }",
        "{ users(first: 1) { nodes { a: id } } users(first: 1) { nodes { a: username } } }",
        "{ ...F ...G } fragment F on Query { users(first: 1) { nodes { a: id } } }
         fragment G on Query { ... { users(first: 1) { nodes { a: email } } } }",
        "query($a: Int, $b: Int) { users(first: $a) { nodes { id } } users(first: $b) { nodes { id } } }",
        "mutation { a: createUser(input: { username: \"a\" }) { id } ... { a: createUser(input: { username: \"b\" }) { id } } }",
    ] {
        assert_eq!(app.code(query, json!({})).await, "GRAPHQL_VALIDATION_FAILED", "{query}");
        let answer = app.graphql(query, json!({})).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("conflict"), "{query}: {answer}");
    }
    assert!(app.rows("SELECT 1 FROM users").await.is_empty());
    // In another order they are the same.
    let page =
        "{ users(first: 1, after: null) { nodes { id } } users(after: null, first: 1) { nodes { id } } }";
    app.data(page, json!({})).await;
}

#[tokio::test]
async fn what_is_merged_is_validated_as_it_was_sent() {
    let app = started().await;
    for (query, says) in [
        ("{ __typename __typename users(first: 1) { nodes { nonsense } } }", "nonsense"),
        ("{ users(first: 1) { nodes { id } } users(first: 1) { nodes { nonsense } } }", "nonsense"),
        ("{ __typename __typename } fragment F on Query { __typename }", "never used"),
        ("{ __typename __typename ...F }", "Unknown fragment"),
        ("{ __typename __typename ... on User { id } }", "cannot be spread"),
        ("query($a: Int) { __typename __typename }", "not used"),
        (
            "{ __typename __typename ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
            "recursion depth",
        ),
        ("{ __typename __typename user(id: $id) { id } }", "is not defined"),
        ("{ __typename __typename users(first: 1) @nonsense { nodes { id } } }", "Unknown directive"),
    ] {
        let answer = app.graphql(query, json!({})).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{query}: {answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        assert_eq!(answer.get("data"), None, "{query}");
    }
}

/// Fragments apply or are refused: merging relies on it.
#[test]
fn the_schema_has_objects_only() {
    let schema = oubliette::graphql::sdl();
    assert!(
        !schema.lines().any(|line| line.starts_with("interface ") || line.starts_with("union ")),
        "{schema}"
    );
}
