//! `keys local`: the wrapping keys of a key file.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use oubliette::keys::local::KeyFile;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server, Site, TestStack, local_backend, on_both_databases, populate};

on_both_databases!(the_wrapping_key_is_changed_while_a_server_serves, a_needed_key_is_not_retired);

async fn the_wrapping_key_is_changed_while_a_server_serves(stack: TestStack) {
    let (site, _) = Site::on_local_keys(stack).await;
    let old = KeyFile::read(&site.sandbox.path("data/local.toml")).unwrap().primary().to_owned();
    let server = site.sandbox.start().await;
    let mut people = vec![create(&server).await];
    let admin = |arguments: &[&str]| site.sandbox.admin_ok(arguments);

    let added = admin(&["keys", "local", "add", "--name", "next"]);
    assert_eq!(added, "added local:next. It wraps nothing yet: oubliette-admin keys local promote next\n");
    people.push(create(&server).await);
    let promoted = admin(&["keys", "local", "promote", "local:next"]);
    assert!(promoted.starts_with(&format!("local:next wraps new data keys, instead of local:{old}.")));
    assert_eq!(admin(&["keys", "local", "promote", "next"]), "local:next wraps new data keys already\n");
    // Nobody tells the server: it looks at the file.
    let began = Instant::now();
    while wrapped_by(&site, "next").await == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "the server does not follow the key file");
        people.push(create(&server).await);
    }

    let listed: Value = serde_json::from_str(&admin(&["keys", "local", "list", "--json"])).unwrap();
    let next = &listed["keys"].as_array().unwrap().iter().find(|key| key["name"] == "next").unwrap();
    assert_eq!((&next["primary"], &next["data_keys"]), (&json!(true), &json!(1)), "{listed}");
    let table = admin(&["keys", "local", "list"]);
    assert!(table.lines().any(|line| line.starts_with("next ") && line.ends_with("wraps new data keys")));

    admin(&["keys", "rewrap", "--yes", "--json"]);
    assert_eq!(wrapped_by(&site, "next").await, people.len());
    assert_eq!(admin(&["keys", "local", "retire", &old, "--yes"]), format!("local:{old} is retired\n"));
    let checked = admin(&["keys", "retire-check", &format!("local:{old}")]);
    assert!(checked.contains("\nyes, as far as this database is concerned."), "{checked}");
    assert!(!site.sandbox.read("data/local.toml").contains(&old));
    people.push(create(&server).await);
    for (id, person) in &people {
        assert_eq!(server.read(id).await["data"]["user"]["phone"], person.phone);
    }
    site.verify(people.len());
}

async fn a_needed_key_is_not_retired(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 3).await;
    let old = format!("local:{}", KeyFile::read(&site.sandbox.path("data/local.toml")).unwrap().primary());
    let retire = ["keys", "local", "retire", &old, "--yes"];

    let primary = site.sandbox.admin_error(&retire);
    assert!(primary.contains("as its primary key: promote another one first"), "{primary}");
    let check = site.sandbox.admin(&["keys", "retire-check", &old]);
    assert_eq!(check.status, Some(1));
    assert!(check.stdout.contains("NO: destroying it destroys their data."), "{}", check.stdout);

    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    let file = site.sandbox.read("data/local.toml");
    let needed = site.sandbox.admin_error(&retire);
    let expected = format!(
        "error: 3 data keys need {old}, and their data would be lost: first `oubliette-admin keys rewrap --from {old}`, \
         then this again. To let data keys come under it again: `oubliette-admin keys retire --undo {old}`\n"
    );
    assert_eq!(needed, expected);
    let check: Value =
        serde_json::from_str(&site.sandbox.admin(&["keys", "retire-check", "local:next", "--json"]).stdout)
            .unwrap();
    let expected = json!({
        "kek_id": "local:next", "data_keys": 0, "index_keys": 0, "wraps_new_data_keys": true, "state": null, "can_be_destroyed": false,
    });
    assert_eq!(check, expected);
    assert_eq!(site.sandbox.read("data/local.toml"), file);
    site.verify(3);
}

#[test]
fn whoever_adds_keys_at_the_same_time_loses_none() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", "sqlite://x.db?mode=rwc");
    sandbox.admin_ok(&["migrate"]);
    let path = sandbox.path("data/keys.toml");
    KeyFile::create(&path).unwrap();
    let names: BTreeSet<_> = (0..12).map(|number| format!("key-{number}")).collect();
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = sandbox.admin_command(&["keys", "local", "add", "--name", name]);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let file = KeyFile::read(&path).unwrap();
    let found: BTreeSet<_> = file.keys().map(|(name, _)| name.to_owned()).collect();
    assert!(found.is_superset(&names), "{found:?}");
    assert_eq!(found.len(), names.len() + 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let files = fs::read_dir(sandbox.path("data")).unwrap().count();
    assert_eq!(files, 1, "drafts are left");
}

#[test]
fn refusals_say_what_to_do_and_change_nothing() {
    let two = format!("{}{}", local_backend("one"), local_backend("two"));
    let sandbox = Sandbox::new().with_profile(
        "two",
        &format!("[keys]\nactive = \"one\"\n[database]\nurl = \"sqlite://x.db?mode=rwc\"\n{two}"),
    );
    KeyFile::create(&sandbox.path("data/one.toml")).unwrap();
    sandbox.admin_ok(&["migrate"]);
    sandbox.admin_ok(&["keys", "local", "add", "--name", "other", "--backend", "one"]);
    let file = sandbox.read("data/one.toml");
    let long = "n".repeat(65);
    for (arguments, expected) in [
        (&["add"][..], "there are several local key backends: name one with --backend"),
        (&["add", "--backend", "three"], "there is no local key backend `three` in the configuration"),
        (&["add", "--backend", "two"], "key file `data/two.toml` does not exist"),
        (&["add", "--backend", "one", "--name", "other"], "has a key `other` already"),
        (&["add", "--backend", "one", "--name", "a b"], "cannot name a key `a b`: a name is 1 to 64 letters"),
        (&["add", "--backend", "one", "--name", &long], "a name is 1 to 64 letters"),
        (
            &["promote", "--backend", "one", "local:nobody"],
            "has no key `nobody`: see `oubliette-admin keys local",
        ),
        (&["retire", "--backend", "one", "nobody", "--yes"], "has no key `nobody`"),
        (&["list", "--backend", "two"], "key file `data/two.toml` does not exist"),
    ] {
        let arguments = [&["keys", "local"], arguments].concat();
        let error = sandbox.admin_error(&arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    fs::set_permissions(sandbox.path("data/one.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = sandbox.admin_error(&["keys", "local", "promote", "--backend", "one", "other"]);
    assert!(error.contains("is open to others (mode 0644): run `chmod 600` on it"), "{error}");
    assert_eq!(sandbox.read("data/one.toml"), file);
    // Nobody there to ask, and nobody who said yes beforehand.
    fs::set_permissions(sandbox.path("data/one.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let asked = sandbox.admin(&["keys", "local", "retire", "--backend", "one", "other"]);
    assert_eq!(asked.status, Some(1));
    assert!(
        asked.stderr.contains("there is no terminal to ask at. Pass --yes to go ahead"),
        "{}",
        asked.stderr
    );
    assert_eq!(sandbox.read("data/one.toml"), file);
}

async fn create(server: &Server) -> (String, Person) {
    let person = Person::new();
    (server.create(&person).await, person)
}

/// How many data keys a local wrapping key wraps.
async fn wrapped_by(site: &Site, name: &str) -> usize {
    let kek_id = format!("local:{name}");
    site.data_keys().await.iter().filter(|key| key.kek_id == kek_id).count()
}
