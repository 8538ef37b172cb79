//! Users who are asked for at the same time: read by few statements, and each answered as if alone.

use std::{collections::BTreeSet, fmt::Write};

use futures::future::join_all;
use oubliette::{
    config::AuditReads,
    envelope::{DataKeyId, KeyVersion},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(
    many_users_in_one_document_take_few_statements,
    statements_have_few_texts,
    each_is_answered_as_if_alone,
    what_was_written_before_is_read,
    a_statement_that_fails_is_only_who_asked_for_it,
);

const MANY: usize = 60;

async fn started(stack: TestStack) -> TestApp {
    // What the audit trail writes is no statement for users.
    TestApp::start_with(stack, |config| config.audit.reads = AuditReads::Off).await
}

async fn people(app: &TestApp, count: usize) -> Vec<(Uuid, Person)> {
    let mut people = Vec::new();
    for _ in 0..count {
        let person = Person::new();
        people.push((app.add(&person).await, person));
    }
    people
}

/// A document that asks for each of these, with what is selected of each.
fn document<'a>(asked: impl IntoIterator<Item = (Uuid, &'a str)>) -> String {
    let mut document = "{".to_owned();
    for (place, (id, selection)) in asked.into_iter().enumerate() {
        write!(document, " u{place}: user(id: \"{id}\") {{ {selection} }}").unwrap();
    }
    document + " }"
}

async fn many_users_in_one_document_take_few_statements(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, MANY).await;
    for (id, _) in &people {
        let id = DataKeyId { subject: (*id).into(), version: KeyVersion::FIRST };
        app.keyring.evict(id.subject, [id]).await;
    }
    app.take_statements();
    let unwrapped = app.backend.unwrapped();
    let data = app.data(&document(people.iter().map(|(id, _)| (*id, "id email"))), json!({})).await;
    for (place, (id, person)) in people.iter().enumerate() {
        assert_eq!(data[format!("u{place}")], json!({ "id": id, "email": person.email }));
    }
    assert_eq!(app.backend.unwrapped() - unwrapped, MANY);
    let statements = app.take_statements();
    for table in ["users", "data_keys"] {
        let of_table = statements.iter().filter(|sql| sql.contains(&format!("FROM \"{table}\""))).count();
        // How many depends on how fast they are. The unit tests say exactly.
        assert!((1..MANY).contains(&of_table), "{of_table} statements for {table}");
    }
}

/// Each text is planned anew.
async fn statements_have_few_texts(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, 34).await;
    app.take_statements();
    for count in 1..=people.len() {
        let some = people[..count].iter().map(|(id, _)| (*id, "id email"));
        app.data(&document(some), json!({})).await;
    }
    let texts: BTreeSet<_> = app.take_statements().into_iter().collect();
    let lengths: BTreeSet<_> = texts.iter().map(|text| text.matches(['$', '?']).count()).collect();
    assert!(lengths.is_subset(&[1, 2, 4, 8, 16, 32].into()), "{lengths:?}");
    assert_eq!(texts.len(), lengths.len());
}

async fn each_is_answered_as_if_alone(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, MANY).await;
    let forgotten = app.add(&Person::new()).await;
    app.forget(forgotten).await;
    let (absent, broken) = (Uuid::now_v7(), people[7].0);
    app.set_column(broken, "email_encrypted", &[1, 2, 3]).await;
    let selections = ["username", "id email", "phone", "id username email phone", "username"];
    let mut asked: Vec<_> =
        people.iter().zip(selections.iter().cycle()).map(|((id, _), selection)| (*id, *selection)).collect();
    // One user often, and everybody with everything else, too.
    asked.extend(selections.iter().map(|selection| (people[0].0, *selection)));
    asked.extend(people.iter().take(10).map(|(id, _)| (*id, "email")));
    asked.extend([forgotten, absent].map(|id| (id, "email")));
    let alone: Vec<_> = {
        let mut alone = Vec::new();
        for one in &asked {
            alone.push(app.graphql(&document([*one]), json!({})).await);
        }
        alone
    };
    let together = app.graphql(&document(asked.iter().copied()), json!({})).await;
    let errors = |answer: &Value, place: usize| {
        let own = |error: &&Value| error["path"][0] == format!("u{place}");
        let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter(own).map(|error| error["extensions"]["code"].clone()).collect::<Vec<_>>()
    };
    for (place, alone) in alone.iter().enumerate() {
        assert_eq!(together["data"][format!("u{place}")], alone["data"]["u0"], "{:?}", asked[place]);
        assert_eq!(errors(&together, place), errors(alone, 0), "{:?}", asked[place]);
    }
    assert_eq!(errors(&together, asked.len() - 2), [json!("FORGOTTEN")]);
    let expected: usize = alone.iter().map(|alone| errors(alone, 0).len()).sum();
    assert_eq!(together["errors"].as_array().unwrap().len(), expected);
}

/// Whoever has the answer to a change finds the change, however many others read meanwhile.
async fn what_was_written_before_is_read(stack: TestStack) {
    let app = &started(stack).await;
    let people = people(app, 8).await;
    let ids: Vec<_> = people.iter().map(|(id, _)| *id).collect();
    let readers = join_all(ids.iter().cycle().take(32).map(|id| async move {
        for _ in 0..20 {
            app.read(*id).await;
        }
    }));
    let writers = join_all(ids.iter().map(|id| async move {
        for _ in 0..5 {
            let email = Person::new().email;
            let change = "mutation($id: ID!, $email: String!) { updateUser(id: $id, input: { email: $email }) { id } }";
            app.data(change, json!({ "id": id, "email": email })).await;
            assert_eq!(app.read(*id).await["data"]["user"]["email"], email);
        }
        app.forget(*id).await;
        assert_eq!(app.read(*id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    }));
    futures::join!(readers, writers);
}

/// A statement for several that the database refuses is followed by one for each of them.
async fn a_statement_that_fails_is_only_who_asked_for_it(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, MANY).await;
    // A row that cannot be read.
    let broken = app.literal(people[11].0);
    if app.database.is_postgres() {
        app.sql("ALTER TABLE users RENAME TO kept").await;
        app.sql(&format!(
            "CREATE VIEW users AS SELECT id, email_encrypted, phone_encrypted, created_at, updated_at,
            CASE WHEN id = {broken} THEN (1 / (length(username) - length(username)))::varchar ELSE username END AS username
            FROM kept"
        ))
        .await;
    } else {
        app.sql(&format!("UPDATE users SET created_at = 'some day' WHERE id = {broken}")).await;
    }
    let asked = people.iter().map(|(id, _)| (*id, "username email createdAt"));
    let answer = app.graphql(&document(asked), json!({})).await;
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0]["path"][0], "u11");
    for (place, (_, person)) in people.iter().enumerate().filter(|(place, _)| *place != 11) {
        assert_eq!(answer["data"][format!("u{place}")]["email"], person.email);
    }
}
