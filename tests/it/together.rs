//! Users who are asked for at the same time: read by few statements, and each answered as if alone.

use std::{collections::BTreeSet, fmt::Write};

use futures::future::join_all;
use oubliette::{
    config::AuditReads,
    envelope::{DataKeyId, KeyVersion},
    users::{UserError, Users},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{EMAIL, Person, TestApp, TestStack, on_both_databases, registry_with_visits};

on_both_databases!(
    many_users_in_one_document_take_few_statements,
    statements_have_few_texts,
    each_is_answered_as_if_alone,
    what_was_written_before_is_read,
    a_statement_that_fails_is_only_who_asked_for_it,
    keys_that_are_not_open_come_with_the_rows,
    whoever_has_several_keys_or_none_is_answered_as_ever,
    who_is_forgotten_after_the_row_was_read_is_forgotten,
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

/// Takes a user's first data key out of the cache.
async fn close(app: &TestApp, id: Uuid) {
    let id = DataKeyId { subject: id.into(), version: KeyVersion::FIRST };
    app.keyring.evict(id.subject, [id]).await;
}

/// Reads somebody whose data key is not open until reads expect that.
async fn expect_misses(app: &TestApp, id: Uuid) {
    for _ in 0..10 {
        close(app, id).await;
        app.read(id).await;
    }
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
    let mut seen = Vec::new();
    // How many depends on how fast they are: on a busy machine, each may take so long that the next one begins. The unit tests say exactly.
    for _ in 0..5 {
        for (id, _) in &people {
            close(&app, *id).await;
        }
        app.take_statements();
        let unwrapped = app.backend.unwrapped();
        let data = app.data(&document(people.iter().map(|(id, _)| (*id, "id email"))), json!({})).await;
        for (place, (id, person)) in people.iter().enumerate() {
            assert_eq!(data[format!("u{place}")], json!({ "id": id, "email": person.email }));
        }
        assert_eq!(app.backend.unwrapped() - unwrapped, MANY);
        let statements = app.take_statements();
        let of = |table| statements.iter().filter(|sql| sql.contains(&format!("FROM \"{table}\""))).count();
        let counts = ["users", "data_keys"].map(of);
        if counts.iter().all(|count| (1..MANY).contains(count)) {
            return;
        }
        seen.push(counts);
    }
    panic!("statements for users and data keys: {seen:?}");
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

async fn keys_that_are_not_open_come_with_the_rows(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, 20).await;
    let of_keys = |statements: &[String]| {
        let alone = statements.iter().filter(|sql| sql.contains("FROM \"data_keys\"")).count();
        let with_rows = statements.iter().filter(|sql| sql.contains("LEFT JOIN \"data_keys\"")).count();
        (alone, with_rows)
    };
    // Whose keys are open: nothing is read of them.
    app.take_statements();
    for (id, person) in &people {
        assert_eq!(app.read(*id).await["data"]["user"]["email"], person.email);
    }
    assert_eq!(of_keys(&app.take_statements()), (0, 0));
    // Whose keys are not.
    expect_misses(&app, people[0].0).await;
    app.take_statements();
    for (id, person) in &people {
        close(&app, *id).await;
        assert_eq!(app.read(*id).await["data"]["user"]["email"], person.email);
    }
    assert_eq!(of_keys(&app.take_statements()), (0, people.len()));
    // What is not personal needs none.
    for (id, person) in &people {
        let data = app.data(&document([(*id, "username")]), json!({})).await;
        assert_eq!(data["u0"]["username"], person.username);
    }
    assert_eq!(of_keys(&app.take_statements()), (0, 0));
    // Most are open again.
    for (id, _) in people.iter().cycle().take(200) {
        app.read(*id).await;
    }
    app.take_statements();
    for (id, _) in &people {
        app.read(*id).await;
    }
    assert_eq!(of_keys(&app.take_statements()), (0, 0));
}

async fn whoever_has_several_keys_or_none_is_answered_as_ever(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, 6).await;
    let [older, keyless, damaged, forgotten] = [0, 1, 2, 3].map(|place: usize| people[place].0);
    let own = |id| format!("subject_id = {}", app.literal(id));
    // What an older release left behind while it rotated.
    app.sql(&format!(
        "INSERT INTO data_keys (id, subject_id, version, kek_id, wrapped, created_at)
         SELECT {}, subject_id, 2, kek_id, wrapped, created_at FROM data_keys WHERE {}",
        app.literal(Uuid::now_v7()),
        own(older)
    ))
    .await;
    app.sql(&format!("DELETE FROM data_keys WHERE {}", own(keyless))).await;
    app.sql(&format!("UPDATE data_keys SET wrapped = {} WHERE {}", app.bytes(&[1; 62]), own(damaged))).await;
    app.forget(forgotten).await;
    let asked = people.iter().map(|(id, _)| (*id, "id username email"));
    let ask = async || {
        for (id, _) in &people {
            close(&app, *id).await;
        }
        app.graphql(&document(asked.clone()), json!({})).await
    };
    let errors = |answer: &Value| {
        let errors = answer["errors"].as_array().unwrap().iter();
        errors
            .map(|error| (error["path"].to_string(), error["extensions"]["code"].clone()))
            .collect::<Vec<_>>()
    };
    let sorted = |answer: &Value| {
        let mut errors = errors(answer);
        errors.sort_by(|(one, _), (other, _)| one.cmp(other));
        errors
    };
    let before = ask().await;
    assert_eq!(sorted(&before).len(), 3, "{before}");
    expect_misses(&app, people[5].0).await;
    app.take_statements();
    let with_keys = ask().await;
    assert!(app.take_statements().iter().any(|sql| sql.contains("LEFT JOIN \"data_keys\"")));
    assert_eq!(with_keys["data"], before["data"]);
    assert_eq!(sorted(&with_keys), sorted(&before));
    assert_eq!(with_keys["data"]["u0"]["email"], people[0].1.email);
}

async fn who_is_forgotten_after_the_row_was_read_is_forgotten(stack: TestStack) {
    let app = started(stack).await;
    let people = people(&app, 2).await;
    let (id, somebody) = (people[0].0, people[1].0);
    let users = Users::new(app.db.clone(), app.keyring.clone()).with_registry(registry_with_visits());
    expect_misses(&app, somebody).await;
    close(&app, id).await;
    let user = users.find(id.into()).await.unwrap().unwrap();
    app.forget(id).await;
    let opened = user.open(&EMAIL).await;
    assert!(matches!(opened, Err(UserError::Forgotten(_))), "{opened:?}");
    let id = DataKeyId { subject: id.into(), version: KeyVersion::FIRST };
    assert!(app.keyring.cached(id).await.is_none());
}
