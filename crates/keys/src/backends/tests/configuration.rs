use serde_json::{Value, json};

use super::{super::*, config, nobody};
use crate::{KekId, KeyContext, config::BackendConfig};

fn backend(mut settings: Value) -> BackendConfig {
    settings["kind"] = "fake".into();
    serde_json::from_value(settings).unwrap()
}

#[test]
fn a_setting_that_does_not_fit_is_named() {
    for (settings, key, problem) in [
        (
            json!({ "vault": "v", "valut": "w" }),
            Some("valut"),
            "unknown field: found `valut`, expected one of `vault`",
        ),
        (json!({ "vault": 5 }), Some("vault"), "invalid type: found integer `5`, expected a string"),
        (
            json!({ "vault": "v", "shards": "many" }),
            Some("shards"),
            "found string \"many\", expected a nonzero u32",
        ),
        (
            json!({ "vault": "v", "shards": 0 }),
            Some("shards"),
            "invalid value integer `0`, expected a nonzero u32",
        ),
        (json!({ "vault": ["v"] }), Some("vault"), "invalid type: found sequence, expected a string"),
        (json!({}), None, "missing field `vault`"),
    ] {
        let error = backend(settings).read().unwrap_err();
        assert_eq!(error.key.as_deref(), key, "{error}");
        assert!(error.problem.contains(problem), "{error}");
    }
    let unknown = BackendConfig::new("fkae", []).read().unwrap_err();
    assert_eq!(unknown.key.as_deref(), Some("kind"));
    assert!(unknown.problem.contains("found `fkae`") && unknown.problem.contains("`fake`"), "{unknown}");
}

#[test]
fn what_only_the_whole_tells_is_checked_by_the_kind() {
    let settings = backend(json!({ "vault": "v", "address": "http://x.example" })).read().unwrap();
    let error = settings.check(Allowances::default()).unwrap_err();
    assert_eq!(error, SettingError::of("address", "http://x.example/ is not encrypted"));
    settings.check(Allowances { plain_http: true, ..Allowances::default() }).unwrap();
}

#[test]
fn no_secret_is_quoted() {
    const PASSWORD: &str = "s3cr3t-pa55";
    let url = format!("http://ada:{PASSWORD}@x.example/?token={PASSWORD}");
    let with_address = backend(json!({ "vault": "v", "address": url, "token": PASSWORD }));
    let settings = with_address.read().unwrap();
    let mut said = vec![
        format!("{with_address:?}"),
        format!("{settings:?}"),
        serde_json::to_string(&with_address).unwrap(),
        settings.check(Allowances::default()).unwrap_err().to_string(),
    ];
    assert!(said[2].contains("\"kind\":\"fake\"") && said[2].contains("\"vault\":\"v\""), "{}", said[2]);
    for wrong in [
        json!({ "vault": "v", "shards": url }),
        json!({ "vault": "v", "address": [url] }),
        json!({ "vault": "v", "address": { "a": url } }),
        json!({ "vault": "v", "address": format!("https://ada:{PASSWORD}@x.example:port") }),
        json!({ "vault": "v", url.clone(): 1 }),
    ] {
        let backend = backend(wrong);
        said.push(format!("{:?}", backend.read().unwrap_err()));
        said.push(format!("{backend:?}"));
    }
    let of_no_kind = BackendConfig::new(url, []);
    said.push(of_no_kind.read().unwrap_err().to_string());
    said.push(format!("{of_no_kind:?} {}", serde_json::to_string(&of_no_kind).unwrap()));
    for said in said {
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn a_specimen_shows_what_takes_no_text() {
    for kind in KINDS {
        let specimen = kind.specimen();
        kind.settings(&specimen).unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
    }
    assert_eq!(kind("fake").unwrap().specimen().get("shards"), Some(&json!(1)));
}

#[test]
fn each_kind_knows_its_own_ids_and_costs() {
    assert_eq!(
        advice(&KekId::new("fake:v/0")),
        "add [keys.backends.NAME] with kind = \"fake\" and vault = \"v\""
    );
    assert!(advice(&KekId::new("nonsense")).starts_with("no kind of backend has such ids"));
    let cost = kind("fake").unwrap().cost().unwrap();
    assert_eq!((cost.service, cost.calls_of_a_rewrap, cost.polite_rate.get()), ("the fake", 2, 7));
    assert!((cost.dollars_per_call - 0.5).abs() < f64::EPSILON);
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
    assert!(names.contains(&"fake"));
    for (position, kind) in KINDS.iter().enumerate() {
        assert!(!names[position + 1..].contains(&kind.name()), "two kinds are called {}", kind.name());
    }
}

#[cfg(all(feature = "local", feature = "aws-kms"))]
#[test]
fn the_advice_of_the_other_kinds_is_as_it_was() {
    let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for (kek_id, settings) in [
        ("local:2026", "kind = \"local\" and file = the key file that has the key `2026`".to_owned()),
        (arn, format!("kind = \"aws-kms\", region = \"eu-central-1\" and key_id = \"{arn}\"")),
    ] {
        assert_eq!(advice(&KekId::new(kek_id)), format!("add [keys.backends.NAME] with {settings}"));
    }
}

#[tokio::test]
async fn what_is_configured_is_opened() {
    let config =
        config(&json!({ "one": { "kind": "fake", "vault": "v" }, "two": { "kind": "fake", "vault": "w" } }));
    // Nothing is stored anywhere, and no table is needed.
    let backends = open_backends(&config, &(), &nobody()).await.unwrap();
    let names: Vec<_> = backends.iter().map(KeyBackend::name).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(backends.active().current(&KeyContext::of_nobody()).await.unwrap().as_str(), "fake:v/0");
    assert_eq!(backends.owner(&KekId::new("fake:w/0")).unwrap().name(), "two");
    assert!(backends.owner(&KekId::new("fake:x/0")).is_none());
}

#[tokio::test]
async fn what_cannot_be_opened_fails_its_calls_and_no_others() {
    let config = config(&json!({ "one": { "kind": "fake" }, "two": { "kind": "fake", "vault": "w" } }));
    let refused = open_backends(&config, &(), &nobody()).await.unwrap_err();
    assert_eq!(refused.to_string(), "keys.backends.one: missing field `vault`");
    let (backends, errors) = open_what_can_be(&config, &nobody()).await;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].0, "one");
    assert_eq!(backends.active().check().await.unwrap_err().class, ErrorClass::KeyNotFound);
    backends.owner(&KekId::new("fake:w/0")).unwrap().check().await.unwrap();
}
