//! Index keys end: a new epoch, and none of the old one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::join_all;
use oubliette::{keys::index_keys, search::Build};
use serde_json::{Value, json};

use super::{BY_EMAIL, all, begin_epoch, build, by_national_id, code, one, tags, update};
use crate::harness::{Person, Site, TestApp, TestStack, on_both_databases, populate};

on_both_databases!(
    after_a_rotation_nothing_of_the_old_epoch_is_left,
    while_an_epoch_begins_everybody_is_found_and_a_value_has_one_owner,
    an_index_key_moves_with_the_data_keys_and_keeps_its_wrapping_key_from_being_retired,
    an_attribute_that_is_searched_no_more_has_no_tags_left,
    what_is_damaged_in_the_tables_is_no_false_nobody,
);

async fn after_a_rotation_nothing_of_the_old_epoch_is_left(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let people: Vec<_> = (0..3).map(|_| Person::new()).collect();
    let ids = join_all(people.iter().map(|person| app.create(person))).await;
    let before = tags(&app, ids[0]).await;
    let old_key = index_keys::all(&app.db).await.unwrap().remove(0);
    begin_epoch(&app.users).await;
    let after = tags(&app, ids[0]).await;
    assert_eq!(after.len(), before.len());
    assert!(after.iter().all(|(_, epoch, _)| *epoch == 2), "{after:?}");
    assert!(before.iter().all(|(_, _, tag)| after.iter().all(|(_, _, new)| new != tag)));
    let keys = index_keys::all(&app.db).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.id.epoch).collect::<Vec<_>>(), [2]);
    for (person, id) in people.iter().zip(&ids) {
        assert_eq!(one(&app, BY_EMAIL, &person.email).await, Some(*id));
    }
    assert_ne!(old_key.wrapped.bytes, keys[0].wrapped.bytes);
    let actions = "SELECT action FROM audit_events WHERE action LIKE 'index%' ORDER BY sequence";
    let actions: Vec<String> =
        app.rows(actions).await.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    let one = ["index_ready", "index_retire"];
    let all = [["index_build"; 2], one, one].concat();
    assert_eq!(actions, [&all[..], &["index_key_destroy"]].concat());
}

async fn while_an_epoch_begins_everybody_is_found_and_a_value_has_one_owner(stack: TestStack) {
    let app = Arc::new(TestApp::start_with(stack, by_national_id(true)).await);
    let ada = Person::new();
    let id = app.create(&ada).await;
    let set = |value: &str| json!({ "attributes": [{ "name": "national_id", "value": value }] });
    update(&app, id, set("A123456789")).await;
    let others = join_all((0..4).map(|_| async { app.create(&Person::new()).await })).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let look = {
        let (app, is_over, email) = (app.clone(), is_over.clone(), ada.email.clone());
        tokio::spawn(async move {
            let mut looks = 0;
            while !is_over.load(Relaxed) {
                assert_eq!(one(&app, BY_EMAIL, &email).await, Some(id));
                looks += 1;
            }
            looks
        })
    };
    let steal = {
        let (app, is_over) = (app.clone(), is_over.clone());
        tokio::spawn(async move {
            let mut tries = 0;
            while !is_over.load(Relaxed) {
                let input = json!({ "attributes": [{ "name": "national_id", "value": "a 123456789" }] });
                let answer = update(&app, others[tries % others.len()], input).await;
                assert_eq!(code(&answer), Some("CONFLICT"), "{answer}");
                tries += 1;
            }
            tries
        })
    };
    for _ in 0..5 {
        begin_epoch(&app.users).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    is_over.store(true, Relaxed);
    let (looks, tries) = (look.await.unwrap(), steal.await.unwrap());
    assert!(looks > 3 && tries > 3, "{looks} {tries}");
    assert_eq!(all(&app, "national_id", "A123456789").await, [id]);
    assert_eq!(index_keys::all(&app.db).await.unwrap().len(), 1);
}

async fn an_index_key_moves_with_the_data_keys_and_keeps_its_wrapping_key_from_being_retired(
    stack: TestStack,
) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 5).await;
    site.done(&["index", "build", "--yes", "--json"]);
    let key = || async { index_keys::all(&site.db).await.unwrap().remove(0) };
    let first = key().await;
    let old = first.wrapped.kek_id.to_string();
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    // Data keys alone are not all that needs it.
    let check: Value =
        serde_json::from_str(&site.sandbox.admin(&["keys", "retire-check", &old, "--json"]).stdout).unwrap();
    assert_eq!((&check["data_keys"], &check["index_keys"]), (&json!(5), &json!(1)));
    let moved = site.done(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!(
        (&moved["outcome"], &moved["left"], &moved["done"]),
        (&json!("completed"), &json!(0), &json!(5))
    );
    let second = key().await;
    assert_eq!(second.id, first.id);
    assert_eq!(second.wrapped.kek_id.as_str(), "local:next");
    // What is left to be moved is counted, also if it is nothing but that.
    site.sandbox.admin_ok(&["keys", "local", "promote", old.strip_prefix("local:").unwrap()]);
    for row in site.user_rows().await {
        site.sandbox.admin_ok(&["users", "forget", &row.id.to_string(), "--yes"]);
    }
    let retired = site.sandbox.admin(&["keys", "retire", "local:next", "--yes"]);
    assert_eq!(retired.status, Some(1), "{}", retired.stdout);
    assert!(retired.stdout.contains("1 index key"), "{}", retired.stdout);
    let moved = site.done(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!((&moved["outcome"], &moved["left"]), (&json!("completed"), &json!(0)));
    assert_eq!(key().await.wrapped.kek_id.to_string(), old);
    site.sandbox.admin_ok(&["keys", "retire", "local:next", "--yes"]);
    site.sandbox.admin_ok(&["index", "status"]);
}

async fn an_attribute_that_is_searched_no_more_has_no_tags_left(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 5).await;
    site.done(&["index", "build", "--yes", "--json"]);
    let local = crate::harness::local_backend("local");
    let site = site.configure("local", &format!("{local}[attributes.phone]\nsearch = \"none\"\n"));
    let status = site.sandbox.admin_ok(&["index", "status"]);
    assert!(status.contains("phone is not searched"), "{status}");
    let retired = site.sandbox.admin_ok(&["index", "retire", "--yes"]);
    assert!(retired.contains("deleted 5 tags"), "{retired}");
    let status: Value = serde_json::from_str(&site.sandbox.admin_ok(&["index", "status", "--json"])).unwrap();
    let indexes = status["indexes"].as_array().unwrap();
    assert_eq!(indexes.len(), 1, "{status}");
    assert_eq!((&indexes[0]["attribute"], &indexes[0]["tags"]), (&json!("email"), &json!(5)));
}

/// Whoever can write the database can do much. None of it may pass for an answer.
async fn what_is_damaged_in_the_tables_is_no_false_nobody(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let ada = Person::new();
    let id = app.create(&ada).await;
    let ask = || app.graphql(BY_EMAIL, json!({ "value": ada.email }));
    let anew = || async {
        let generation = app.literal(uuid::Uuid::now_v7());
        app.sql(&format!("UPDATE search_head SET generation = {generation}")).await;
    };
    // The key of another epoch.
    app.sql("UPDATE index_keys SET epoch = 7").await;
    anew().await;
    assert_eq!(code(&ask().await), Some("INDEX_NOT_READY"));
    app.sql("UPDATE index_keys SET epoch = 1").await;
    // A wrapped key that is not the one that it says: until it is given up, nobody is found, and no address is written.
    let identity = app.literal(uuid::Uuid::now_v7());
    app.sql(&format!("UPDATE index_keys SET id = {identity}")).await;
    anew().await;
    let refused = ask().await;
    assert_eq!(code(&refused), Some("DECRYPTION_FAILED"));
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("index key"), "{refused}");
    let change = || update(&app, id, json!({ "email": ada.email }));
    assert_eq!(code(&change().await), Some("DECRYPTION_FAILED"));
    build(&app.users, Build::Anew).await;
    assert_eq!(one(&app, BY_EMAIL, &ada.email).await, Some(id));
    assert_eq!(code(&change().await), None);
    // Keys that are gone, with their tags still there.
    app.sql("DELETE FROM index_keys").await;
    anew().await;
    assert_eq!(code(&ask().await), Some("INDEX_NOT_READY"));
    assert_eq!(code(&change().await), Some("INDEX_NOT_READY"));
    app.sql("DELETE FROM search_indexes").await;
    anew().await;
    assert_eq!(code(&ask().await), Some("INDEX_NOT_READY"));
    assert_eq!(code(&change().await), None);
    app.users.prepare_search(true).await.unwrap();
    assert_eq!(one(&app, BY_EMAIL, &ada.email).await, Some(id));
}
