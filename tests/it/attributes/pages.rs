//! Values of many people at a time.

use oubliette::config::AuditReads;
use serde_json::{Value, json};

use super::{create, values};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(a_page_reads_its_values_in_one_statement_and_only_if_they_are_selected);

async fn a_page_reads_its_values_in_one_statement_and_only_if_they_are_selected(stack: TestStack) {
    let app = TestApp::start_with(stack, |config| config.audit.reads = AuditReads::Off).await;
    let mut people = Vec::new();
    for _ in 0..12 {
        let values = values();
        people.push((create(&app, &values).await, values));
    }
    let nobody = app.add(&Person::new()).await;
    let of = |statements: &[String], table: &str| {
        statements.iter().filter(|sql| sql.contains(&format!("\"{table}\""))).count()
    };
    let many = "[\"full_name\", \"date_of_birth\", \"national_id\", \"second_email\"]";
    for (below, statements_for_values, keys) in [
        ("username email".to_owned(), 0, 1),
        ("attributes(names: [\"full_name\", \"date_of_birth\"]) { value }".to_owned(), 1, 1),
        (
            "attribute(name: \"full_name\") { value } a: attribute(name: \"national_id\") { masked }"
                .to_owned(),
            1,
            1,
        ),
        (format!("attributes(names: {many}) {{ value }}"), 1, 1),
        // Nothing of it needs a key.
        ("attributes(names: [\"full_name\", \"email\"]) { name kind updatedAt }".to_owned(), 1, 0),
    ] {
        app.keyring.evict_all().await;
        app.take_statements();
        let unwrapped = app.backend.unwrapped();
        let data =
            app.data(&format!("{{ users(first: 100) {{ nodes {{ id {below} }} }} }}"), json!({})).await;
        assert_eq!(data["users"]["nodes"].as_array().unwrap().len(), people.len() + 1);
        let statements = app.take_statements();
        let found = ["personal_values", "data_keys"].map(|table| of(&statements, table));
        assert_eq!(found, [statements_for_values, keys], "{below}: {statements:?}");
        // Few come with the users.
        let all = 1 + keys + usize::from(below.contains(many));
        assert_eq!(statements.len(), all, "{below}: {statements:?}");
        // Only one has an e-mail address.
        let opened = if below.contains("username email") { 1 } else { people.len() * keys };
        assert_eq!(app.backend.unwrapped() - unwrapped, opened, "{below}");
    }
    let expected: Vec<_> = {
        let mut all: Vec<_> =
            people.iter().map(|(id, values)| (*id, json!({ "value": values[0].1 }))).collect();
        all.push((nobody, Value::Null));
        all.sort_by_key(|(id, _)| *id);
        all.into_iter().map(|(id, name)| json!({ "id": id, "attribute": name })).collect()
    };
    for (arguments, range) in [
        ("first: 100", 0..13),
        ("last: 100", 0..13),
        ("first: 5", 0..5),
        ("last: 5", 8..13),
        ("first: 13", 0..13),
        ("last: 12", 1..13),
    ] {
        let query = format!(
            "{{ users({arguments}) {{ nodes {{ id attribute(name: \"full_name\") {{ value }} }}
             pageInfo {{ hasNextPage hasPreviousPage }} }} }}"
        );
        let data = app.data(&query, json!({})).await;
        assert_eq!(data["users"]["nodes"], json!(expected[range.clone()]), "{arguments}");
        let more = json!({ "hasNextPage": range.end < 13, "hasPreviousPage": range.start > 0 });
        assert_eq!(data["users"]["pageInfo"], more, "{arguments}");
    }
}
