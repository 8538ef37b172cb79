//! `second = "backend"`: tags that nobody makes without the key backend.

use oubliette::{
    KeyMetrics,
    attributes::{AttributeKind, Matching, TagInput},
    config::AwsKmsConfig,
    entity::blind_index,
    envelope::{IndexKey, PersonalText},
    keys::{
        KeyBackend, KeyContext,
        aws_kms::AwsKmsBackend,
        index_keys::{self, StoredIndexKey},
    },
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{BY_EMAIL, BY_PHONE, code};
use crate::harness::{
    Fault, KmsProxy, Person, Server, Site, TestStack, kms_backend, kms_proxy, localstack, on_both_databases,
    populate,
};

on_both_databases!(
    each_look_up_and_each_value_is_one_call_and_the_index_key_alone_makes_no_tag,
    without_the_backend_nobody_is_nobody_and_all_else_goes_on,
    an_index_is_built_again_by_another_key_of_the_backend_and_by_none_that_makes_no_macs,
    who_is_imported_is_found_and_one_alone_has_a_value,
);

const UPDATE: &str =
    "mutation($id: ID!, $input: UpdateUserInput!) { updateUser(id: $id, input: $input) { id } }";

/// A server's configuration on KMS, with a key for MACs or without.
struct Kms {
    key: String,
    mac_key: String,
    proxy: KmsProxy,
}

impl Kms {
    async fn new() -> Self {
        let (key, mac_key) = (localstack().create_key().await, localstack().create_mac_key().await);
        Self { key, mac_key, proxy: kms_proxy().await }
    }

    fn backends(&self, mac_key: &str, more: &str) -> String {
        let backend = kms_backend("kms", &self.key, &self.proxy);
        let mac_key = format!("kind = \"aws-kms\"\nmac_key_id = \"{mac_key}\"");
        backend.replace("kind = \"aws-kms\"", &mac_key) + more
    }

    async fn site(&self, stack: TestStack, more: &str) -> Site {
        Site::new(stack, "kms", &self.backends(&self.mac_key, more)).await
    }

    /// MACs that were made since this was asked last.
    fn macs(&self) -> usize {
        let calls = self.proxy.calls("GenerateMac");
        self.proxy.forget_counts();
        calls
    }
}

const BY_BACKEND: &str = "[attributes.phone]\nsecond = \"backend\"\n";

/// Whom a look-up finds, or its error.
async fn find(server: &Server, query: &str, value: &str) -> Result<Option<Uuid>, Value> {
    let answer = server.try_graphql(query, json!({ "value": value })).await.unwrap();
    if !answer["errors"].is_null() {
        return Err(answer);
    }
    let found = answer["data"].as_object().unwrap().values().next().unwrap()["id"].as_str();
    Ok(found.map(|id| id.parse().unwrap()))
}

async fn each_look_up_and_each_value_is_one_call_and_the_index_key_alone_makes_no_tag(stack: TestStack) {
    let kms = Kms::new().await;
    let site = kms.site(stack, BY_BACKEND).await;
    let server = site.sandbox.start().await;
    // Tried before the first value needs it.
    assert_eq!(kms.macs(), 1);
    let (ada, other) = (Person::new(), Person::new());
    let id: Uuid = server.create(&ada).await.parse().unwrap();
    assert_eq!(kms.macs(), 1);
    server.create(&other).await;
    assert_eq!(kms.macs(), 1);
    let spaced = format!("{} {} {}", &ada.phone[..3], &ada.phone[3..6], &ada.phone[6..]);
    assert_eq!(find(&server, BY_PHONE, &spaced).await, Ok(Some(id)));
    assert_eq!(kms.macs(), 1);
    assert_eq!(find(&server, BY_PHONE, &Person::new().phone).await, Ok(None));
    assert_eq!(kms.macs(), 1);
    // Others need none.
    assert_eq!(find(&server, BY_EMAIL, &ada.email).await, Ok(Some(id)));
    let input = json!({ "id": id, "input": { "email": Person::new().email } });
    assert_eq!(code(&server.try_graphql(UPDATE, input).await.unwrap()), None);
    assert_eq!(kms.macs(), 0);

    let stored = blind_index::Entity::find()
        .filter(blind_index::Column::SubjectId.eq(id))
        .filter(blind_index::Column::Attribute.eq("phone"))
        .one(&site.db)
        .await
        .unwrap()
        .unwrap()
        .tag;
    assert_tag_needs_the_backend(&kms, &site, &ada.phone, &stored).await;

    let forget = "mutation($id: ID!) { forgetUser(id: $id) { userId } }";
    assert_eq!(code(&server.try_graphql(forget, json!({ "id": id })).await.unwrap()), None);
    assert_eq!(kms.macs(), 0);
    assert_eq!(find(&server, BY_PHONE, &ada.phone).await, Ok(None));
}

/// What somebody can do who has the index key, and whether it takes the backend's key.
async fn assert_tag_needs_the_backend(kms: &Kms, site: &Site, phone: &str, stored: &[u8]) {
    let config = localstack().backend_config(&kms.key);
    let config = AwsKmsConfig { mac_key_id: Some(kms.mac_key.clone()), ..config };
    let backend = AwsKmsBackend::new("kms", &config, KeyMetrics::default()).await.unwrap();
    let StoredIndexKey { id, wrapped, .. } = index_keys::all(&site.db).await.unwrap().remove(0);
    let pairs = [("epoch", id.epoch.to_string()), ("id", id.identity.to_string())];
    let key = backend.unwrap(&wrapped, &KeyContext::new("index", pairs)).await.unwrap();
    let key = IndexKey::new(key);
    let phone = PersonalText::new(phone.to_owned());
    let matching = Matching::new(AttributeKind::Phone, &[]);
    let TagInput::Tag(tag) = matching.input(&key, "phone", &phone) else { unreachable!() };
    assert_ne!(&tag.as_bytes()[..], stored);
    let matching = matching.with_second(kms.mac_key.rsplit('/').next().unwrap());
    let TagInput::Blinded(blinded) = matching.input(&key, "phone", &phone) else { unreachable!() };
    let mac = backend.mac(blinded.as_bytes()).await.unwrap();
    assert_eq!(&matching.tag_by_mac(&key, "phone", &mac).as_bytes()[..], stored);
}

async fn without_the_backend_nobody_is_nobody_and_all_else_goes_on(stack: TestStack) {
    let kms = Kms::new().await;
    let site = kms.site(stack, BY_BACKEND).await;
    let server = site.sandbox.start().await;
    let ada = Person::new();
    let id: Uuid = server.create(&ada).await.parse().unwrap();
    kms.proxy.fail_operation("GenerateMac", Fault::Refused(400, "AccessDeniedException"));
    for phone in [&ada.phone, &Person::new().phone] {
        let refused = find(&server, BY_PHONE, phone).await.unwrap_err();
        assert_eq!(code(&refused), Some("KEY_BACKEND_UNAVAILABLE"), "{refused}");
        assert_eq!(refused["errors"][0]["extensions"]["retryable"], false);
    }
    let update =
        async |input: Value| server.try_graphql(UPDATE, json!({ "id": id, "input": input })).await.unwrap();
    let refused = update(json!({ "phone": Person::new().phone })).await;
    assert_eq!(code(&refused), Some("KEY_BACKEND_UNAVAILABLE"), "{refused}");
    assert_eq!(find(&server, BY_EMAIL, &ada.email).await, Ok(Some(id)));
    let next = Person::new();
    assert_eq!(code(&update(json!({ "email": next.email })).await), None);
    assert_eq!(find(&server, BY_EMAIL, &next.email).await, Ok(Some(id)));
    assert!(server.log().contains("key backend `kms`: access denied"), "{}", server.log());
    // Another answer than what was asked for.
    kms.proxy.fail_operation("GenerateMac", Fault::WrongKey);
    let refused = find(&server, BY_PHONE, &ada.phone).await.unwrap_err();
    assert_eq!(refused["errors"][0]["extensions"]["retryable"], true, "{refused}");
    kms.proxy.fail(None);
    assert_eq!(find(&server, BY_PHONE, &ada.phone).await, Ok(Some(id)));
    // To remove it takes no tag.
    kms.proxy.fail_operation("GenerateMac", Fault::Refused(400, "AccessDeniedException"));
    assert_eq!(code(&update(json!({ "phone": null })).await), None);
    kms.proxy.fail(None);
    assert_eq!(find(&server, BY_PHONE, &ada.phone).await, Ok(None));
}

async fn an_index_is_built_again_by_another_key_of_the_backend_and_by_none_that_makes_no_macs(
    stack: TestStack,
) {
    const USERS: usize = 7;
    let kms = Kms::new().await;
    let site = kms.site(stack, "").await;
    let config = localstack().backend_config(&kms.key);
    let backend = AwsKmsBackend::new("kms", &config, KeyMetrics::default()).await.unwrap();
    let people = populate(&site.db, &backend, USERS).await;
    site.done(&["index", "build", "--yes", "--json"]);
    assert_eq!(kms.macs(), 0);
    assert_eq!(phone_indexes(&site), ["phone/1 ready"]);

    // A key that wraps, and one that is not there: nothing is begun, so nobody who writes is held up.
    let gone = kms.mac_key.replace(":key/", ":key/00000000");
    let mut site = site;
    for (wrong, problem) in
        [(&kms.key, "another kind, or for another use"), (&gone, "the key does not exist")]
    {
        site = site.configure("kms", &kms.backends(wrong, BY_BACKEND));
        let refused = site.sandbox.admin(&["index", "build", "--yes"]);
        assert!(refused.status == Some(1) && refused.stderr.contains(problem), "{}", refused.stderr);
        assert_eq!(phone_indexes(&site), ["phone/1 ready"]);
    }

    // Each value once, and the key is tried; by the plan, it is paid for.
    let mut mac_key = kms.mac_key.clone();
    for command in ["build", "rotate"] {
        site = site.configure("kms", &kms.backends(&mac_key, BY_BACKEND));
        kms.proxy.forget_counts();
        let plan = site.sandbox.admin(&["index", command, "--dry-run", "--price-per-call", "1"]).stderr;
        let calls = 2 * USERS;
        assert!(plan.contains(&format!("about ${calls}.00 for calls to key backends")), "{plan}");
        assert_eq!(kms.macs(), 0);
        site.done(&["index", command, "--yes", "--json"]);
        assert_eq!(kms.macs(), USERS + 1);
        let id = mac_key.rsplit('/').next().unwrap();
        assert_eq!(phone_indexes(&site), [format!("phone/1 second:{id} ready")]);
        assert_all_are_found(&site, &people).await;
    }

    // By another one, what is there finds nobody, which is never said to be nobody.
    mac_key = localstack().create_mac_key().await;
    site = site.configure("kms", &kms.backends(&mac_key, BY_BACKEND));
    let server = site.sandbox.start().await;
    let refused = find(&server, BY_PHONE, &people[0].1.phone).await.unwrap_err();
    assert_eq!(code(&refused), Some("INDEX_NOT_READY"), "{refused}");
    site.done(&["index", "build", "--yes", "--json"]);
    assert_eq!(find(&server, BY_PHONE, &people[0].1.phone).await, Ok(Some(people[0].0)));
}

async fn assert_all_are_found(site: &Site, people: &[(Uuid, Person)]) {
    let server = site.sandbox.start().await;
    for (id, person) in people {
        assert_eq!(find(&server, BY_PHONE, &person.phone).await, Ok(Some(*id)));
    }
}

/// The rules and the state of each index of phone numbers.
fn phone_indexes(site: &Site) -> Vec<String> {
    let status = site.sandbox.admin(&["index", "status", "--json"]).stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let indexes = status["indexes"].as_array().unwrap().iter();
    let text = |index: &Value, key: &str| index[key].as_str().unwrap().to_owned();
    let phone = indexes.filter(|index| index["attribute"] == "phone");
    phone.map(|index| format!("{} {}", text(index, "rules"), text(index, "state"))).collect()
}

async fn who_is_imported_is_found_and_one_alone_has_a_value(stack: TestStack) {
    const USERS: usize = 5;
    let kms = Kms::new().await;
    let site = kms.site(stack, &format!("{BY_BACKEND}unique = true\n")).await;
    let people: Vec<_> = (0..USERS).map(|_| Person::new()).collect();
    let lines = people.iter().map(|person| format!("{},{}\n", person.username, person.phone));
    site.sandbox.write("people.csv", &format!("username,phone\n{}", lines.collect::<String>()));
    let imported = site.done(&["users", "import", "people.csv", "--json"]);
    assert_eq!(imported["created"], USERS, "{imported}");
    assert_eq!(kms.macs(), USERS + 1);
    let server = site.sandbox.start().await;
    for person in &people {
        assert!(find(&server, BY_PHONE, &person.phone).await.unwrap().is_some());
    }
    let first = &people[0].phone;
    let same = Person { phone: format!("{} {}", &first[..4], &first[4..]), ..Person::new() };
    let create = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let input = json!({ "input": { "username": same.username, "phone": same.phone } });
    let refused = server.try_graphql(create, input).await.unwrap();
    assert_eq!(code(&refused), Some("CONFLICT"), "{refused}");
    // The new epoch keeps it so while it is built, too.
    site.done(&["index", "rotate", "--yes", "--json"]);
    let input = json!({ "input": { "username": same.username, "phone": same.phone } });
    assert_eq!(code(&server.try_graphql(create, input).await.unwrap()), Some("CONFLICT"));
}
