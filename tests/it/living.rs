//! Whatever people do at the same time: the living stay readable, the forgotten stay forgotten.

mod found;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, stream};
use oubliette::{
    KeyMetrics,
    audit::Origin,
    config::KeysConfig,
    database::Before,
    envelope::{DataKeyId, SubjectId},
    keys::{
        Backends, Keyring,
        rewrap::{Rewrap, Selection},
        sweep::{Controls, SweepOptions, Tally},
    },
    users::Users,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    harness::{Person, TestApp, TestStack, add_visit, notes, on_every_stack, registry_with_visits, sized},
    search::{self, by_national_id},
};

on_every_stack!(any_mix_of_changes_keeps_the_living_and_loses_the_forgotten);

const PEOPLE: usize = 4;
/// Values that people want and one alone can have.
const CLAIMS: usize = 3;

/// What somebody does with one of the people of a case.
#[derive(Clone, Copy, Debug)]
enum Deed {
    ChangeEmail,
    ChangePhone,
    RemovePhone,
    /// The same for an attribute that was declared.
    ChangeName,
    RemoveName,
    Read,
    List,
    Forget,
    /// The person gets a row in another table.
    Visit,
    ReadVisits,
    DropTheKeysFromTheCache,
    /// Somebody else is created.
    Create,
    /// The person gets a fresh data key.
    Rotate,
    /// Everybody's data keys are moved to this one of the two wrapping keys.
    Rewrap(usize),
    /// Somebody looks for the person by an address that is, or was, theirs.
    Find,
    /// The person gets one of a few values that one alone can have.
    Claim(usize),
    /// The owners of such a value are looked for.
    FindOwner(usize),
    /// What people are found by gets new tags under a new key.
    BeginEpoch,
}

fn deeds() -> impl Strategy<Value = Vec<(usize, Deed)>> {
    let deed = prop_oneof![
        4 => Just(Deed::ChangeEmail),
        2 => Just(Deed::ChangePhone),
        1 => Just(Deed::RemovePhone),
        3 => Just(Deed::ChangeName),
        1 => Just(Deed::RemoveName),
        6 => Just(Deed::Read),
        1 => Just(Deed::List),
        1 => Just(Deed::Forget),
        3 => Just(Deed::Visit),
        3 => Just(Deed::ReadVisits),
        3 => Just(Deed::DropTheKeysFromTheCache),
        1 => Just(Deed::Create),
        3 => Just(Deed::Rotate),
        2 => (0..2_usize).prop_map(Deed::Rewrap),
        4 => Just(Deed::Find),
        4 => (0..CLAIMS).prop_map(Deed::Claim),
        2 => (0..CLAIMS).prop_map(Deed::FindOwner),
        2 => Just(Deed::BeginEpoch),
    ];
    prop::collection::vec((0..PEOPLE, deed), 10..60)
}

async fn any_mix_of_changes_keeps_the_living_and_loses_the_forgotten(stack: TestStack) {
    let app = TestApp::start_with(stack, by_national_id(true)).await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..sized(8, 24) {
        let deeds = deeds().new_tree(&mut runner).unwrap().current();
        Case::begin(&app).await.run(&deeds).await;
    }
}

struct Case<'a> {
    app: &'a TestApp,
    people: Vec<Living>,
    /// Who was created meanwhile.
    others: Mutex<Vec<Living>>,
}

/// A person, and every value they may have by now.
struct Living {
    id: Uuid,
    known: Mutex<Known>,
}

struct Known {
    emails: Vec<String>,
    phones: Vec<Option<String>>,
    names: Vec<Option<String>>,
    /// What was stored for sure.
    visits: Vec<String>,
    /// Somebody's forgetting was answered.
    forgotten: bool,
    /// Somebody began to forget.
    doomed: bool,
}

impl Living {
    async fn create(app: &TestApp) -> Self {
        let person = Person::new();
        let id = app.create(&person).await;
        let known = Known {
            emails: vec![person.email],
            phones: vec![Some(person.phone)],
            names: vec![None],
            visits: Vec::new(),
            forgotten: false,
            doomed: false,
        };
        Self { id, known: Mutex::new(known) }
    }
}

impl<'a> Case<'a> {
    async fn begin(app: &'a TestApp) -> Self {
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            people.push(Living::create(app).await);
        }
        Self { app, people, others: Mutex::default() }
    }

    async fn run(self, deeds: &[(usize, Deed)]) {
        stream::iter(deeds)
            .for_each_concurrent(8, |(person, deed)| self.act(&self.people[*person], *deed, deeds))
            .await;
        let verified =
            self.app.users.verify().run(&sweep(), &controls(deeds), Arc::new(|_| ())).await.unwrap();
        assert!(verified.faults.is_empty(), "{:?} {deeds:?}", verified.faults);
        let others = std::mem::take(&mut *self.others.lock().unwrap());
        for person in self.people.iter().chain(&others) {
            self.read(person, deeds).await;
            self.read_visits(person, deeds).await;
            self.find_by_what_is_theirs(person, deeds).await;
            let forgotten = {
                let known = person.known.lock().unwrap();
                assert_eq!(known.forgotten, known.doomed, "{deeds:?}");
                known.forgotten
            };
            assert_eq!(self.data_keys(person).await, usize::from(!forgotten), "{deeds:?}");
            let visits = if forgotten { 0 } else { person.known.lock().unwrap().visits.len() };
            assert_eq!(self.visits(person).await, visits, "{deeds:?}");
            self.app.forget(person.id).await;
        }
    }

    async fn data_keys(&self, person: &Living) -> usize {
        let id = self.app.literal(person.id);
        self.app.rows(&format!("SELECT 1 FROM data_keys WHERE subject_id = {id}")).await.len()
    }

    async fn visits(&self, person: &Living) -> usize {
        let id = self.app.literal(person.id);
        self.app.rows(&format!("SELECT 1 FROM visits WHERE user_id = {id}")).await.len()
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
            Deed::ChangeName | Deed::RemoveName => {
                let name = matches!(deed, Deed::ChangeName).then(|| Person::new().email);
                person.known.lock().unwrap().names.push(name.clone());
                self.update(person, json!({ "attributes": [{ "name": "full_name", "value": name }] })).await;
            }
            Deed::Read => self.read(person, deeds).await,
            Deed::List => {
                let query = "{ users(last: 10) { edges { node { id email phone attribute(name: \"full_name\") { value } } } } }";
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
            Deed::Visit => {
                let note = Person::new().email;
                let stored = add_visit(&self.app.db, &self.app.keyring, person.id.into(), &note).await;
                let mut known = person.known.lock().unwrap();
                assert!(stored || known.doomed, "nothing could be sealed for a living user: {deeds:?}");
                known.visits.extend(stored.then_some(note));
            }
            Deed::ReadVisits => self.read_visits(person, deeds).await,
            Deed::DropTheKeysFromTheCache => {
                let subject = SubjectId::from(person.id);
                let keys = (1..20_u32).map(|version| DataKeyId { subject, version: version.into() });
                self.app.keyring.evict(subject, keys).await;
            }
            Deed::Create => {
                let other = Living::create(self.app).await;
                self.read(&other, deeds).await;
                self.others.lock().unwrap().push(other);
            }
            Deed::Rotate => self.rotate(person, deeds).await,
            Deed::Rewrap(to) => self.rewrap(to, deeds).await,
            Deed::Find => self.find(person, deeds).await,
            Deed::Claim(claim) => self.claim(person, claim, deeds).await,
            Deed::FindOwner(claim) => {
                let owners = search::all(self.app, "national_id", &found::value(claim)).await;
                assert!(owners.len() <= 1, "{owners:?} {deeds:?}");
            }
            Deed::BeginEpoch => search::begin_epoch(&self.app.users).await,
        }
    }

    /// As the admin binary does it: with a keyring of its own.
    async fn rotate(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let backends = Backends::new(
            self.app.backend.clone(),
            Vec::new(),
            &KeysConfig::default(),
            KeyMetrics::default(),
        );
        let keyring =
            Keyring::new(self.app.db.clone(), backends, &KeysConfig::default(), KeyMetrics::default());
        let users = Users::new(self.app.db.clone(), keyring).with_registry(registry_with_visits());
        let before = Before::ask(&self.app.db, None).await.unwrap();
        let rotate = users.rotate(Some(vec![person.id.into()]), before, Origin::new("a test"));
        let controls = controls(deeds);
        Box::pin(rotate.run(&sweep(), &controls)).await.unwrap();
        assert_eq!(controls.tally.counts().failed, 0, "{deeds:?}");
    }

    async fn rewrap(&self, to: usize, deeds: &[(usize, Deed)]) {
        let backends = Backends::new(
            self.app.backend.clone(),
            Vec::new(),
            &KeysConfig::default(),
            KeyMetrics::default(),
        );
        let rewrap = Rewrap::new(self.app.db.clone(), backends);
        let to = Some(self.app.backend.keks()[to].to_string());
        let plan = rewrap.plan(Selection { to, ..Selection::default() }).await.unwrap();
        let controls = controls(deeds);
        Box::pin(rewrap.run(&plan, &Origin::new("a test"), &sweep(), &controls)).await.unwrap();
        assert_eq!(controls.tally.counts().failed, 0, "{deeds:?}");
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

    async fn read_visits(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let before = person.known.lock().unwrap().visits.clone();
        let found = notes(&self.app.db, &self.app.keyring, person.id.into()).await;
        let known = person.known.lock().unwrap();
        let Some(found) = found else {
            assert!(known.doomed, "a living user's visits are not readable: {deeds:?}");
            return;
        };
        if !known.doomed {
            assert!(before.iter().all(|note| found.contains(note)), "a visit is lost: {deeds:?}");
        }
    }

    async fn read(&self, person: &Living, deeds: &[(usize, Deed)]) {
        let forgotten = person.known.lock().unwrap().forgotten;
        let query =
            "query($id: ID!) { user(id: $id) { id email phone attribute(name: \"full_name\") { value } } }";
        let answer = self.app.graphql(query, json!({ "id": person.id })).await;
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
        let name = &user["attribute"]["value"];
        assert!(known.names.iter().any(|known| *name == json!(known)), "{answer} {deeds:?}");
    }
}

/// In batches of less than a case's people.
fn sweep() -> SweepOptions {
    SweepOptions {
        batch_size: NonZeroU32::new(3).unwrap(),
        concurrency: NonZeroUsize::new(4).unwrap(),
        max_rate: None,
        limit: None,
        patience: Duration::from_secs(20),
    }
}

fn controls(deeds: &[(usize, Deed)]) -> Controls {
    let deeds = deeds.to_vec();
    Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(move |failure| panic!("{failure:?} {deeds:?}")),
        on_wait: Arc::new(|_| ()),
    }
}
