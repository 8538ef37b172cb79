//! What somebody finds who takes the database's files.

mod readers;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};

use serde_json::json;

use crate::attributes::values;
use crate::harness::{EMAIL_MARK, PHONE_MARK, Person, TestApp, TestStack, on_every_stack, sized};
use crate::search::{by_national_id, tags};

on_every_stack!(
    thousands_of_users_leave_no_personal_value_in_the_files,
    a_forgotten_users_wrapped_key_is_overwritten,
);

/// Every e-mail of the tests contains one mark and every phone number begins with another, so a search for
/// the two marks is a search for every value.
async fn thousands_of_users_leave_no_personal_value_in_the_files(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let people: Vec<_> = (0..sized(1_000, 10_000)).map(|_| Person::new()).collect();
    let ids: Vec<_> = stream::iter(&people).map(|person| app.create(person)).buffered(16).collect().await;

    let last = people.last().unwrap();
    assert!(last.email.contains(EMAIL_MARK) && last.phone.starts_with(PHONE_MARK));
    assert!(app.database.files_contain(last.username.as_bytes()), "the search would not find anything");
    let sealed = app.column(*ids.last().unwrap(), "email_encrypted").await;
    assert!(app.database.files_contain(&sealed), "the search would not find anything");
    for mark in [EMAIL_MARK, PHONE_MARK] {
        assert!(!app.database.files_contain(mark.as_bytes()), "{mark} is in the database's files");
    }
    let read = app.read(ids[500]).await;
    assert_eq!(read["data"]["user"]["email"], people[500].email);
}

/// On SQLite: deleted content is overwritten and the write-ahead log emptied. PostgreSQL keeps dead rows
/// until VACUUM and its own write-ahead log, which `docs/erasure.md` says; there the test looks at the
/// table's rows only.
async fn a_forgotten_users_wrapped_key_is_overwritten(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(true)).await;
    let person = Person::new();
    let id = app.create(&person).await;
    for _ in 0..50 {
        app.create(&Person::new()).await;
    }
    let sql = format!("SELECT wrapped FROM data_keys WHERE subject_id = {}", app.literal(id));
    let wrapped: Vec<u8> = app.rows(&sql).await[0].try_get("", "wrapped").unwrap();
    let mut sealed = vec![app.column(id, "email_encrypted").await];
    assert!(app.database.files_contain(&wrapped) && app.database.files_contain(&sealed[0]));
    // One of each kind, and a value that was replaced; and the tags of all of them, of former values, too.
    let values = values();
    let mut all_tags = BTreeSet::new();
    let mut add_tags = async || all_tags.extend(tags(&app, id).await.into_iter().map(|(.., tag)| tag));
    add_tags().await;
    for value in ["before", "after"] {
        let name = values.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        let address = json!({ "name": "postal_address", "value": value });
        let attributes: Vec<_> =
            name.filter(|one| one["name"] != "postal_address").chain([address]).collect();
        let change = "mutation($id: ID!, $attributes: [AttributeInput!]) {
            updateUser(id: $id, input: { attributes: $attributes }) { id } }";
        app.data(change, json!({ "id": id, "attributes": attributes })).await;
        let own = format!("SELECT sealed FROM personal_values WHERE subject_id = {}", app.literal(id));
        let email = json!({ "id": id, "input": { "email": Person::new().email } });
        let change =
            "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";
        app.data(change, email).await;
        add_tags().await;
        sealed.extend(app.rows(&own).await.iter().map(|row| row.try_get_by_index::<Vec<u8>>(0).unwrap()));
    }
    assert_eq!(sealed.len(), 1 + 2 * values.len());
    // An address, twice another one, a number, an identity number.
    assert_eq!(all_tags.len(), 5);
    assert!(all_tags.iter().any(|tag| app.database.files_contain(tag)), "the search would not find anything");
    sealed.extend(all_tags);
    let present = sealed.iter().filter(|value| app.database.files_contain(value)).count();
    assert!(present > values.len(), "the search would not find anything: {present}");
    for (name, value) in values.iter().filter(|(name, _)| *name != "date_of_birth") {
        assert!(!app.database.files_contain(value.as_bytes()), "{name} is in the files in the clear");
    }

    app.forget(id).await;
    let begin = Instant::now();
    assert!(app.rows(&sql).await.is_empty());
    let left = format!("SELECT attribute FROM personal_values WHERE subject_id = {}", app.literal(id));
    assert!(app.rows(&left).await.is_empty());
    assert!(tags(&app, id).await.is_empty());
    if app.database.is_postgres() {
        // Not before nobody reads who began earlier: other tests have standbys on this server.
        while vacuumed(&app).await.iter().any(|table| sealed.iter().any(|value| contains(table, value))) {
            assert!(begin.elapsed() < PATIENCE, "a sealed value is still in a table");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    if !app.database.is_postgres() {
        assert!(!app.database.files_contain(&wrapped), "the wrapped key is still in the files");
        for value in &sealed {
            assert!(!app.database.files_contain(value), "a sealed value is still in the files");
        }
        assert!(
            !app.database.files_contain(person.username.as_bytes()),
            "the username is still in the files"
        );
    }
}

/// How long PostgreSQL may need until a row that is gone can go.
const PATIENCE: Duration = Duration::from_mins(1);

/// The files of the tables with personal data, after a VACUUM that writes them anew.
async fn vacuumed(app: &TestApp) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    // The tables, and the indexes that hold tags.
    for table in ["users", "personal_values", "blind_indexes"] {
        app.sql(&format!("VACUUM FULL {table}")).await;
    }
    for table in ["users", "personal_values", "blind_indexes", "blind_indexes_pkey", "blind_indexes_subject"]
    {
        let path = app.rows(&format!("SELECT pg_relation_filepath('{table}')")).await;
        app.database.flush();
        let path: String = path[0].try_get_by_index(0).unwrap();
        files.push(std::fs::read(app.database.folder().join(path)).unwrap());
    }
    files
}

fn contains(file: &[u8], value: &[u8]) -> bool {
    memchr::memmem::find(file, value).is_some()
}
