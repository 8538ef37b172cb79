//! Indexes for people who were there before: built while servers serve, by any number of processes that may die.

use std::{
    fs::{self, File},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use oubliette::{
    KeyMetrics,
    attributes::Search,
    audit::Origin,
    config::{Config, KeysConfig},
    entity::blind_index,
    envelope::SubjectId,
    keys::{Backends, Keyring, local::LocalBackend},
    search::{Build, IndexState},
    users::{Reads, SearchedValue, Users},
};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, PaginatorTrait};
use serde_json::json;
use uuid::Uuid;

use super::{BY, BY_EMAIL, all, by_national_id, code, one, tags, update};
use crate::harness::{
    ATTRIBUTES, EMAIL, PHONE, Person, Site, TestApp, TestStack, local_backend, on_both_databases, populate,
    sized,
};

on_both_databases!(
    until_an_index_is_built_nobody_says_that_there_is_nobody,
    servers_by_other_rules_neither_answer_nor_write,
    values_that_several_have_are_listed_before_one_alone_can_have_them,
    a_build_that_is_killed_again_and_again_ends_right,
    a_value_that_does_not_open_is_named_and_can_be_left_out,
    an_empty_database_takes_other_rules_and_writes,
    what_was_begun_by_mistake_is_given_up,
    tags_of_an_index_that_serves_again_are_not_deleted,
);

async fn tag_count(site: &Site) -> usize {
    usize::try_from(blind_index::Entity::find().count(&site.db).await.unwrap()).unwrap()
}

/// The users of a site, in this process.
fn users(site: &Site, backend: LocalBackend) -> Users {
    let config = KeysConfig::default();
    let backends = Backends::new(Arc::new(backend), Vec::new(), &config, KeyMetrics::default());
    let keyring = Keyring::new(site.db.clone(), backends, &config, KeyMetrics::default());
    Users::new(site.db.clone(), keyring)
}

/// As a release before left it: no index, no index key, no tag.
async fn without_indexes(app: &TestApp) {
    for table in ["blind_indexes", "search_indexes", "index_keys"] {
        app.sql(&format!("DELETE FROM {table}")).await;
    }
    let generation = app.literal(SubjectId::generate().into());
    app.sql(&format!("UPDATE search_head SET generation = {generation}")).await;
}

async fn until_an_index_is_built_nobody_says_that_there_is_nobody(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let people: Vec<_> = (0..5).map(|_| Person::new()).collect();
    let ids = join_all(people.iter().map(|person| app.create(person))).await;
    without_indexes(&app).await;
    let answer = app.graphql(BY_EMAIL, json!({ "value": people[0].email })).await;
    assert_eq!(code(&answer), Some("INDEX_NOT_READY"), "{answer}");
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("index build"), "{answer}");
    // People are written all the same.
    let new = Person::new();
    let after = app.create(&new).await;
    assert!(tags(&app, after).await.is_empty());
    // While it is built, who is written gets a tag, and nobody is found yet.
    let search = app.users.search();
    let begun = search.begin(&Origin::new("a test"), Build::Missing).await.unwrap();
    assert_eq!(begun.len(), 2);
    let meanwhile = Person::new();
    let id = app.create(&meanwhile).await;
    assert_eq!(tags(&app, id).await.len(), 2);
    assert_eq!(
        code(&app.graphql(BY_EMAIL, json!({ "value": meanwhile.email })).await),
        Some("INDEX_NOT_READY")
    );
    // To the end.
    assert_eq!(app.users.prepare_search(true).await.unwrap(), Vec::<String>::new());
    for (person, id) in people.iter().zip(&ids).chain([(&new, &after), (&meanwhile, &id)]) {
        assert_eq!(one(&app, BY_EMAIL, &person.email).await, Some(*id));
    }
    let indexes = search.all().await.unwrap();
    assert!(indexes.iter().all(|index| index.state == IndexState::Ready), "{indexes:?}");
}

/// The same database, two servers.
async fn servers_by_other_rules_neither_answer_nor_write(stack: TestStack) {
    let url = stack.url();
    let app = TestApp::start_with(stack, by_national_id(false)).await;
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let input = |value: &str| json!({ "input": { "username": Person::new().username, "attributes": [{ "name": "national_id", "value": value }] } });
    let id = app.data(create, input("A123456789")).await["createUser"]["id"].clone();
    let other_rules = |config: &mut Config| {
        by_national_id(false)(config);
        config.database.url = Some(url.clone().into());
        config.attributes.0.get_mut("national_id").unwrap().normalise = Some(Vec::new());
    };
    let other = TestApp::start_on(TestStack::sqlite(), app.backend.clone(), other_rules).await;
    let by = json!({ "attribute": "national_id", "value": "A123456789" });
    assert_eq!(code(&other.graphql(BY, by.clone()).await), Some("INDEX_NOT_READY"));
    assert_eq!(code(&other.graphql(create, input("A000000000")).await), Some("INDEX_NOT_READY"));
    let removed = update(
        &other,
        id.as_str().unwrap().parse().unwrap(),
        json!({ "attributes": [{ "name": "national_id", "value": null }] }),
    )
    .await;
    assert_eq!(code(&removed), None, "{removed}");
    assert!(all(&app, "national_id", "A123456789").await.is_empty());
    // What it was not about is found by both.
    let ada = Person::new();
    let id = other.create(&ada).await;
    assert_eq!(one(&app, BY_EMAIL, &ada.email).await, Some(id));
    // One that is not to be searched here, and is there, gets its tags.
    let silent = |config: &mut Config| {
        config.database.url = Some(url.clone().into());
        config.attributes.0.get_mut("national_id").unwrap().search = Some(Search::None);
    };
    let silent = TestApp::start_on(TestStack::sqlite(), app.backend.clone(), silent).await;
    silent.data(create, input("A987654321")).await;
    assert_eq!(all(&app, "national_id", "A987654321").await.len(), 1);
}

fn configuration(attributes: &str) -> String {
    let attributes = attributes.replace("    [", "    [attributes.");
    format!("{}\n{attributes}", local_backend("local"))
}

async fn values_that_several_have_are_listed_before_one_alone_can_have_them(stack: TestStack) {
    let (site, _) = Site::on_local_keys(stack).await;
    let shared = ATTRIBUTES.replace("mask = \"last-4\"", "mask = \"last-4\"\nsearch = \"exact\"");
    let alone = shared.replace("search = \"exact\"", "search = \"exact\"\nunique = true");
    let site = site.configure("local", &configuration(&shared));
    let rows = "username,national_id\nada,A123456789\neve,a123456789\nbob,A000000000\n";
    site.sandbox.write("people.csv", rows);
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    let site = site.configure("local", &configuration(&alone));
    let refused = site.sandbox.admin(&["index", "build", "--yes"]);
    assert_eq!(refused.status, Some(1), "{} {}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains("national_id is also that of "), "{}", refused.stdout);
    assert!(refused.stdout.contains("GIVEN UP"), "{}", refused.stdout);
    let rows = site.user_rows().await;
    let of = |name: &str| rows.iter().find(|row| row.username == name).unwrap().id.to_string();
    assert!(refused.stdout.contains(&of("ada")) && refused.stdout.contains(&of("eve")), "{}", refused.stdout);
    assert!(!refused.stdout.contains(&of("bob")), "{}", refused.stdout);
    // The index before serves on, for whoever is configured so; and nothing is left of the other one.
    let status = site.sandbox.admin(&["index", "status"]);
    assert_eq!(status.status, Some(1), "{}", status.stdout);
    assert!(status.stdout.contains("NOBODY is found by national_id"), "{}", status.stdout);
    site.sandbox.admin_ok(&["users", "forget", &of("eve"), "--yes"]);
    let built = site.sandbox.admin(&["index", "build", "--yes"]);
    assert_eq!(built.status, Some(0), "{} {}", built.stdout, built.stderr);
    site.sandbox.admin_ok(&["index", "status"]);
}

async fn a_build_that_is_killed_again_and_again_ends_right(stack: TestStack) {
    let (people, kills) = sized((2_000, 10), (6_000, 25));
    let (site, backend) = Site::on_local_keys(stack).await;
    let population = populate(&site.db, &backend, people).await;
    let build = ["index", "build", "--yes", "--batch-size", "50"];
    let mut halfway = 0;
    for _ in 0..kills {
        let before = tag_count(&site).await;
        let log = File::create(site.sandbox.path("build.log")).unwrap();
        let mut command = site.sandbox.admin_command(&build);
        let mut run = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut ended = None;
        while ended.is_none() && tag_count(&site).await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ended = run.try_wait().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..40))).await;
        ended = ended.or(run.try_wait().unwrap());
        let said = || fs::read_to_string(site.sandbox.path("build.log")).unwrap();
        assert!(ended.is_none_or(|status| status.success()), "{}", said());
        run.kill().unwrap();
        run.wait().unwrap();
        halfway += usize::from((1..2 * people).contains(&tag_count(&site).await));
    }
    assert!(halfway > 2, "only {halfway} kills hit a build in the middle");
    // Two at the same time do the rest.
    let spawn = || {
        let mut command = site.sandbox.admin_command(&build);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for run in [spawn(), spawn()] {
        let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(tag_count(&site).await, 2 * people);
    let status = site.sandbox.admin_ok(&["index", "status"]);
    assert!(status.contains("ready"), "{status}");
    let users = users(&site, backend);
    for (id, person) in population.iter().step_by(people / 20) {
        for (attribute, value) in [(EMAIL, &person.email), (PHONE, &person.phone)] {
            let value = SearchedValue::parse(attribute, value).unwrap();
            let found = users.find_by_value(&value, &Reads::COLUMNS).await.unwrap();
            assert_eq!(found.map(|user| Uuid::from(user.id())), Some(*id));
        }
    }
}

async fn a_value_that_does_not_open_is_named_and_can_be_left_out(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 3).await;
    let mut rows = site.user_rows().await;
    let (mut damaged, other) = (rows.remove(1), rows.remove(0));
    // Somebody else's value: it opens for nobody.
    damaged.email = other.email;
    let damaged_id = damaged.id;
    damaged.into_active_model().reset_all().update(&site.db).await.unwrap();
    let damaged = damaged_id;
    let refused = site.sandbox.admin(&["index", "build", "--yes"]);
    assert_eq!(refused.status, Some(1), "{} {}", refused.stdout, refused.stderr);
    assert!(refused.stdout.contains(&damaged.to_string()), "{}", refused.stdout);
    assert!(refused.stdout.contains("nobody is found by this index of email yet"), "{}", refused.stdout);
    assert!(refused.stdout.contains("people are found by phone\n"), "{}", refused.stdout);
    let built = site.sandbox.admin(&["index", "build", "--yes", "--skip-unreadable"]);
    assert_eq!(built.status, Some(0), "{} {}", built.stdout, built.stderr);
    assert!(built.stdout.contains("people are found by email\n"), "{}", built.stdout);
}

async fn an_empty_database_takes_other_rules_and_writes(stack: TestStack) {
    let url = stack.url();
    let first = TestApp::start_with(stack, by_national_id(true)).await;
    let other_rules = |config: &mut Config| {
        by_national_id(false)(config);
        config.database.url = Some(url.clone().into());
        config.attributes.0.get_mut("national_id").unwrap().normalise = Some(Vec::new());
    };
    let app = TestApp::start_on(TestStack::sqlite(), first.backend.clone(), other_rules).await;
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let attributes = json!([{ "name": "national_id", "value": "A123456789" }]);
    for _ in 0..2 {
        let input = json!({ "username": Person::new().username, "attributes": attributes });
        assert_eq!(code(&app.graphql(create, json!({ "input": input })).await), None);
    }
    assert_eq!(all(&app, "national_id", "A123456789").await.len(), 2);
    let indexes = app.users.search().all().await.unwrap();
    assert_eq!(indexes.len(), 3, "{indexes:?}");
}

/// By another configuration, and killed.
async fn what_was_begun_by_mistake_is_given_up(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 3).await;
    site.done(&["index", "build", "--yes", "--json"]);
    let right = local_backend("local");
    let site = site.configure("local", &format!("{right}[attributes.email]\nunique = true\n"));
    let limited = site.sandbox.admin(&["index", "build", "--yes", "--limit", "1", "--batch-size", "1"]);
    assert_eq!(limited.status, Some(1), "{}", limited.stdout);
    let site = site.configure("local", &right);
    let planned = site.sandbox.admin(&["index", "build", "--dry-run"]);
    assert!(planned.stderr.contains("email: epoch 2 is given up"), "{}", planned.stderr);
    let said = site.sandbox.admin(&["index", "build", "--yes"]);
    assert_eq!(said.status, Some(0), "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.contains("destroyed the index key of epoch 2"), "{}", said.stdout);
    assert_eq!(tag_count(&site).await, 6);
    site.sandbox.admin_ok(&["index", "status"]);
}

/// As after a failover that lost the retirement.
async fn tags_of_an_index_that_serves_again_are_not_deleted(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let id = app.create(&Person::new()).await;
    let search = app.users.search();
    let indexes = search.all().await.unwrap();
    search.give_up(&Origin::new("a test"), &indexes).await.unwrap();
    app.sql("UPDATE search_indexes SET state = 'ready'").await;
    assert_eq!(search.delete_retiring().await.unwrap(), 0);
    assert_eq!(tags(&app, id).await.len(), 2);
}
