//! Who is found, while others change what they are found by.

use serde_json::json;

use super::{CLAIMS, Case, Deed, Living};
use crate::search;

impl Case<'_> {
    /// Nobody else is found by it, at any moment.
    pub(super) async fn find(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let (emails, forgotten) = {
            let known = person.known.lock().unwrap();
            (known.emails.clone(), known.forgotten)
        };
        for email in emails {
            let found = search::one(self.app, search::BY_EMAIL, &email).await;
            assert!(found.is_none_or(|id| id == person.id && !forgotten), "{found:?} {deeds:?}");
        }
    }

    pub(super) async fn claim(&self, person: &Living, claim: usize, deeds: &[(usize, Deed)]) {
        let input = json!({ "attributes": [{ "name": "national_id", "value": value(claim) }] });
        let answer = search::update(self.app, person.id, input).await;
        let doomed = person.known.lock().unwrap().doomed;
        match search::code(&answer) {
            None | Some("CONFLICT") => {}
            Some("FORGOTTEN") => assert!(doomed, "{answer} {deeds:?}"),
            Some(_) => panic!("{answer} {deeds:?}"),
        }
    }

    /// When all is over: by what they have, and by nothing that they had.
    pub(super) async fn find_by_what_is_theirs(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let query =
            "query($id: ID!) { user(id: $id) { email phone attribute(name: \"national_id\") { value } } }";
        let user = self.app.graphql(query, json!({ "id": person.id })).await["data"]["user"].clone();
        let (emails, phones) = {
            let known = person.known.lock().unwrap();
            (known.emails.clone(), known.phones.clone())
        };
        let is_theirs = |found: bool, current: &serde_json::Value, value: &str| {
            assert_eq!(found, current == value, "{value} {user} {deeds:?}");
        };
        for email in emails {
            let found = search::one(self.app, search::BY_EMAIL, &email).await;
            is_theirs(found == Some(person.id), &user["email"], &email);
        }
        for phone in phones.into_iter().flatten() {
            let found = search::one(self.app, search::BY_PHONE, &phone).await;
            is_theirs(found == Some(person.id), &user["phone"], &phone);
        }
        for claim in (0..CLAIMS).map(value) {
            let owners = search::all(self.app, "national_id", &claim).await;
            is_theirs(owners == [person.id], &user["attribute"]["value"], &claim);
        }
        let tags = search::tags(self.app, person.id).await.len();
        let values = [&user["email"], &user["phone"], &user["attribute"]["value"]];
        assert_eq!(tags, values.iter().filter(|value| !value.is_null()).count(), "{deeds:?}");
    }
}

/// A value that one alone can have.
pub(super) fn value(claim: usize) -> String {
    format!("A{:09}", 100_000_000 + claim)
}
