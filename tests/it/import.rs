//! Bringing in many users from elsewhere, and taking them out again.

mod edges;
mod engine;
mod files;
mod killed;
mod round_trip;
mod troubles;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    attributes::values,
    harness::{ATTRIBUTES, Person, Site, TestStack, local_backend},
};

/// A site on local keys, which declares the attributes of all tests.
async fn site(stack: TestStack) -> Site {
    let (site, _) = Site::on_local_keys(stack).await;
    let declared =
        ATTRIBUTES.replace('[', "[attributes.").replace("[attributes.A-Z]?[attributes.0-9]", "[A-Z]?[0-9]");
    let declared = declared.replace("= [attributes.", "= [");
    site.configure("local", &format!("{}\n{declared}", local_backend("local")))
}

/// Somebody of a file: what is in each column.
type Row = BTreeMap<&'static str, String>;

fn row() -> Row {
    let person = Person::new();
    let own = [("username", person.username), ("email", person.email), ("phone", person.phone)];
    own.into_iter().chain(values()).collect()
}

/// The columns of [`row`].
const COLUMNS: [&str; 9] = [
    "username",
    "email",
    "phone",
    "full_name",
    "postal_address",
    "date_of_birth",
    "national_id",
    "second_email",
    "second_phone",
];

fn csv<'r>(columns: &[&str], rows: impl IntoIterator<Item = &'r Row>) -> String {
    let mut text = columns.join(",") + "\n";
    for row in rows {
        let cell = |column: &&str| match row.get(column) {
            Some(value) => format!("\"{}\"", value.replace('"', "\"\"")),
            None => String::new(),
        };
        text += &(columns.iter().map(cell).collect::<Vec<_>>().join(",") + "\n");
    }
    text
}

/// The lines of a file of JSON Lines.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What there is, by username.
fn exported(site: &Site) -> BTreeMap<String, Value> {
    let all = objects(&site.sandbox.admin_ok(&["users", "export", "--reveal", "--yes"]));
    all.into_iter().map(|user| (user["username"].as_str().unwrap().to_owned(), user)).collect()
}

/// Everybody of these is there once, with their values, and nobody else.
fn require_all(site: &Site, rows: &[Row]) {
    let all = exported(site);
    assert_eq!(all.len(), rows.len());
    for row in rows {
        let user = &all[&row["username"]];
        for column in COLUMNS {
            let expected = row.get(column).map_or(Value::Null, |value| value.as_str().into());
            assert_eq!(user[column], expected, "{column} of {user}");
        }
    }
}
