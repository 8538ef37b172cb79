use oubliette::config::ConfigSources;
use serde_json::{Value, json};

use crate::harness::{TestApp, TestStack};

/// What GraphiQL asks for when it loads the schema: graphql-js 16, with all options and its 9 levels of
/// wrapped types.
const GRAPHIQL: &str = "
query IntrospectionQuery {
  __schema {
    description
    queryType { name kind }
    mutationType { name kind }
    subscriptionType { name kind }
    types { ...FullType }
    directives {
      name
      description
      isRepeatable
      locations
      args(includeDeprecated: true) { ...InputValue }
    }
  }
}
fragment FullType on __Type {
  kind
  name
  description
  specifiedByURL
  isOneOf
  fields(includeDeprecated: true) {
    name
    description
    args(includeDeprecated: true) { ...InputValue }
    type { ...TypeRef }
    isDeprecated
    deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
  name
  description
  type { ...TypeRef }
  defaultValue
  isDeprecated
  deprecationReason
}
fragment TypeRef on __Type {
  kind
  name
  ofType {
    kind
    name
    ofType {
      kind
      name
      ofType {
        kind
        name
        ofType {
          kind
          name
          ofType {
            kind
            name
            ofType {
              kind
              name
              ofType {
                kind
                name
                ofType {
                  kind
                  name
                  ofType { kind name }
                }
              }
            }
          }
        }
      }
    }
  }
}";

async fn started(introspection: bool) -> TestApp {
    TestApp::start_with(TestStack::sqlite(), |config| config.graphql.introspection = introspection).await
}

async fn message(app: &TestApp, query: &str) -> String {
    let answer = app.graphql(query, json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{answer}");
    assert_eq!(answer.get("data"), None);
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn graphiql_can_load_the_schema_under_the_default_limits() {
    let app = started(true).await;
    let schema = app.data(GRAPHIQL, json!({})).await["__schema"].clone();
    let types = schema["types"].as_array().unwrap();
    let user = types.iter().find(|named| named["name"] == "User").unwrap();
    let id = user["fields"].as_array().unwrap().iter().find(|field| field["name"] == "id").unwrap();
    assert_eq!(id["type"]["kind"], "NON_NULL");
    assert_eq!(id["type"]["ofType"]["name"], "ID");
    assert_eq!(schema["subscriptionType"], Value::Null);
}

#[tokio::test]
async fn without_introspection_the_schema_cannot_be_queried() {
    let app = started(false).await;
    for query in [
        GRAPHIQL,
        "{ __schema { types { name } } }",
        "{ __type(name: \"User\") { name } }",
        "{ users { __typename nodes { id } } s: __schema { queryType { name } } }",
        "{ ...F } fragment F on Query { __schema { queryType { name } } }",
        "mutation { __schema { queryType { name } } }",
    ] {
        message(&app, query).await;
    }
    assert_eq!(app.data("{ __typename }", json!({})).await, json!({ "__typename": "Query" }));
}

#[tokio::test]
async fn without_introspection_errors_suggest_nothing() {
    let queries = [
        "{ usrs { nodes { id } } }",
        "{ users { nodes { emial } } }",
        "{ users(frist: 1) { nodes { id } } }",
        "{ user(id: \"x\") { emailMaskd } }",
        "mutation { forgetUsr(id: \"x\") { userId } }",
        "{ users { ...F } } fragment F on UserConection { nodes { id } }",
        "mutation($input: CreateUserInptu!) { createUser(input: $input) { id } }",
        "mutation { createUser(input: { username: \"x\", emial: null }) { id } }",
    ];
    let (open, closed) = (started(true).await, started(false).await);
    let mut suggested = 0;
    for query in queries {
        let (open, closed) = (message(&open, query).await, message(&closed, query).await);
        suggested += usize::from(open.contains("Did you mean"));
        assert!(!closed.contains("Did you mean"), "{closed}");
        for name in ["users", "email", "first", "forgetUser", "UserConnection"] {
            let told = closed.contains(&format!("\"{name}\""));
            assert!(!told || query.contains(&format!("{name}(")), "{name} was not asked for: {closed}");
        }
    }
    assert!(suggested >= 1, "with introspection there are suggestions to be left out");
}

#[test]
fn only_the_profile_local_tells_its_schema() {
    for (profile, open) in [("local", true), ("localstack", false), ("aws", false)] {
        let sources = ConfigSources {
            dir: concat!(env!("CARGO_MANIFEST_DIR"), "/config").into(),
            profile: profile.to_owned(),
            overrides: vec!["database.url=sqlite://x.db".to_owned()],
        };
        let config = sources.load().unwrap().config;
        assert_eq!((config.graphql.introspection, config.http.playground), (open, open), "{profile}");
        assert!(config.http.cors_allowed_origins.is_empty(), "{profile}");
    }
}
