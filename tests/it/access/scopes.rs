//! Every field, for every kind of caller.

use std::collections::{BTreeMap, BTreeSet};

use oubliette::access::{Scope, Scopes};
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{code, guarded};
use crate::harness::{Person, TestApp, TestStack, on_both_databases};

on_both_databases!(every_caller_gets_what_the_table_says, whoever_has_no_good_token_gets_nothing);

/// What a field needs: one of these scopes; or nothing more than whatever led to its object.
///
/// Whoever adds a field decides here.
const FIELDS: &[(&str, &[&str])] = &[
    ("Query.user", &["users:read", "pii:read"]),
    ("Query.userByUsername", &["users:read"]),
    ("Query.userByEmail", &["users:find"]),
    ("Query.userByPhone", &["users:find"]),
    ("Query.usersBy", &["users:find"]),
    ("Query.users", &["users:read"]),
    ("Query.attributeDefinitions", &["users:read", "users:write", "pii:read"]),
    ("Query.erasure", &["users:read", "users:forget", "audit:read"]),
    ("Query.auditEvents", &["audit:read"]),
    ("Mutation.createUser", &["users:write"]),
    ("Mutation.updateUser", &["users:write"]),
    ("Mutation.forgetUser", &["users:forget"]),
    ("User.id", &[]),
    ("User.username", &["users:read", "users:write"]),
    ("User.email", &["pii:read"]),
    ("User.phone", &["pii:read"]),
    ("User.emailMasked", &["users:read"]),
    ("User.phoneMasked", &["users:read"]),
    ("User.attribute", &["users:read", "users:write", "pii:read"]),
    ("User.attributes", &["users:read", "users:write", "pii:read"]),
    ("PersonalAttribute.name", &[]),
    ("PersonalAttribute.kind", &[]),
    ("PersonalAttribute.value", &["pii:read"]),
    ("PersonalAttribute.masked", &["users:read"]),
    ("PersonalAttribute.updatedAt", &[]),
    ("AttributeDefinition.name", &[]),
    ("AttributeDefinition.kind", &[]),
    ("AttributeDefinition.maxLength", &[]),
    ("AttributeDefinition.pattern", &[]),
    ("AttributeDefinition.mask", &[]),
    ("User.createdAt", &["users:read", "users:write"]),
    ("User.updatedAt", &["users:read", "users:write"]),
    ("User.keyCommitment", &["pii:read"]),
    ("Erasure.userId", &[]),
    ("Erasure.erasedAt", &[]),
    ("Erasure.sequence", &[]),
    ("Erasure.digest", &[]),
    ("Erasure.receipt", &[]),
    ("AuditEvent.sequence", &[]),
    ("AuditEvent.occurredAt", &[]),
    ("AuditEvent.actor", &[]),
    ("AuditEvent.action", &[]),
    ("AuditEvent.subjectId", &[]),
    ("AuditEvent.subjectIds", &[]),
    ("AuditEvent.count", &[]),
    ("AuditEvent.attributes", &[]),
    ("AuditEvent.target", &[]),
    ("AuditEvent.requestId", &[]),
    ("AuditEvent.outcome", &[]),
    ("AuditEvent.digest", &[]),
    ("UserConnection.pageInfo", &[]),
    ("UserConnection.edges", &[]),
    ("UserConnection.nodes", &[]),
    ("UserEdge.node", &[]),
    ("UserEdge.cursor", &[]),
    ("AuditEventConnection.pageInfo", &[]),
    ("AuditEventConnection.edges", &[]),
    ("AuditEventConnection.nodes", &[]),
    ("AuditEventEdge.node", &[]),
    ("AuditEventEdge.cursor", &[]),
    ("PageInfo.hasPreviousPage", &[]),
    ("PageInfo.hasNextPage", &[]),
    ("PageInfo.startCursor", &[]),
    ("PageInfo.endCursor", &[]),
];

/// What is asked, the fields it needs scopes for, and whether it is about one user or about all. Those that change
/// something come last, and forgetting at the very end.
pub(super) const REQUESTS: &[(&str, &[&str], About)] = &[
    ("query($id: ID!) { user(id: $id) { id } }", &["Query.user"], About::One),
    ("query($id: ID!) { user(id: $id) { username } }", &["Query.user", "User.username"], About::One),
    ("query($id: ID!) { user(id: $id) { email } }", &["Query.user", "User.email"], About::One),
    ("query($id: ID!) { user(id: $id) { phone } }", &["Query.user", "User.phone"], About::One),
    ("query($id: ID!) { user(id: $id) { emailMasked } }", &["Query.user", "User.emailMasked"], About::One),
    ("query($id: ID!) { user(id: $id) { phoneMasked } }", &["Query.user", "User.phoneMasked"], About::One),
    ("query($id: ID!) { user(id: $id) { createdAt } }", &["Query.user", "User.createdAt"], About::One),
    ("query($id: ID!) { user(id: $id) { updatedAt } }", &["Query.user", "User.updatedAt"], About::One),
    (
        "query($id: ID!) { user(id: $id) { keyCommitment } }",
        &["Query.user", "User.keyCommitment"],
        About::One,
    ),
    (
        "query($id: ID!) { user(id: $id) { attribute(name: \"phone\") { name } } }",
        &["Query.user", "User.attribute"],
        About::One,
    ),
    (
        "query($id: ID!) { user(id: $id) { attribute(name: \"email\") { value } } }",
        &["Query.user", "User.attribute", "PersonalAttribute.value"],
        About::One,
    ),
    (
        "query($id: ID!) { user(id: $id) { attributes(names: [\"email\"]) { masked } } }",
        &["Query.user", "User.attributes", "PersonalAttribute.masked"],
        About::One,
    ),
    ("{ attributeDefinitions { name } }", &["Query.attributeDefinitions"], About::Nobody),
    (
        "query($name: String!) { userByUsername(username: $name) { id } }",
        &["Query.userByUsername"],
        About::One,
    ),
    (
        "query($name: String!) { userByUsername(username: $name) { email } }",
        &["Query.userByUsername", "User.email"],
        About::One,
    ),
    ("query($email: String!) { userByEmail(email: $email) { id } }", &["Query.userByEmail"], About::All),
    ("query($phone: String!) { userByPhone(phone: $phone) { id } }", &["Query.userByPhone"], About::All),
    (
        "query($phone: String!) { usersBy(attribute: \"phone\", value: $phone) { nodes { id } } }",
        &["Query.usersBy"],
        About::All,
    ),
    ("{ users(first: 1) { nodes { id } } }", &["Query.users"], About::All),
    ("{ users(first: 1) { nodes { phone } } }", &["Query.users", "User.phone"], About::All),
    ("query($id: ID!) { erasure(userId: $id) { digest } }", &["Query.erasure"], About::One),
    (
        "query($id: ID!) { auditEvents(subjectId: $id) { nodes { actor } } }",
        &["Query.auditEvents"],
        About::One,
    ),
    ("{ auditEvents(first: 1) { nodes { actor } } }", &["Query.auditEvents"], About::All),
    (
        "mutation($new: CreateUserInput!) { createUser(input: $new) { id } }",
        &["Mutation.createUser"],
        About::All,
    ),
    (
        "mutation($new: CreateUserInput!) { createUser(input: $new) { username createdAt updatedAt } }",
        &["Mutation.createUser", "User.username", "User.createdAt", "User.updatedAt"],
        About::All,
    ),
    ("mutation($id: ID!) { updateUser(id: $id, input: {}) { id } }", &["Mutation.updateUser"], About::One),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: {}) { email } }",
        &["Mutation.updateUser", "User.email"],
        About::One,
    ),
    (
        "mutation($id: ID!) { updateUser(id: $id, input: {}) { emailMasked } }",
        &["Mutation.updateUser", "User.emailMasked"],
        About::One,
    ),
    ("mutation($id: ID!) { forgetUser(id: $id) { digest } }", &["Mutation.forgetUser"], About::One),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    One,
    All,
    /// What everybody may know whom a scope lets in.
    Nobody,
}

/// Whom a caller's token is for.
#[derive(Clone, Copy, Debug)]
enum For {
    Everybody,
    Themselves,
    SomebodyElse,
}

#[tokio::test]
async fn nobody_has_forgotten_to_decide_the_scope_of_a_field() {
    let app = TestApp::start(TestStack::sqlite()).await;
    let query = "{ __schema { types { name kind fields { name description } } } }";
    let schema = app.data(query, json!({})).await;
    let decided: BTreeMap<_, _> = FIELDS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for of in schema["__schema"]["types"].as_array().unwrap() {
        let name = of["name"].as_str().unwrap();
        if of["kind"] != "OBJECT" || name.starts_with("__") {
            continue;
        }
        for field in of["fields"].as_array().unwrap() {
            let path = format!("{name}.{}", field["name"].as_str().unwrap());
            let needs = decided.get(&*path).unwrap_or_else(|| panic!("nobody decided what {path} needs"));
            // The description names the scopes that are needed, and no others.
            let said = field["description"].as_str().unwrap_or_default();
            for scope in Scope::ALL {
                let quoted = format!("`{scope}`");
                assert_eq!(said.contains(&quoted), needs.contains(&scope.as_str()), "{path}: {said}");
            }
            seen.insert(path);
        }
    }
    let gone: Vec<_> = decided.keys().filter(|path| !seen.contains(**path)).collect();
    assert!(gone.is_empty(), "no longer in the schema: {gone:?}");
    // And each that needs something is asked for below.
    let asked: BTreeSet<_> = REQUESTS.iter().flat_map(|(_, fields, _)| fields.iter().copied()).collect();
    let needy: BTreeSet<_> =
        FIELDS.iter().filter(|(_, needs)| !needs.is_empty()).map(|(path, _)| *path).collect();
    assert_eq!(asked, needy);
}

/// All sets of scopes, each for everybody, for the caller's own user, and for another's.
async fn every_caller_gets_what_the_table_says(stack: TestStack) {
    let app = guarded(stack).await;
    let other = Person::new();
    let other = (app.add(&other).await, other);
    let mut refused = 0;
    for bits in 1..1_u8 << Scope::ALL.len() {
        let of_bit = |(place, scope): (usize, Scope)| (bits & (1 << place) != 0).then_some(scope);
        let scopes: Scopes = Scope::ALL.into_iter().enumerate().filter_map(of_bit).collect();
        for whose in [For::Everybody, For::Themselves, For::SomebodyElse] {
            let person = Person::new();
            let own = (app.add(&person).await, person);
            let (bound, (id, person)) = match whose {
                For::Everybody => (None, &own),
                For::Themselves => (Some(own.0), &own),
                For::SomebodyElse => (Some(own.0), &other),
            };
            let token = app.token(&scopes.to_string(), bound).await;
            for (query, fields, about) in REQUESTS {
                let allowed = expected(&scopes, whose, fields, *about);
                refused += usize::from(!allowed);
                check(&app, &token, query, *id, person, allowed).await;
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// Nobody, and those whose tokens are no good any more, at each of them.
async fn whoever_has_no_good_token_gets_nothing(stack: TestStack) {
    let app = guarded(stack).await;
    let person = Person::new();
    let id = app.add(&person).await;
    let all = Scopes::all().to_string();
    let [expired, revoked, unknown] =
        [app.token(&all, None).await, app.token(&all, Some(id)).await, app.token(&all, None).await];
    for (place, change) in ["expires_at = created_at", "revoked_at = created_at"].iter().enumerate() {
        let rows = oubliette::access::tokens::list(&app.db).await.unwrap();
        app.sql(&format!("UPDATE access_tokens SET {change} WHERE name = '{}'", rows[place].name)).await;
    }
    app.sql("DELETE FROM access_tokens WHERE expires_at IS NULL AND revoked_at IS NULL").await;
    for (what, token) in [
        ("nobody", None),
        ("expired", Some(&*expired)),
        ("revoked", Some(&*revoked)),
        ("unknown", Some(&*unknown)),
    ] {
        for (query, ..) in REQUESTS {
            assert_unauthenticated(&app, what, token, query, id, &person).await;
        }
    }
    assert_eq!(app.backend.unwrapped(), 0);
}

/// Sends one of the requests, which must be refused before anything of it is looked at.
pub(super) async fn assert_unauthenticated(
    app: &TestApp,
    what: &str,
    token: Option<&str>,
    query: &str,
    id: Uuid,
    person: &Person,
) {
    let variables = json!({ "id": id, "name": person.username, "new": { "username": "x" } });
    let (status, answer) = app.ask(token, query, variables).await;
    assert_eq!(
        (status, code(&answer)),
        (StatusCode::UNAUTHORIZED, Some("UNAUTHENTICATED")),
        "{what}: {query}"
    );
    assert_eq!(answer.as_object().unwrap().len(), 1, "{what}: {answer}");
}

fn expected(scopes: &Scopes, whose: For, fields: &[&str], about: About) -> bool {
    let has = |needs: &[&str]| {
        needs.iter().any(|scope| {
            Scope::ALL.into_iter().any(|known| known.as_str() == *scope && scopes.contains(known))
        })
    };
    let by_scope = fields.iter().all(|field| {
        let (_, needs) = FIELDS.iter().find(|(path, _)| path == field).unwrap();
        has(needs)
    });
    let by_subject = match whose {
        For::Everybody => true,
        For::Themselves => about != About::All,
        For::SomebodyElse => about == About::Nobody,
    };
    by_scope && by_subject
}

async fn check(app: &TestApp, token: &str, query: &str, id: Uuid, person: &Person, allowed: bool) {
    let new = Person::new();
    let variables = json!({
        "id": id, "name": person.username, "email": person.email, "phone": person.phone,
        "new": { "username": new.username, "email": new.email, "phone": new.phone },
    });
    let unwrapped = app.backend.unwrapped();
    let (status, answer) = app.ask(Some(token), query, variables).await;
    assert_eq!(status, StatusCode::OK, "{query}");
    if allowed {
        assert_eq!(answer.get("errors"), None, "{query}: {answer}");
    } else {
        assert_eq!(code(&answer), Some("FORBIDDEN"), "{query}: {answer}");
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{query}: {answer}");
        // What is refused cost nothing. An update may have been made before its answer was refused, and opens
        // nothing for it either.
        assert_eq!(app.backend.unwrapped(), unwrapped, "{query} opened a key");
        assert!(!answer.to_string().contains(&person.email), "{query}: {answer}");
    }
}

#[tokio::test]
async fn a_field_that_is_refused_is_null_and_the_rest_is_answered() {
    let app = guarded(TestStack::sqlite()).await;
    let person = Person::new();
    let id = app.add(&person).await;
    let token = app.token("users:read", None).await;
    let query = "query($id: ID!) { user(id: $id) { username email phone emailMasked phoneMasked } }";
    let (_, answer) = app.ask(Some(&token), query, json!({ "id": id })).await;
    let user = &answer["data"]["user"];
    assert_eq!((&user["email"], &user["phone"]), (&Value::Null, &Value::Null), "{answer}");
    assert_eq!(user["username"], person.username);
    assert_eq!(user["emailMasked"], "m•••@p•••.example");
    assert!(user["phoneMasked"].as_str().unwrap().starts_with("+49•••••"), "{answer}");
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2);
    for error in answer["errors"].as_array().unwrap() {
        assert_eq!(error["extensions"]["code"], "FORBIDDEN");
        let attribute = error["path"][1].as_str().unwrap();
        assert_eq!(error["message"], format!("this needs the scope `pii:read` or `pii:read:{attribute}`"));
    }
}

/// Whoever is bound to one user finds out nothing about others, not even whether they exist.
#[tokio::test]
async fn a_bound_caller_cannot_tell_who_exists() {
    let app = guarded(TestStack::sqlite()).await;
    let [own, other, forgotten] = [Person::new(), Person::new(), Person::new()];
    let (own_id, other_id, forgotten_id) =
        (app.add(&own).await, app.add(&other).await, app.add(&forgotten).await);
    app.users.forget(forgotten_id.into(), &oubliette::audit::Origin::new("test")).await.unwrap();
    let token = app.token(&Scopes::all().to_string(), Some(own_id)).await;
    let mut answers = BTreeSet::new();
    for name in [&*other.username, &*forgotten.username, "nobody-at-all"] {
        let query = "query($name: String!) { userByUsername(username: $name) { id } }";
        answers.insert(app.ask(Some(&token), query, json!({ "name": name })).await.1.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.clear();
    for id in [other_id, forgotten_id, Uuid::now_v7()] {
        let query = "query($id: ID!) { user(id: $id) { id } }";
        answers.insert(app.ask(Some(&token), query, json!({ "id": id })).await.1.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}
