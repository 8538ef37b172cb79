//! Finding people by what they have: from the value to the person, and what is left when they are forgotten.

mod budget;
mod building;
mod callers;
mod epochs;
mod second;
mod unique;

use oubliette::{
    attributes::Search,
    audit::Origin,
    config::Config,
    keys::sweep::{Controls, SweepOptions},
    search::Build,
    users::Users,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    somebody_is_found_in_any_spelling_until_they_are_forgotten,
    what_was_changed_or_removed_finds_nobody,
    several_are_told_from_one_and_listed_a_page_at_a_time,
    a_tag_that_leads_to_somebody_else_finds_nobody,
    what_cannot_be_looked_for_says_why,
);

pub(crate) const BY_EMAIL: &str = "query($value: String!) { userByEmail(email: $value) { id email } }";
pub(crate) const BY_PHONE: &str = "query($value: String!) { userByPhone(phone: $value) { id } }";
pub(crate) const BY: &str = "query($attribute: String!, $value: String!, $first: Int, $after: String) {
    usersBy(attribute: $attribute, value: $value, first: $first, after: $after) {
        nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor } } }";

/// A server whose users are found by their `national_id`, too, which one alone can have if that is said.
pub(crate) fn by_national_id(unique: bool) -> impl FnOnce(&mut Config) {
    move |config| {
        let attribute = config.attributes.0.get_mut("national_id").unwrap();
        (attribute.search, attribute.unique) = (Some(Search::Exact), Some(unique));
    }
}

/// Who has a value, by a query that answers one.
pub(crate) async fn one(app: &TestApp, query: &str, value: &str) -> Option<Uuid> {
    let data = app.data(query, json!({ "value": value })).await;
    let user = data.as_object().unwrap().values().next().unwrap();
    user["id"].as_str().map(|id| id.parse().unwrap())
}

/// All who have a value.
pub(crate) async fn all(app: &TestApp, attribute: &str, value: &str) -> Vec<Uuid> {
    let data = app.data(BY, json!({ "attribute": attribute, "value": value, "first": 100 })).await;
    ids(&data["usersBy"])
}

fn ids(connection: &Value) -> Vec<Uuid> {
    let nodes = connection["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["id"].as_str().unwrap().parse().unwrap()).collect()
}

pub(crate) async fn update(app: &TestApp, id: Uuid, input: Value) -> Value {
    let query = "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";
    app.graphql(query, json!({ "id": id, "input": input })).await
}

pub(crate) fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

/// The tags of somebody: attribute, epoch and tag.
pub(crate) async fn tags(app: &TestApp, id: Uuid) -> Vec<(String, i32, Vec<u8>)> {
    let own = format!(
        "SELECT attribute, epoch, tag FROM blind_indexes WHERE subject_id = {} ORDER BY attribute, epoch",
        app.literal(id)
    );
    let get = |row: &sea_orm::QueryResult| {
        (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap(), row.try_get_by_index(2).unwrap())
    };
    app.rows(&own).await.iter().map(get).collect()
}

/// As `oubliette-admin index rotate` does it.
pub(crate) async fn begin_epoch(users: &Users) {
    build(users, Build::NewEpoch).await;
}

pub(crate) async fn build(users: &Users, what: Build) {
    let (search, origin) = (users.search(), Origin::new("a test"));
    let indexes = search.begin(&origin, what).await.unwrap();
    let build = users.index_build(&indexes);
    let planned = build.count().await.unwrap();
    let (options, controls) = (SweepOptions::default(), Controls::default());
    let report = build.run("a test", planned, &options, &controls).await.unwrap();
    if report.left > 0 {
        // Somebody else was faster, and has begun another one since.
        for index in &indexes {
            assert!(!search.stands(index).await.unwrap(), "{report:?}");
        }
    }
    search.finish(&origin, &indexes).await.unwrap();
    search.delete_retiring().await.unwrap();
    search.end(&origin).await.unwrap();
}

async fn somebody_is_found_in_any_spelling_until_they_are_forgotten(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (ada, other) = (Person::new(), Person::new());
    let (id, _) = (app.create(&ada).await, app.create(&other).await);
    for spelling in
        [ada.email.clone(), ada.email.to_uppercase(), format!("  {}\n", ada.email.replace("mail", "Mail"))]
    {
        assert_eq!(one(&app, BY_EMAIL, &spelling).await, Some(id), "{spelling}");
        assert_eq!(all(&app, "email", &spelling).await, [id]);
    }
    let spaced = format!("{} {} {}", &ada.phone[..3], &ada.phone[3..6], &ada.phone[6..]);
    assert_eq!(one(&app, BY_PHONE, &spaced).await, Some(id));
    // What is answered is the person's own spelling.
    let data = app.data(BY_EMAIL, json!({ "value": ada.email.to_uppercase() })).await;
    assert_eq!(data["userByEmail"]["email"], ada.email);
    assert_eq!(tags(&app, id).await.len(), 2);
    app.forget(id).await;
    assert_eq!(one(&app, BY_EMAIL, &ada.email).await, None);
    assert_eq!(one(&app, BY_PHONE, &ada.phone).await, None);
    assert!(all(&app, "email", &ada.email).await.is_empty());
    assert!(tags(&app, id).await.is_empty());
    assert!(one(&app, BY_EMAIL, &other.email).await.is_some());
}

async fn what_was_changed_or_removed_finds_nobody(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(false)).await;
    let (before, after) = (Person::new(), Person::new());
    let id = app.create(&before).await;
    let input = json!({ "email": after.email, "phone": null, "attributes": [{ "name": "national_id", "value": "ab 1 2345 6789".to_uppercase().replace("AB", "A") }] });
    assert_eq!(code(&update(&app, id, input).await), None);
    assert_eq!(one(&app, BY_EMAIL, &before.email).await, None);
    assert_eq!(one(&app, BY_EMAIL, &after.email).await, Some(id));
    assert_eq!(one(&app, BY_PHONE, &before.phone).await, None);
    assert_eq!(all(&app, "national_id", "a123456789").await, [id]);
    let input = json!({ "email": null, "attributes": [{ "name": "national_id", "value": null }] });
    assert_eq!(code(&update(&app, id, input).await), None);
    assert!(all(&app, "national_id", "A123456789").await.is_empty());
    assert!(tags(&app, id).await.is_empty());
    // What does not concern it leaves it.
    let input = json!({ "email": before.email });
    update(&app, id, input).await;
    update(&app, id, json!({ "username": Person::new().username })).await;
    assert_eq!(one(&app, BY_EMAIL, &before.email).await, Some(id));
}

async fn several_are_told_from_one_and_listed_a_page_at_a_time(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let family = Person::new();
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(app.create(&Person { phone: family.phone.clone(), ..Person::new() }).await);
    }
    expected.sort_unstable();
    let answer = app.graphql(BY_PHONE, json!({ "value": family.phone })).await;
    assert_eq!(code(&answer), Some("AMBIGUOUS"));
    assert_eq!(answer["data"]["userByPhone"], Value::Null);
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("usersBy"), "{answer}");
    let (mut found, mut after) = (Vec::new(), Value::Null);
    loop {
        let variables = json!({ "attribute": "phone", "value": family.phone, "first": 2, "after": after });
        let page = app.data(BY, variables).await["usersBy"].clone();
        assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
        found.extend(ids(&page));
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(found, expected);
    for id in &expected[1..] {
        app.forget(*id).await;
    }
    assert_eq!(one(&app, BY_PHONE, &family.phone).await, Some(expected[0]));
}

/// A tag is a hint. Who is found has the value.
async fn a_tag_that_leads_to_somebody_else_finds_nobody(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let (ada, eve) = (Person::new(), Person::new());
    let (id, other) = (app.create(&ada).await, app.create(&eve).await);
    let (of_ada, of_eve) = (app.literal(id), app.literal(other));
    app.sql(&format!("DELETE FROM blind_indexes WHERE subject_id = {of_eve}")).await;
    app.sql(&format!("UPDATE blind_indexes SET subject_id = {of_eve} WHERE subject_id = {of_ada}")).await;
    assert_eq!(one(&app, BY_EMAIL, &ada.email).await, None);
    assert!(all(&app, "email", &ada.email).await.is_empty());
}

async fn what_cannot_be_looked_for_says_why(stack: TestStack) {
    let app = TestApp::start(stack).await;
    for (query, variables, field) in [
        (BY_EMAIL, json!({ "value": "nobody" }), "email"),
        (BY_PHONE, json!({ "value": "0049 30" }), "phone"),
        (BY, json!({ "attribute": "shoe_size", "value": "42" }), "attribute"),
        (BY, json!({ "attribute": "full_name", "value": "Ada" }), "attribute"),
        (BY, json!({ "attribute": "email", "value": "nobody" }), "email"),
        (BY, json!({ "attribute": "email", "value": "a@b.example", "first": 101 }), "first"),
    ] {
        let answer = app.graphql(query, variables).await;
        assert_eq!(code(&answer), Some("BAD_USER_INPUT"), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["field"], field, "{answer}");
    }
}
