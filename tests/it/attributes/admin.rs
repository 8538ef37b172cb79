//! What an operator sees of attributes, and removes.

use std::sync::Arc;

use oubliette::{
    attributes::{Change, Declarations},
    audit::Origin,
    config::KeysConfig,
    keys::{Backends, Keyring, unobserved},
    users::Users,
};
use serde_json::{Value, json};

use super::values;
use crate::harness::{ATTRIBUTES, Person, Site, TestStack, local_backend, on_both_databases};

on_both_databases!(
    what_is_not_declared_any_more_is_said_and_purged,
    what_does_not_fit_any_more_is_listed_without_the_value,
);

/// A site with so many people who have all attributes; then it declares what `toml` says.
async fn site(
    stack: TestStack,
    people: usize,
    toml: &str,
) -> (Site, Vec<(String, Vec<(&'static str, String)>)>) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (config, observer) = (KeysConfig::default(), unobserved());
    let backends = Backends::new(Arc::new(backend), Vec::new(), &config, observer.clone());
    let keyring = Keyring::new(site.db.clone(), backends, &config, observer);
    let declarations = Declarations::of(&toml::from_str(ATTRIBUTES).unwrap()).unwrap();
    let users = Users::new(site.db.clone(), keyring).with_declarations(declarations);
    let mut created = Vec::new();
    for _ in 0..people {
        let (mut new, values) = (Person::new().new_user(), values());
        for (name, value) in &values {
            new.personal.add(&users.attribute(name).unwrap(), Change::Replace(value)).unwrap();
        }
        let user = users.create(new, &Origin::new("a test")).await.unwrap();
        created.push((user.id().to_string(), values));
    }
    (site.configure("local", &format!("{}\n{toml}", local_backend("local"))), created)
}

async fn what_is_not_declared_any_more_is_said_and_purged(stack: TestStack) {
    let declared = "[attributes.full_name]\nkind = \"text\"\nmask = \"initials\"\n[attributes.shoe_size]\nkind = \"text\"";
    let (site, people) = site(stack, 3, declared).await;
    let admin = |arguments: &[&str]| site.sandbox.admin_ok(arguments);
    let list: Value = serde_json::from_str(&admin(&["attributes", "list", "--json"])).unwrap();
    let state = |name: &str| list.as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
    assert_eq!(
        state("full_name"),
        Some(json!({ "name": "full_name", "kind": "text", "values": 3, "state": "declared" }))
    );
    assert_eq!(
        state("shoe_size"),
        Some(json!({ "name": "shoe_size", "kind": "text", "values": 0, "state": "declared" }))
    );
    assert_eq!(
        state("national_id"),
        Some(json!({ "name": "national_id", "kind": null, "values": 3, "state": "orphaned" }))
    );
    let text = admin(&["attributes", "list"]);
    assert!(text.contains("orphaned") && !people[0].1.iter().any(|(_, value)| text.contains(value.as_str())));
    // A server says so, and answers nothing of it; who is shown has it all the same, hidden.
    let server = site.sandbox.start().await;
    assert!(
        server.log().contains("there are values of `national_id`, which is not declared"),
        "{}",
        server.log()
    );
    drop(server);
    let (id, values) = &people[0];
    let shown: Value = serde_json::from_str(&admin(&["users", "show", id, "--json"])).unwrap();
    assert_eq!((&shown["full_name"], &shown["national_id"]), (&json!("A••• L•••"), &json!("•••••")));
    let shown: Value = serde_json::from_str(&admin(&["users", "show", id, "--reveal", "--json"])).unwrap();
    assert_eq!(shown["national_id"], values[3].1);
    // Purged.
    let error = site.sandbox.admin_error(&["attributes", "purge", "full_name", "--yes"]);
    assert!(error.contains("`full_name` is declared here"), "{error}");
    let error = site.sandbox.admin_error(&["attributes", "purge", "national_id"]);
    assert!(error.contains("Pass --yes"), "{error}");
    assert_eq!(
        admin(&["attributes", "purge", "national_id", "--yes"]),
        "removed 3 values of `national_id`\n"
    );
    let error = site.sandbox.admin_error(&["attributes", "purge", "national_id", "--yes"]);
    assert!(error.contains("there is no value of an attribute `national_id`"), "{error}");
    let left: Value = serde_json::from_str(&admin(&["attributes", "list", "--json"])).unwrap();
    assert_eq!(left.as_array().unwrap().len(), list.as_array().unwrap().len() - 1);
    let events = admin(&["audit", "export", "--json"]);
    let purge = events.lines().find(|line| line.contains("attribute_purge")).unwrap();
    let purge: Value = serde_json::from_str(purge).unwrap();
    assert_eq!((&purge["target"], &purge["count"]), (&json!("national_id"), &json!(3)));
    admin(&["audit", "verify"]);
    admin(&["keys", "verify"]);
}

async fn what_does_not_fit_any_more_is_listed_without_the_value(stack: TestStack) {
    let declared =
        "[attributes.full_name]\nkind = \"text\"\nmax_length = 3\n[attributes.national_id]\nkind = \"text\"";
    let (site, people) = site(stack, 3, declared).await;
    let checked = site.sandbox.admin(&["attributes", "check"]);
    assert_eq!(checked.status, Some(1), "{} {}", checked.stdout, checked.stderr);
    for (id, values) in &people {
        assert!(
            checked.stdout.contains(&format!("{id}  full_name is longer than 3 characters\n")),
            "{}",
            checked.stdout
        );
        assert!(values.iter().all(|(_, value)| !checked.stdout.contains(value.as_str())));
    }
    assert!(checked.stdout.contains("full_name: 3 values, of which 3 do not fit\n"), "{}", checked.stdout);
    assert!(checked.stdout.contains("national_id: 3 values, of which 0 do not fit\n"), "{}", checked.stdout);
    let one = site.sandbox.admin_ok(&["attributes", "check", "national_id", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&one).unwrap(),
        json!({ "attribute": "national_id", "values": 3, "misfits": 0 })
    );
    let error = site.sandbox.admin_error(&["attributes", "check", "shoe_size"]);
    assert!(error.contains("`shoe_size` is not declared"), "{error}");
    assert!(site.sandbox.admin_ok(&["audit", "export"]).contains("attribute_check"));
}
