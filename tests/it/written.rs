//! Users that are written in one pass: as they would be resolved, field by field.

mod documents;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_graphql::Request;
use documents::{Case, Fault, documents};
use oubliette::{
    access::{Budget, Caller, Scopes},
    audit::Origin,
    config::{AuditReads, Config},
    graphql::Api,
    sinks::Receipts,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config as Runs, TestRunner},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, change_of_email, on_both_databases, sized};

on_both_databases!(
    the_same_document_answers_the_same_written_and_resolved,
    fields_come_in_the_documents_order,
    only_what_is_selected_is_read,
);

/// People of all kinds: ordinary ones, and such as have something wrong with them.
struct People {
    ids: Vec<Uuid>,
    names: Vec<String>,
}

impl People {
    async fn create(app: &TestApp) -> Self {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let person = Person::new();
            ids.push(app.create(&person).await);
            names.push(person.username);
        }
        app.graphql(
            "mutation($id: ID!) { updateUser(id: $id, input: { phone: null }) { id } }",
            json!({ "id": ids[1] }),
        )
        .await;
        let mut damaged = app.column(ids[2], "email_encrypted").await;
        *damaged.last_mut().unwrap() ^= 1;
        app.set_column(ids[2], "email_encrypted", &damaged).await;
        app.sql(&format!("DELETE FROM data_keys WHERE subject_id = {}", app.literal(ids[3]))).await;
        for (place, name) in
            [(0, "full_name"), (2, "full_name"), (4, "full_name"), (4, "date_of_birth"), (6, "full_name")]
        {
            let value = if name == "full_name" { "Ada \"Countess\" Lovelace" } else { "1815-12-10" };
            let change = "mutation($id: ID!, $name: String!, $value: String) {
                updateUser(id: $id, input: { attributes: [{ name: $name, value: $value }] }) { id } }";
            app.data(change, json!({ "id": ids[place], "name": name, "value": value })).await;
        }
        // One that is another's.
        app.sql(&format!(
            "UPDATE personal_values SET sealed = (SELECT sealed FROM personal_values WHERE subject_id = {}) WHERE subject_id = {}",
            app.literal(ids[0]),
            app.literal(ids[6])
        ))
        .await;
        app.forget(ids[5]).await;
        // What JSON has to escape.
        let quoted = change_of_email("\"a\\\\b \\\"c\"@personal-value.example");
        app.users.update(ids[6].into(), quoted, &Origin::new("test")).await.unwrap();
        ids.push(Uuid::now_v7());
        names.push("nobody".to_owned());
        Self { ids, names }
    }
}

async fn the_same_document_answers_the_same_written_and_resolved(stack: TestStack) {
    let mut config = Config::default();
    let app = TestApp::start_with(stack, |own| {
        own.audit.reads = AuditReads::Required;
        own.graphql.max_complexity = 100_000;
        config.limits = own.limits.clone();
        config.graphql = own.graphql.clone();
    })
    .await;
    let people = People::create(&app).await;
    let api = || {
        let budget = Budget::new(&config.limits);
        Api::new(
            app.users.clone(),
            Receipts::default(),
            budget,
            app.refusals.clone(),
            app.trail.clone(),
            &config.graphql,
        )
    };
    let apis = [("written", api()), ("resolved", api().resolving_all())];
    let mut runner = TestRunner::new(Runs::default());
    let mut cases = Vec::new();
    for number in 0..sized(150, 1_500) {
        let case = documents().new_tree(&mut runner).unwrap().current();
        let mut answers = Vec::new();
        for (name, api) in &apis {
            answers.push(ask(&app, &people, api, &case, number, name).await);
        }
        let [written, resolved] = answers.try_into().unwrap();
        assert_eq!(outcome(&written), outcome(&resolved), "{case:#?}\n{}", case.text());
        cases.push(case);
    }
    let events = events(&app).await;
    for (number, case) in cases.iter().enumerate() {
        let of = |name| events.get(&format!("{name}-{number}"));
        assert_eq!(of("written"), of("resolved"), "{case:#?}\n{}", case.text());
    }
    assert!(events.len() > cases.len() / 3, "so few requests looked at anything: {}", events.len());
}

async fn ask(app: &TestApp, people: &People, api: &Api, case: &Case, number: usize, name: &str) -> Value {
    if case.fault != Fault::None {
        app.keyring.evict_all().await;
    }
    app.backend.fail(match case.fault {
        Fault::None | Fault::Cold => None,
        Fault::Backend(class) => Some(class),
    });
    let scopes: Scopes = case.scopes.parse().unwrap();
    let caller = Caller {
        actor: format!("token:{number}"),
        scopes,
        own: case.own.map(|own| people.ids[own].into()),
        subjects_per_minute: case.subjects_per_minute,
        ..Caller::anonymous()
    };
    let session = api.session(Arc::new(caller), &format!("{name}-{number}"));
    let mut variables = json!({ "yes": true, "no": false, "ids": people.ids });
    if number.is_multiple_of(2) {
        variables["name"] = json!("date_of_birth");
    }
    let request = Request::new(case.text_about(&people.ids, &people.names))
        .variables(async_graphql::Variables::from_json(variables));
    let answer = api.execute(session, request).await.unwrap();
    app.backend.fail(None);
    serde_json::from_slice(&answer.to_json().unwrap()).unwrap()
}

/// The values, and the errors as a set: the library gives them in the order in which fields were done.
fn outcome(answer: &Value) -> (Option<&Value>, BTreeSet<String>) {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let errors = errors.map(|error| {
        let Value::Object(extensions) = &error["extensions"] else { panic!("{error}") };
        format!("{} {} {}", error["path"], extensions["code"], error["message"])
    });
    (answer.get("data"), errors.collect())
}

/// What the audit trail has of each request, once all of it is there.
async fn events(app: &TestApp) -> BTreeMap<String, BTreeSet<String>> {
    let mut known = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let rows = app
            .rows("SELECT request_id, action, subject_id, subject_ids, count, attributes, outcome FROM audit_events")
            .await;
        if rows.len() > known {
            known = rows.len();
            continue;
        }
        let mut events: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            let text =
                |index: usize| row.try_get_by_index::<Option<String>>(index).unwrap().unwrap_or_default();
            let subject: Option<Uuid> = row.try_get_by_index(2).unwrap();
            let count: i32 = row.try_get_by_index(4).unwrap();
            let event = format!("{} {subject:?} {} {count} {} {}", text(1), text(3), text(5), text(6));
            events.entry(text(0)).or_default().insert(event);
        }
        return events;
    }
}

async fn fields_come_in_the_documents_order(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    let text = async |query: &str| {
        let body = json!({ "query": query });
        app.post("/graphql").json(&body).send().await.unwrap().text().await.unwrap()
    };
    let Person { username, email, phone } = &person;
    let query = "{ users(first: 1) { __typename edges { node { phone of: email ...rest } cursor } pageInfo { \
                 hasNextPage } } } fragment rest on User { id __typename ... { name: username } }";
    let answer = text(query).await;
    let (head, rest) = answer.split_once(",\"cursor\":\"").expect(&answer);
    assert_eq!(
        head,
        format!(
            "{{\"data\":{{\"users\":{{\"__typename\":\"UserConnection\",\"edges\":[{{\"node\":{{\"phone\":\"{phone}\",\
             \"of\":\"{email}\",\"id\":\"{id}\",\"__typename\":\"User\",\"name\":\"{username}\"}}"
        )
    );
    assert!(rest.ends_with("\"}],\"pageInfo\":{\"hasNextPage\":false}}}}"), "{answer}");
    let answer = text(&format!("{{ one: user(id: \"{id}\") {{ username id }} }}")).await;
    assert_eq!(answer, format!("{{\"data\":{{\"one\":{{\"username\":\"{username}\",\"id\":\"{id}\"}}}}}}"));
}

async fn only_what_is_selected_is_read(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let person = Person::new();
    let id = app.create(&person).await;
    for (fields, email, phone) in [
        ("username createdAt", false, false),
        ("email", true, false),
        ("phoneMasked", false, true),
        ("email phone", true, true),
    ] {
        for query in [
            format!("{{ user(id: \"{id}\") {{ {fields} }} }}"),
            format!("{{ userByUsername(username: \"{}\") {{ {fields} }} }}", person.username),
            format!("{{ users(first: 1) {{ nodes {{ {fields} }} }} }}"),
        ] {
            app.take_statements();
            app.data(&query, json!({})).await;
            let statements = app.take_statements().join("\n");
            for (column, is_read) in [("email_encrypted", email), ("phone_encrypted", phone)] {
                let reads = statements.contains(&format!("\"users\".\"{column}\""));
                assert_eq!(reads, is_read, "{query}: {statements}");
            }
        }
    }
}
