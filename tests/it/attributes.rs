//! Attributes that an operator declares: from the configuration to the database and back.

mod admin;
mod pages;
mod rolling;
mod scopes;

use std::collections::BTreeSet;

use oubliette::{
    attributes::{Change, Declarations},
    audit::Origin,
    config::AuditReads,
    keys::{
        rotate::Rotate,
        sweep::{Controls, SweepOptions},
    },
    users::{AttributeChanges, Reads, UserChanges},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{
    EMAIL_MARK, PHONE_MARK, Person, TestApp, TestStack, on_both_databases, registry_with_visits,
    remember_personal_values,
};

on_both_databases!(
    a_value_is_sealed_read_masked_changed_removed_and_forgotten,
    what_does_not_fit_is_refused_by_name_and_nothing_is_stored,
    a_fresh_data_key_seals_the_values_anew,
    values_stay_readable_when_the_declaration_changes,
    servers_that_declare_different_attributes_lose_nothing,
    what_is_not_there_is_a_look_too,
);

/// Values of one person that are found nowhere else.
pub(crate) fn values() -> Vec<(&'static str, String)> {
    let tag = rand::random_range(1_000_000..10_000_000_u32);
    let values = vec![
        ("full_name", format!("Ada Lovelace-{tag}{EMAIL_MARK}")),
        ("postal_address", format!("{tag} St James's Square{EMAIL_MARK}\nLondon")),
        ("date_of_birth", "1815-12-10".to_owned()),
        ("national_id", format!("A{tag}00")),
        ("second_email", format!("second-{tag}{EMAIL_MARK}")),
        ("second_phone", format!("{PHONE_MARK}{tag}")),
    ];
    let lines = values.iter().filter_map(|(_, value)| value.lines().next());
    let known: Vec<_> =
        lines.filter(|line| [EMAIL_MARK, PHONE_MARK].iter().any(|mark| line.contains(mark))).collect();
    remember_personal_values(&known);
    values
}

/// Makes a user with these.
pub(super) async fn create(app: &TestApp, values: &[(&str, String)]) -> Uuid {
    let attributes: Vec<_> =
        values.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let input = json!({ "username": Person::new().username, "attributes": attributes });
    let query =
        "mutation($input: CreateUserInput!) { createUser(input: $input) { id attributes { name value } } }";
    let created = app.data(query, json!({ "input": input })).await["createUser"].clone();
    assert_eq!(named(&created["attributes"], "value"), sorted(values));
    created["id"].as_str().unwrap().parse().unwrap()
}

/// Each attribute's name with one of its fields, in the order of the names.
pub(crate) fn named(attributes: &Value, field: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    let mut all: Vec<_> =
        attributes.as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one[field]))).collect();
    all.sort();
    all
}

pub(crate) fn sorted(values: &[(&str, String)]) -> Vec<(String, String)> {
    let mut all: Vec<_> = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    all.sort();
    all
}

const UPDATE: &str = "mutation($id: ID!, $attributes: [AttributeInput!]) {
    updateUser(id: $id, input: { attributes: $attributes }) { attributes { name value } } }";

pub(crate) async fn rows_of(app: &TestApp, id: Uuid) -> Vec<(String, Vec<u8>)> {
    let own = format!("SELECT attribute, sealed FROM personal_values WHERE subject_id = {}", app.literal(id));
    let rows = app.rows(&own).await;
    rows.iter().map(|row| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())).collect()
}

async fn a_value_is_sealed_read_masked_changed_removed_and_forgotten(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let id = create(&app, &values).await;
    // Sealed, each by itself.
    let rows = rows_of(&app, id).await;
    assert_eq!(rows.len(), values.len());
    for (name, value) in &values {
        let (_, sealed) = rows.iter().find(|(known, _)| known == name).unwrap();
        assert!(!String::from_utf8_lossy(sealed).contains(value.as_str()));
    }
    // Masked, each by its own mask.
    let query = "query($id: ID!) { user(id: $id) {
        attributes { name masked } email: attribute(name: \"email\") { value }
        name: attribute(name: \"full_name\") { __typename name kind value masked updatedAt } updatedAt } }";
    let user = app.data(query, json!({ "id": id })).await["user"].clone();
    let tail = |name: &str| {
        let value = &values.iter().find(|(known, _)| *known == name).unwrap().1;
        value[value.len() - 4..].to_owned()
    };
    let masked = [
        ("date_of_birth", "1815-••-••".to_owned()),
        ("full_name", "A••• L•••".to_owned()),
        ("national_id", format!("•••••{}", tail("national_id"))),
        ("postal_address", "•••••".to_owned()),
        ("second_email", "s•••@p•••.example".to_owned()),
        ("second_phone", format!("+49•••••{}", &tail("second_phone")[2..])),
    ];
    assert_eq!(named(&user["attributes"], "masked"), sorted(&masked));
    assert_eq!(user["email"], Value::Null);
    let name = &user["name"];
    assert_eq!((&name["kind"], &name["value"]), (&json!("TEXT"), &json!(values[0].1)), "{user}");
    assert_eq!((&name["__typename"], &name["updatedAt"]), (&json!("PersonalAttribute"), &user["updatedAt"]));
    // Changed, removed; the rest stays. The column's attributes are among them.
    let change = json!([
        { "name": "full_name", "value": "Ada King" }, { "name": "national_id" }, { "name": "postal_address", "value": null },
        { "name": "email", "value": "ada@example.com" },
    ]);
    let answer = app.data(UPDATE, json!({ "id": id, "attributes": change })).await;
    let kept = |name: &str| values.iter().find(|(known, _)| *known == name).unwrap().clone();
    let now = [
        ("full_name", "Ada King".to_owned()),
        kept("date_of_birth"),
        kept("second_email"),
        kept("second_phone"),
        ("email", "ada@example.com".to_owned()),
    ];
    assert_eq!(named(&answer["updateUser"]["attributes"], "value"), sorted(&now));
    assert_eq!(app.read(id).await["data"]["user"]["email"], "ada@example.com");
    // Forgotten, with all of it.
    app.forget(id).await;
    assert_eq!(rows_of(&app, id).await, []);
    let code =
        app.code("query($id: ID!) { user(id: $id) { attributes { value } } }", json!({ "id": id })).await;
    assert_eq!(code, "FORGOTTEN");
}

async fn what_does_not_fit_is_refused_by_name_and_nothing_is_stored(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = create(&app, &values()).await;
    let before = rows_of(&app, id).await;
    let secret = "not-to-be-repeated";
    let long = secret.repeat(100);
    for (attributes, field, problem) in [
        (
            json!([{ "name": "date_of_birth", "value": secret }]),
            "date_of_birth",
            "is not a day such as 1815-12-10",
        ),
        (
            json!([{ "name": "national_id", "value": secret }]),
            "national_id",
            "does not match the pattern [A-Z]?[0-9]{9}",
        ),
        (json!([{ "name": "full_name", "value": long }]), "full_name", "is longer than 200 characters"),
        (
            json!([{ "name": "full_name", "value": " " }]),
            "full_name",
            "is empty; leave it out, or use null to remove it",
        ),
        (
            json!([{ "name": "second_email", "value": secret }]),
            "second_email",
            "is not an e-mail address such as ada@example.com",
        ),
        (
            json!([{ "name": "email", "value": secret }]),
            "email",
            "is not an e-mail address such as ada@example.com",
        ),
        (
            json!([{ "name": "shoe_size", "value": secret }]),
            "attributes",
            "has no name of an attribute at place 2: attributeDefinitions has those that there are",
        ),
        (
            json!([{ "name": "full_name", "value": "a" }, { "name": "full_name" }]),
            "full_name",
            "is given twice",
        ),
        (json!(vec![json!({ "name": "full_name" }); 101]), "attributes", "has more than 100 entries"),
    ] {
        let good_and_bad = [json!([{ "name": "postal_address", "value": "new" }]), attributes];
        let all: Vec<_> = good_and_bad.iter().flat_map(|list| list.as_array().unwrap().clone()).collect();
        let all = if field == "attributes" && all.len() > 100 { &all[1..] } else { &all[..] };
        for query in [UPDATE, "mutation($id: ID!, $attributes: [AttributeInput!]) {
            createUser(input: { username: \"nobody\", attributes: $attributes }) { id } i: user(id: $id) { id } }"]
        {
            let query = query.replace("i: user(id: $id) { id }", "");
            let query = if query.contains("createUser") { query.replace("$id: ID!, ", "") } else { query };
            let answer = app.graphql(&query, json!({ "id": id, "attributes": all })).await;
            let error = &answer["errors"][0];
            assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
            assert_eq!((&error["extensions"]["field"], &error["message"]), (&json!(field), &json!(format!("{field} {problem}"))));
            assert!(!answer.to_string().contains(secret));
        }
    }
    assert_eq!(rows_of(&app, id).await, before);
    assert_eq!(
        app.data("{ userByUsername(username: \"nobody\") { id } }", json!({})).await["userByUsername"],
        Value::Null
    );
    for query in
        ["attribute(name: \"shoe_size\") { name }", "attributes(names: [\"email\", \"shoe_size\"]) { name }"]
    {
        let query = format!("query($id: ID!) {{ user(id: $id) {{ {query} }} }}");
        assert_eq!(app.code(&query, json!({ "id": id })).await, "BAD_USER_INPUT");
    }
    // The same twice, in a field and by name.
    let twice = "mutation($id: ID!) { updateUser(id: $id, input: { email: null, attributes: [{ name: \"email\" }] }) { id } }";
    assert_eq!(app.code(twice, json!({ "id": id })).await, "BAD_USER_INPUT");
    let definitions =
        app.data("{ attributeDefinitions { name kind maxLength pattern mask } }", json!({})).await;
    let definitions = definitions["attributeDefinitions"].as_array().unwrap();
    let names: Vec<_> = definitions.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["email", "phone", "date_of_birth"]);
    let national_id = json!({
        "name": "national_id", "kind": "TEXT", "maxLength": 200, "pattern": "[A-Z]?[0-9]{9}", "mask": "LAST_4",
    });
    assert!(definitions.contains(&national_id), "{definitions:?}");
}

async fn a_fresh_data_key_seals_the_values_anew(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let id = create(&app, &values).await;
    let before: BTreeSet<_> = rows_of(&app, id).await.into_iter().collect();
    let rotate = Rotate::everybody(app.keyring.clone(), registry_with_visits(), "test").await.unwrap();
    let report = rotate.run(&SweepOptions::default(), &Controls::default()).await.unwrap();
    assert_eq!(report.left, 0);
    let after: BTreeSet<_> = rows_of(&app, id).await.into_iter().collect();
    assert!(before.is_disjoint(&after) && before.len() == after.len());
    let user = app
        .data("query($id: ID!) { user(id: $id) { attributes { name value } } }", json!({ "id": id }))
        .await;
    assert_eq!(named(&user["user"]["attributes"], "value"), sorted(&values));
    let verified = app.users.verify().sample(10).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    // A value that was moved to another attribute does not open there.
    let own = app.literal(id);
    app.sql(&format!(
        "UPDATE personal_values SET sealed = (SELECT sealed FROM personal_values WHERE subject_id = {own} AND attribute = 'full_name')
         WHERE subject_id = {own} AND attribute = 'postal_address'"
    ))
    .await;
    let answer = app
        .graphql(
            "query($id: ID!) { user(id: $id) { attribute(name: \"postal_address\") { value } } }",
            json!({ "id": id }),
        )
        .await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "DECRYPTION_FAILED", "{answer}");
}

async fn values_stay_readable_when_the_declaration_changes(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let id = create(&app, &values).await;
    let other = "
        [full_name]
        kind = 'date'
        mask = 'year'
        [national_id]
        kind = 'text'
        max_length = 3
        pattern = '[a-z]'
        mask = 'initials'";
    let declarations = Declarations::of(&toml::from_str(other).unwrap()).unwrap();
    let users = app.users.clone().with_declarations(declarations);
    for (name, masked) in [("full_name", "•••••"), ("national_id", "A•••")] {
        let attribute = users.attribute(name).unwrap();
        let mut reads = Reads::COLUMNS;
        reads.add(&attribute);
        let user = users.find_with(id.into(), &reads).await.unwrap().unwrap();
        let value = user.open(&attribute).await.unwrap().unwrap();
        assert_eq!(
            Some(value.expose()),
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        );
        assert_eq!(attribute.masked(value.expose()), masked);
    }
}

/// During a roll-out: each answers what it knows, and keeps the rest.
async fn servers_that_declare_different_attributes_lose_nothing(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let values = values();
    let id = create(&app, &values).await;
    let newer = "[full_name]\nkind = 'text'\n[shoe_size]\nkind = 'text'";
    let other =
        app.users.clone().with_declarations(Declarations::of(&toml::from_str(newer).unwrap()).unwrap());
    assert!(other.attribute("national_id").is_none());
    let mut reads = Reads::COLUMNS;
    other.attributes().for_each(|attribute| reads.add(&attribute));
    let user = other.find_with(id.into(), &reads).await.unwrap().unwrap();
    let name = other.attribute("full_name").unwrap();
    assert_eq!(user.open(&name).await.unwrap().unwrap().expose(), values[0].1);
    let mut personal = AttributeChanges::default();
    personal.add(&other.attribute("shoe_size").unwrap(), Change::Replace("39")).unwrap();
    personal.add(&name, Change::Remove).unwrap();
    let changes = UserChanges { username: None, personal };
    other.update(id.into(), changes, &Origin::new("test")).await.unwrap();
    let read = "query($id: ID!) { user(id: $id) { attributes { name value } } }";
    let of_one = app.data(read, json!({ "id": id })).await;
    assert_eq!(named(&of_one["user"]["attributes"], "value"), sorted(&values[1..]));
    // What neither of them knows is forgotten as well.
    assert_eq!(rows_of(&app, id).await.len(), values.len());
    let orphaned = other.orphaned_attributes().await.unwrap();
    assert_eq!(orphaned.len(), values.len() - 1);
    assert_eq!(app.users.orphaned_attributes().await.unwrap(), ["shoe_size"]);
    app.forget(id).await;
    assert_eq!(rows_of(&app, id).await, []);
}

/// That somebody has none tells something about them.
async fn what_is_not_there_is_a_look_too(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| config.audit.reads = AuditReads::Required).await;
    let id = create(&app, &[("full_name", "Ada".to_owned())]).await;
    app.data(
        "query($id: ID!) { user(id: $id) { attributes(names: [\"full_name\", \"national_id\"]) { value } } }",
        json!({ "id": id }),
    )
    .await;
    app.data(
        "query($id: ID!) { user(id: $id) { attribute(name: \"postal_address\") { masked } } }",
        json!({ "id": id }),
    )
    .await;
    app.data(
        "query($id: ID!) { user(id: $id) { attribute(name: \"full_name\") { name } } }",
        json!({ "id": id }),
    )
    .await;
    let events = app
        .data(
            "query($id: ID!) { auditEvents(subjectId: $id, first: 100) { nodes { action attributes } } }",
            json!({ "id": id }),
        )
        .await;
    let events: Vec<_> = events["auditEvents"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["action"].as_str().unwrap().to_owned(), event["attributes"].clone()))
        .collect();
    assert!(
        events.contains(&("create".to_owned(), json!(["full_name", "username"])))
            || events.contains(&("create".to_owned(), json!(["username", "full_name"]))),
        "{events:?}"
    );
    assert!(events.contains(&("read_pii".to_owned(), json!(["full_name", "national_id"]))), "{events:?}");
    assert!(events.contains(&("read_pii".to_owned(), json!(["postal_address_masked"]))), "{events:?}");
    assert!(events.contains(&("read_pii".to_owned(), json!(["full_name_masked"]))), "{events:?}");
    assert_eq!(
        events.iter().filter(|(action, _)| action == "read_pii").count(),
        4,
        "creating, and three looks: {events:?}"
    );
}
