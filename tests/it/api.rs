//! What a client can do, and what it is told when it cannot.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, on_every_stack};

on_every_stack!(
    a_user_is_created_read_changed_and_forgotten,
    errors_have_their_codes,
    pages_follow_each_other_both_ways,
    pages_are_bounded,
    a_text_that_nothing_is_called_finds_nothing,
    an_update_that_others_keep_coming_between_may_be_tried_again,
);

/// PostgreSQL takes no NUL, SQLite takes it for an end.
async fn a_text_that_nothing_is_called_finds_nothing(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    app.create(&person).await;
    for name in ["\0", &format!("{}\0", person.username), "a\u{85}b", "ada@example.com", "é", ""] {
        let query = "query($name: String!) { userByUsername(username: $name) { id } }";
        assert_eq!(
            app.graphql(query, json!({ "name": name })).await,
            json!({ "data": { "userByUsername": null } })
        );
    }
    for actor in ["\0", "anonymous\0", "a\nb", ""] {
        let query = "query($actor: String!) { auditEvents(actor: $actor) { nodes { id: sequence } } }";
        assert_eq!(
            app.graphql(query, json!({ "actor": actor })).await,
            json!({ "data": { "auditEvents": { "nodes": [] } } })
        );
    }
}

const UPDATE: &str = "mutation($id: ID!, $input: UpdateUserInput!) {
    updateUser(id: $id, input: $input) { username email phone createdAt updatedAt }
}";
const CREATE: &str =
    "mutation($input: CreateUserInput!) { createUser(input: $input) { username email phone } }";
const FORGET: &str = "mutation($id: ID!) { forgetUser(id: $id) { userId } }";

async fn a_user_is_created_read_changed_and_forgotten(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (person, other) = (Person::new(), Person::new());

    let input = json!({ "username": person.username, "email": format!(" {} ", person.email), "phone": "+49 (30) 901-820" });
    let created = app.data(CREATE, json!({ "input": input })).await["createUser"].clone();
    assert_eq!(
        created,
        json!({ "username": person.username, "email": person.email, "phone": "+4930901820" })
    );

    let query = "query($name: String!) { userByUsername(username: $name) { id createdAt updatedAt } }";
    let by_name = app.data(query, json!({ "name": person.username })).await["userByUsername"].clone();
    assert_eq!(by_name["createdAt"], by_name["updatedAt"]);
    let id: Uuid = by_name["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    let read = app.read(id).await["data"]["user"].clone();
    assert_eq!(read["email"], person.email);

    // Absent keeps, null removes, a value replaces.
    let changed =
        app.data(UPDATE, json!({ "id": id, "input": { "email": other.email } })).await["updateUser"].clone();
    assert_eq!((&changed["email"], &changed["phone"]), (&json!(other.email), &json!("+4930901820")));
    assert_eq!(changed["createdAt"], by_name["createdAt"]);
    assert!(changed["updatedAt"].as_str() > by_name["updatedAt"].as_str());
    let changed =
        app.data(UPDATE, json!({ "id": id, "input": { "phone": null, "username": other.username } })).await;
    let read = app.read(id).await["data"]["user"].clone();
    assert_eq!(changed["updateUser"]["phone"], Value::Null);
    assert_eq!(read, json!({ "id": id, "username": other.username, "email": other.email, "phone": null }));

    // Sealed anew each time: the same value looks different in the column.
    let before = app.column(id, "email_encrypted").await;
    app.data(UPDATE, json!({ "id": id, "input": { "email": other.email } })).await;
    assert_ne!(app.column(id, "email_encrypted").await, before);

    let erasure = app.forget(id).await;
    assert_eq!((&erasure["userId"], &erasure["sequence"]), (&json!(id), &json!(1)));
    assert_eq!(app.forget(id).await, erasure, "forgetting twice answers the first erasure");
    let query = "query($id: ID!) { erasure(userId: $id) { userId erasedAt sequence digest } }";
    assert_eq!(app.data(query, json!({ "id": id })).await["erasure"], erasure);
    let read = app.read(id).await;
    assert_eq!(read["errors"][0]["extensions"]["code"], "FORGOTTEN");
    assert_eq!(read["data"], json!({ "user": null }));
    // The username is free again: nothing of it was kept.
    let again = json!({ "input": { "username": other.username } });
    assert_eq!(app.data(CREATE, again).await["createUser"]["email"], Value::Null);
}

async fn errors_have_their_codes(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    let forgotten = app.create(&Person::new()).await;
    app.forget(forgotten).await;
    let nobody = Uuid::now_v7();

    let user = "query($id: ID!) { user(id: $id) { id } }";
    let erasure = "query($id: ID!) { erasure(userId: $id) { sequence } }";
    assert_eq!(app.data(user, json!({ "id": nobody })).await, json!({ "user": null }));
    assert_eq!(app.data(erasure, json!({ "id": id })).await, json!({ "erasure": null }));
    for (query, variables, code) in [
        (user, json!({ "id": "nonsense" }), "BAD_USER_INPUT"),
        (erasure, json!({ "id": "nonsense" }), "BAD_USER_INPUT"),
        (user, json!({ "id": forgotten }), "FORGOTTEN"),
        (UPDATE, json!({ "id": nobody, "input": { "phone": null } }), "NOT_FOUND"),
        (UPDATE, json!({ "id": nobody, "input": { "email": person.email } }), "NOT_FOUND"),
        (UPDATE, json!({ "id": forgotten, "input": { "phone": null } }), "FORGOTTEN"),
        (UPDATE, json!({ "id": forgotten, "input": { "email": person.email } }), "FORGOTTEN"),
        (FORGET, json!({ "id": nobody }), "NOT_FOUND"),
        (FORGET, json!({ "id": "nonsense" }), "BAD_USER_INPUT"),
        (CREATE, json!({ "input": { "username": person.username } }), "CONFLICT"),
        ("{ nonsense }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("{ users(first: 1", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("query($id: ID!) { user(id: $id) { id } }", json!({}), "GRAPHQL_VALIDATION_FAILED"),
    ] {
        assert_eq!(app.code(query, variables.clone()).await, code, "{query} {variables}");
    }
    for (input, field) in [
        (json!({ "username": "" }), "username"),
        (json!({ "username": "a b" }), "username"),
        (json!({ "username": "x".repeat(65) }), "username"),
        (json!({ "username": person.email }), "username"),
        (json!({ "username": "x", "email": "nonsense" }), "email"),
        (json!({ "username": "x", "email": "" }), "email"),
        (json!({ "username": "x", "phone": "12345" }), "phone"),
    ] {
        let answer = app.graphql(CREATE, json!({ "input": input })).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"], json!({ "code": "BAD_USER_INPUT", "field": field }), "{answer}");
        assert_eq!(error["path"], json!(["createUser"]));
    }
    let answer = app.graphql(UPDATE, json!({ "id": id, "input": { "username": null } })).await;
    assert_eq!(answer["errors"][0]["extensions"]["field"], "username");
    let other = app.create(&Person::new()).await;
    let taken = json!({ "id": other, "input": { "username": person.username } });
    assert_eq!(app.code(UPDATE, taken).await, "CONFLICT");
    assert_eq!(
        app.read(id).await["data"]["user"]["email"],
        person.email,
        "no refused change changed anything"
    );
}

async fn pages_follow_each_other_both_ways(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let mut names = Vec::new();
    for _ in 0..23 {
        let person = Person::new();
        app.create(&person).await;
        names.push(person.username);
    }
    let query = "query($first: Int, $after: String, $last: Int, $before: String) {
        users(first: $first, after: $after, last: $last, before: $before) {
            edges { cursor node { username } }
            pageInfo { startCursor endCursor hasNextPage hasPreviousPage }
        }
    }";
    let page = async |variables: Value| {
        let users = app.data(query, variables).await["users"].clone();
        let edges = users["edges"].as_array().unwrap().iter();
        let names: Vec<_> = edges.map(|edge| edge["node"]["username"].as_str().unwrap().to_owned()).collect();
        (names, users["pageInfo"].clone())
    };

    let (mut forward, mut after) = (Vec::new(), Value::Null);
    loop {
        let (names, info) = page(json!({ "first": 5, "after": after })).await;
        assert_eq!(info["hasPreviousPage"], !forward.is_empty());
        forward.extend(names);
        after = info["endCursor"].clone();
        if info["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(forward, names);

    let (mut backward, mut before) = (Vec::new(), Value::Null);
    loop {
        let (mut names, info) = page(json!({ "last": 5, "before": before })).await;
        assert_eq!(info["hasNextPage"], !backward.is_empty());
        names.append(&mut backward);
        backward = names;
        before = info["startCursor"].clone();
        if info["hasPreviousPage"] == false {
            break;
        }
    }
    assert_eq!(backward, names);

    assert_eq!(page(json!({})).await.0, names[..20], "20 if nothing is said");
    assert_eq!(page(json!({ "first": 0 })).await.0, Vec::<String>::new());
}

async fn pages_are_bounded(stack: TestStack) {
    let app = TestApp::start(stack).await;
    for (arguments, field) in [
        ("first: 101", "first"),
        ("first: -1", "first"),
        ("last: 101", "last"),
        ("first: 1, last: 1", "last"),
        (r#"after: "nonsense""#, "after"),
        (r#"before: "AAAA""#, "before"),
    ] {
        let answer =
            app.graphql(&format!("{{ users({arguments}) {{ edges {{ cursor }} }} }}"), json!({})).await;
        assert_eq!(
            answer["errors"][0]["extensions"],
            json!({ "code": "BAD_USER_INPUT", "field": field }),
            "{answer}"
        );
    }
    assert_eq!(
        app.data("{ users(first: 100) { edges { cursor } } }", json!({})).await,
        json!({ "users": { "edges": [] } })
    );
}

/// Whoever looks finds another data key, as if it were rotated all the time.
async fn an_update_that_others_keep_coming_between_may_be_tried_again(stack: TestStack) {
    let random = if stack.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    app.sql("ALTER TABLE data_keys RENAME TO stored_keys").await;
    let columns = "subject_id, version, kek_id, wrapped, created_at, rewrapped_at, commitment";
    app.sql(&format!("CREATE VIEW data_keys AS SELECT {columns}, {random} AS id FROM stored_keys")).await;
    let update = "mutation($id: ID!) { updateUser(id: $id, input: { email: \"a@example.com\" }) { id } }";
    let answer = app.graphql(update, json!({ "id": id })).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "UNAVAILABLE", "{answer}");
    assert_eq!(error["message"], "others change the user again and again; try again", "{answer}");
}
