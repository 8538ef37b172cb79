//! Servers that declare different attributes, as during a roll-out: real processes on one database.

use serde_json::{Value, json};

use crate::harness::{
    EMAIL_MARK, Server, Site, TestStack, local_backend, on_both_databases, remember_personal_values,
};

on_both_databases!(each_server_answers_what_it_knows_and_none_loses_a_value);

const OLD: &str = "[attributes.full_name]\nkind = \"text\"\n";
const NEW: &str =
    "[attributes.full_name]\nkind = \"text\"\nmax_length = 500\n[attributes.shoe_size]\nkind = \"text\"\n";

fn declaring(site: Site, attributes: &str) -> Site {
    site.configure("local", &format!("{}\n{attributes}", local_backend("local")))
}

async fn update(server: &Server, id: &str, attributes: Value) -> Value {
    let update = "mutation($id: ID!, $attributes: [AttributeInput!]) {
        updateUser(id: $id, input: { attributes: $attributes }) { attributes { name value } } }";
    server.try_graphql(update, json!({ "id": id, "attributes": attributes })).await.unwrap()
}

/// All that a server answers of somebody.
async fn attributes(server: &Server, id: &str) -> Vec<(String, String)> {
    let query = "query($id: ID!) { user(id: $id) { attributes { name value } } }";
    let answer = server.try_graphql(query, json!({ "id": id })).await.unwrap();
    assert_eq!(answer.get("errors"), None, "{answer}");
    super::named(&answer["data"]["user"]["attributes"], "value")
}

async fn each_server_answers_what_it_knows_and_none_loses_a_value(stack: TestStack) {
    let (site, _) = Site::on_local_keys(stack).await;
    let site = declaring(site, OLD);
    let old = site.sandbox.start().await;
    let site = declaring(site, NEW);
    let new = site.sandbox.start().await;
    let [name, other_name, long_name, shoes] = ["Ada", "Ada Byron", &"Augusta ".repeat(50), "44"]
        .map(|value| format!("{}{EMAIL_MARK}", value.trim()));
    remember_personal_values(&[&name, &other_name, &long_name, &shoes]);
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let given = json!([{ "name": "full_name", "value": name }, { "name": "shoe_size", "value": shoes }]);
    let input = json!({ "username": "ada", "attributes": given });
    let created = new.try_graphql(create, json!({ "input": input })).await.unwrap();
    let id = created["data"]["createUser"]["id"].as_str().unwrap().to_owned();
    let of = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let both = |name: &str| vec![of("full_name", name), of("shoe_size", &shoes)];
    assert_eq!(attributes(&new, &id).await, both(&name));
    // The old one knows nothing of the new attribute, by no name, and says so.
    assert_eq!(attributes(&old, &id).await, [of("full_name", &name)]);
    let by_name = "query($id: ID!) { user(id: $id) { attribute(name: \"shoe_size\") { value } } }";
    let unknown = old.try_graphql(by_name, json!({ "id": id })).await.unwrap();
    assert_eq!(unknown["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{unknown}");
    let refused = update(&old, &id, json!([{ "name": "shoe_size", "value": shoes }])).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
    // What it changes leaves the other value alone.
    let changed = update(&old, &id, json!([{ "name": "full_name", "value": other_name }])).await;
    assert_eq!(
        super::named(&changed["data"]["updateUser"]["attributes"], "value"),
        [of("full_name", &other_name)]
    );
    assert_eq!(attributes(&new, &id).await, both(&other_name));
    // A value that only the new one permits is read by the old one, which refuses to write it.
    let long = json!([{ "name": "full_name", "value": long_name }]);
    assert_eq!(update(&old, &id, long.clone()).await["errors"][0]["extensions"]["field"], "full_name");
    assert_eq!(update(&new, &id, long).await.get("errors"), None);
    assert_eq!(attributes(&old, &id).await, [of("full_name", &long_name)]);
    // A fresh data key by who declares less seals all of it anew.
    let site = declaring(site, OLD);
    site.sandbox.admin_ok(&["keys", "rotate", "--all", "--yes", "--json"]);
    assert_eq!(attributes(&new, &id).await, both(&long_name));
    assert_eq!(attributes(&old, &id).await, [of("full_name", &long_name)]);
    // The old one forgets what it does not know.
    let forget = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
    let forgotten = old.try_graphql(forget, json!({ "id": id })).await.unwrap();
    // The rotation is an entry, too.
    assert_eq!(forgotten["data"]["forgetUser"]["sequence"], 2, "{forgotten}");
    assert_eq!(new.read(&id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    let left: Value =
        serde_json::from_str(&site.sandbox.admin_ok(&["attributes", "list", "--json"])).unwrap();
    assert!(left.as_array().unwrap().iter().all(|one| one["values"] == 0), "{left}");
}
