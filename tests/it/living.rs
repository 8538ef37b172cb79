//! Whatever people do at the same time: the living stay readable, the forgotten stay forgotten.

use std::sync::Mutex;

use futures::{StreamExt, stream};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Person, TestApp, TestStack, on_every_stack};

on_every_stack!(any_mix_of_changes_keeps_the_living_and_loses_the_forgotten);

const CASES: usize = 24;
const PEOPLE: usize = 4;

/// What somebody does with one of the people of a case.
#[derive(Clone, Copy, Debug)]
enum Deed {
    ChangeEmail,
    ChangePhone,
    RemovePhone,
    Read,
    List,
    Forget,
    DropTheKeyFromTheCache,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        4 => Just(Deed::ChangeEmail),
        2 => Just(Deed::ChangePhone),
        1 => Just(Deed::RemovePhone),
        6 => Just(Deed::Read),
        1 => Just(Deed::List),
        1 => Just(Deed::Forget),
        3 => Just(Deed::DropTheKeyFromTheCache),
    ];
    prop::collection::vec((0..PEOPLE, deed), 10..60)
}

async fn any_mix_of_changes_keeps_the_living_and_loses_the_forgotten(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..CASES {
        let deeds = deeds().new_tree(&mut runner).unwrap().current();
        Case::begin(&app).await.run(&deeds).await;
    }
}

struct Case<'a> {
    app: &'a TestApp,
    people: Vec<Living>,
}

/// A person, and every value they may have by now.
struct Living {
    id: Uuid,
    known: Mutex<Known>,
}

struct Known {
    emails: Vec<String>,
    phones: Vec<Option<String>>,
    /// Somebody's forgetting was answered.
    forgotten: bool,
    /// Somebody began to forget.
    doomed: bool,
}

impl<'a> Case<'a> {
    async fn begin(app: &'a TestApp) -> Self {
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            let person = Person::new();
            let id = app.create(&person).await;
            let known = Known {
                emails: vec![person.email],
                phones: vec![Some(person.phone)],
                forgotten: false,
                doomed: false,
            };
            people.push(Living { id, known: Mutex::new(known) });
        }
        Self { app, people }
    }

    async fn run(self, deeds: &[(usize, Deed)]) {
        stream::iter(deeds)
            .for_each_concurrent(8, |(person, deed)| self.act(&self.people[*person], *deed, deeds))
            .await;
        for person in &self.people {
            self.read(person, deeds).await;
            let known = person.known.lock().unwrap();
            assert_eq!(known.forgotten, known.doomed, "{deeds:?}");
        }
    }

    async fn act(&self, person: &Living, deed: Deed, deeds: &[(usize, Deed)]) {
        match deed {
            Deed::ChangeEmail => {
                let email = Person::new().email;
                person.known.lock().unwrap().emails.push(email.clone());
                self.update(person, json!({ "email": email })).await;
            }
            Deed::ChangePhone => {
                let phone = Person::new().phone;
                person.known.lock().unwrap().phones.push(Some(phone.clone()));
                self.update(person, json!({ "phone": phone })).await;
            }
            Deed::RemovePhone => {
                person.known.lock().unwrap().phones.push(None);
                self.update(person, json!({ "phone": null })).await;
            }
            Deed::Read => self.read(person, deeds).await,
            Deed::List => {
                let query = "{ users(last: 10) { edges { node { id email phone } } } }";
                let answer = self.app.graphql(query, json!({})).await;
                // Whoever is forgotten between the page and its keys is an error of that field.
                for error in answer["errors"].as_array().into_iter().flatten() {
                    assert_eq!(error["extensions"]["code"], "FORGOTTEN", "{deeds:?}");
                }
            }
            Deed::Forget => {
                person.known.lock().unwrap().doomed = true;
                self.app.forget(person.id).await;
                person.known.lock().unwrap().forgotten = true;
            }
            Deed::DropTheKeyFromTheCache => {
                let version = oubliette::envelope::KeyVersion::FIRST;
                let key = oubliette::envelope::DataKeyId { subject: person.id.into(), version };
                self.app.keyring.evict(key.subject, [key]).await;
            }
        }
    }

    async fn update(&self, person: &Living, input: serde_json::Value) {
        let forgotten = person.known.lock().unwrap().forgotten;
        let query =
            "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";
        let answer = self.app.graphql(query, json!({ "id": person.id, "input": input })).await;
        match answer["errors"][0]["extensions"]["code"].as_str() {
            None => assert!(!forgotten, "a forgotten user was changed"),
            Some(code) => {
                assert_eq!(code, "FORGOTTEN");
                assert!(person.known.lock().unwrap().doomed, "a living user could not be changed");
            }
        }
    }

    async fn read(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let forgotten = person.known.lock().unwrap().forgotten;
        let answer = self.app.read(person.id).await;
        let known = person.known.lock().unwrap();
        if let Some(errors) = answer["errors"].as_array() {
            assert!(known.doomed, "a living user is not readable: {answer} {deeds:?}");
            assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORGOTTEN"), "{answer}");
            return;
        }
        assert!(!forgotten, "a forgotten user is readable: {deeds:?}");
        let user = &answer["data"]["user"];
        assert!(known.emails.iter().any(|email| user["email"] == *email), "{answer} {deeds:?}");
        assert!(known.phones.iter().any(|phone| user["phone"] == json!(phone)), "{answer} {deeds:?}");
    }
}
