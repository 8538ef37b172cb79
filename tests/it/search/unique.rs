//! A value that one user alone can have.

use futures::future::join_all;
use oubliette::{
    attributes::Change,
    audit::Origin,
    config::Config,
    keys::sweep::SweepOptions,
    users::{ImportOptions, Imported, ImportedUser},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{all, by_national_id, code, update};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    a_value_has_one_owner_whatever_its_spelling,
    of_many_who_want_it_at_the_same_time_one_gets_it,
    two_who_swap_their_values_end,
    an_import_leaves_out_whose_value_is_anothers,
);

async fn create(app: &TestApp, national_id: &str) -> Value {
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let attributes = json!([{ "name": "national_id", "value": national_id }]);
    app.graphql(query, json!({ "input": { "username": Person::new().username, "attributes": attributes } }))
        .await
}

fn id(answer: &Value) -> Uuid {
    answer["data"]["createUser"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

fn set(national_id: &str) -> Value {
    json!({ "attributes": [{ "name": "national_id", "value": national_id }] })
}

async fn a_value_has_one_owner_whatever_its_spelling(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(true)).await;
    let ada = id(&create(&app, "A123456789").await);
    let refused = create(&app, "a 123 456 789").await;
    assert_eq!(code(&refused), Some("CONFLICT"));
    assert_eq!(refused["errors"][0]["extensions"]["field"], "national_id");
    assert!(!refused.to_string().contains("456"), "{refused}");
    // Nothing of it is stored.
    assert_eq!(app.rows("SELECT 1 FROM users").await.len(), 1);
    assert_eq!(app.rows("SELECT 1 FROM data_keys").await.len(), 1);
    let eve = id(&create(&app, "A000000001").await);
    assert_eq!(code(&update(&app, eve, set("A123456789")).await), Some("CONFLICT"));
    assert_eq!(all(&app, "national_id", "A000000001").await, [eve]);
    // One's own, in another spelling.
    assert_eq!(code(&update(&app, ada, set("a123456789")).await), None);
    assert_eq!(all(&app, "national_id", "A123456789").await, [ada]);
    // Who is forgotten, or has another one, leaves it to others.
    app.forget(ada).await;
    assert_eq!(code(&update(&app, eve, set("A123456789")).await), None);
    assert_eq!(code(&create(&app, "A000000001").await), None);
    assert_eq!(all(&app, "national_id", "A123456789").await, [eve]);
}

async fn of_many_who_want_it_at_the_same_time_one_gets_it(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(true)).await;
    for round in 0..5 {
        let national_id = format!("B{round}00000000");
        let answers = join_all((0..8).map(|_| create(&app, &national_id))).await;
        let refused: Vec<_> = answers.iter().filter_map(code).collect();
        assert_eq!(refused, ["CONFLICT"; 7]);
        assert_eq!(all(&app, "national_id", &national_id).await.len(), 1);
    }
}

/// Each waits for what the other one has. On PostgreSQL, one of them is undone and made anew.
async fn two_who_swap_their_values_end(stack: TestStack) {
    let app = TestApp::start_with(stack, |config: &mut Config| by_national_id(true)(config)).await;
    let (one, other) = (id(&create(&app, "A111111111").await), id(&create(&app, "A222222222").await));
    for _ in 0..10 {
        let swapped = [(one, "A222222222"), (other, "A111111111")];
        let answers = join_all(swapped.map(|(id, value)| update(&app, id, set(value)))).await;
        for answer in answers {
            assert!(matches!(code(&answer), None | Some("CONFLICT" | "UNAVAILABLE")), "{answer}");
        }
        let mut owners = all(&app, "national_id", "A111111111").await;
        owners.extend(all(&app, "national_id", "A222222222").await);
        owners.sort_unstable();
        owners.dedup();
        assert_eq!(owners.len(), 2, "{owners:?}");
    }
}

/// One of those in a file, and one who is here already.
async fn an_import_leaves_out_whose_value_is_anothers(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(true)).await;
    create(&app, "A123456789").await;
    let person = |value: &str| {
        let mut new = Person::new().new_user();
        let attribute = app.users.attribute("national_id").unwrap();
        new.personal.add(&attribute, Change::Replace(value)).unwrap();
        ImportedUser { id: None, new }
    };
    let brought = ["A000000001", "a 123 456 789", "A000000002", "a000000002"].map(person);
    let import = app.users.import(&Origin::new("a test"), &SweepOptions::default(), ImportOptions::default());
    let outcomes = import.bring(brought.into()).await.unwrap();
    let refused =
        |outcome: &&Imported| matches!(outcome, Imported::Refused { field, .. } if field == "national_id");
    assert!(refused(&&outcomes[1]), "{outcomes:?}");
    assert_eq!(outcomes[2..].iter().filter(refused).count(), 1, "{outcomes:?}");
    assert!(matches!(outcomes[0], Imported::Created(_)), "{outcomes:?}");
    for value in ["A123456789", "A000000001", "A000000002"] {
        assert_eq!(all(&app, "national_id", value).await.len(), 1, "{value}");
    }
    assert_eq!(app.rows("SELECT 1 FROM users").await.len(), 3);
}
