//! What environment variables mean: names in capitals, names of the operator's own, and texts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::Sandbox;

const KMS: &str = "[database]\nurl = \"sqlite://x.db\"\n[keys]\nactive = \"aws\"\n\
    [keys.backends.aws]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\nregion = \"eu-central-1\"\n";
const CONTEXT: &str = "OUBLIETTE_KEYS__BACKENDS__AWS__CONTEXT__";

fn sandbox(variables: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new().with_profile("staging", KMS);
    variables.iter().fold(sandbox, |sandbox, (name, value)| sandbox.with_env(name, value))
}

/// Value and source of each key, the same in both forms.
fn effective(sandbox: &Sandbox, flags: &[&str]) -> BTreeMap<String, (String, String)> {
    let lines: Value =
        serde_json::from_str(&sandbox.admin_ok(&[&["config", "--json"], flags].concat())).unwrap();
    let table = sandbox.admin_ok(&[&["config"], flags].concat());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let line = |line: &Value| {
        let (key, value, source) = (text(line, "key"), text(line, "value"), text(line, "source"));
        let row = table.lines().find(|row| row.split(' ').next() == Some(&key)).unwrap();
        assert!(row.contains(&value) && row.ends_with(&source), "{row}");
        (key, (value, source))
    };
    lines.as_array().unwrap().iter().map(line).collect()
}

#[test]
fn names_of_the_operators_keep_their_case() {
    let variables = [
        ("OUBLIETTE_KEYS__BACKENDS__AWS__CONTEXT__TenantId", "Acme"),
        ("OUBLIETTE_KEYS__BACKENDS__AWS__CONTEXT__REGION_2", "x"),
        ("OUBLIETTE_KEYS__BACKENDS__OldOne__KIND", "local"),
        ("OUBLIETTE_KEYS__BACKENDS__OldOne__FILE", "Keys.toml"),
        ("OUBLIETTE_AUTH__JWT__ISSUER", "https://issuer.example"),
        ("OUBLIETTE_AUTH__JWT__AUDIENCE", "x"),
        ("OUBLIETTE_AUTH__JWT__SCOPES__SupportDesk", r#"["users:read"]"#),
    ];
    let lines = effective(&sandbox(&variables), &[]);
    for (key, value, number) in [
        ("keys.backends.aws.context.TenantId", "Acme", 0),
        ("keys.backends.aws.context.region_2", "x", 1),
        ("keys.backends.OldOne.file", "Keys.toml", 3),
        ("auth.jwt.scopes.SupportDesk", "[users:read]", 6),
    ] {
        assert_eq!(lines.get(key), Some(&(value.to_owned(), variables[number].0.to_owned())), "{key}");
    }
}

#[test]
fn what_takes_a_text_takes_every_text() {
    for text in ["0012", "12", "-7", "1e5", "1.50", "true", "null", "[12]", "{a=b}", "~"] {
        for key in [
            "keys.backends.aws.context.tenant",
            "keys.backends.aws.key_id",
            "keys.backends.aws.profile",
            "keys.backends.aws.region",
            "log.filter",
            "database.url_file",
            "auth.jwt.audience",
            "auth.jwt.subject_claim",
        ] {
            let variable = format!("OUBLIETTE_{}", key.to_uppercase().replace('.', "__"));
            let rest = [("OUBLIETTE_AUTH__JWT__ISSUER", "1e5"), ("OUBLIETTE_AUTH__JWT__AUDIENCE", "0")];
            let rest = rest.into_iter().filter(|(name, _)| *name != variable);
            let (profile, variables): (_, Vec<_>) = match key {
                "database.url_file" => (KMS.replace("url =", "url_file ="), vec![]),
                _ => (KMS.to_owned(), rest.collect()),
            };
            // The file with the database's URL is read when the configuration is checked.
            let named = |sandbox: Sandbox| {
                sandbox.write(text, "sqlite://x.db");
                variables.iter().fold(sandbox, |sandbox, (name, value)| sandbox.with_env(name, value))
            };
            let by_variable =
                named(Sandbox::new().with_profile("staging", &profile).with_env(&variable, text));
            assert_eq!(effective(&by_variable, &[])[key], (text.to_owned(), variable), "{key}");
            let by_flag = named(Sandbox::new().with_profile("staging", &profile));
            let flag = format!("{key}={text}");
            let expected = (text.to_owned(), format!("--set {key}"));
            assert_eq!(effective(&by_flag, &["--set", &flag])[key], expected);
        }
    }
    // An URL of a database whose name and password are digits, with the line break of the secret that it came from.
    let url = "postgres://0012:0034@127.0.0.1:1/0056";
    let lines = effective(&sandbox(&[("OUBLIETTE_DATABASE__URL", &format!("{url}\n"))]), &[]);
    assert_eq!(lines["database.url"].0, "postgres://0012:redacted@127.0.0.1:1/0056");
}

#[test]
fn what_takes_something_else_still_does() {
    let variables = [
        ("OUBLIETTE_HTTP__MAX_BODY_BYTES", "0012"),
        ("OUBLIETTE_HTTP__PLAYGROUND", "true"),
        ("OUBLIETTE_HTTP__ALLOWED_HOSTS", r#"["0012.example"]"#),
        ("OUBLIETTE_HTTP__REQUEST_TIMEOUT", "20s"),
        ("OUBLIETTE_KEYS__BACKENDS__AWS__MAX_ATTEMPTS", "7"),
        ("OUBLIETTE_HTTP__TLS", r#"{certificate="c.pem",key="0012.pem"}"#),
    ];
    let lines = effective(&sandbox(&variables), &[]);
    for (key, value) in [
        ("http.max_body_bytes", "12"),
        ("http.playground", "true"),
        ("http.allowed_hosts", "[0012.example]"),
        ("http.request_timeout", "20s"),
        ("keys.backends.aws.max_attempts", "7"),
        ("http.tls.certificate", "c.pem"),
        ("http.tls.key", "0012.pem"),
    ] {
        assert_eq!(lines[key].0, value, "{key}");
    }
    let error = sandbox(&[("OUBLIETTE_HTTP__REQUEST_TIMEOUT", "20")]).admin_error(&["config"]);
    assert!(error.contains("`http.request_timeout` in OUBLIETTE_HTTP__REQUEST_TIMEOUT:"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_a_backend_is_found_among_its_variables() {
    let variables = [
        ("OUBLIETTE_KEYS__BACKENDS__AWS__MAX_ATTEMPTS", "many"),
        ("OUBLIETTE_KEYS__BACKENDS__AWS__PROFILE", "x"),
    ];
    let error = sandbox(&variables).admin_error(&["config"]);
    let expected = "`keys.backends.aws.max_attempts` in OUBLIETTE_KEYS__BACKENDS__AWS__MAX_ATTEMPTS: invalid type: \
                    found string \"many\"";
    assert!(error.contains(expected) && !error.contains(variables[1].0), "{error}");
    let error = sandbox(&[]).admin_error(&["config", "--set", "keys.backends.aws.connect_timeout=soon"]);
    let expected =
        "`keys.backends.aws.connect_timeout` in --set keys.backends.aws.connect_timeout: invalid value";
    assert!(error.contains(expected), "{error}");
    let error = sandbox(&[("OUBLIETTE_KEYS__BACKENDS__AWS__KIND", "aws-kmz")]).admin_error(&["config"]);
    let expected =
        "`keys.backends.aws.kind` in OUBLIETTE_KEYS__BACKENDS__AWS__KIND: unknown variant: found `aws-kmz`";
    assert!(error.contains(expected), "{error}");
    // What only the whole tells.
    let error = sandbox(&[(&format!("{CONTEXT}subject"), "x")]).admin_error(&["config"]);
    let expected =
        format!("`keys.backends.aws.context.subject` in {CONTEXT}subject: Oubliette puts `subject` into");
    assert!(error.contains(&expected), "{error}");
    let error = sandbox(&[("OUBLIETTE_KEYS__BACKENDS__AWS__Region", "x")]).admin_error(&["config"]);
    let expected = "`keys.backends.aws.Region` in OUBLIETTE_KEYS__BACKENDS__AWS__Region: unknown field";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn two_variables_for_one_key_are_refused() {
    for (first, second) in [("TENANTID", "tenantid"), ("TENANT_2", "tenant_2")] {
        let (first, second) = (format!("{CONTEXT}{first}"), format!("{CONTEXT}{second}"));
        let error = sandbox(&[(&first, "1"), (&second, "1")]).admin_error(&["config"]);
        assert!(error.contains(&format!("variables {first} and {second} set the same")), "{error}");
    }
    let (first, second) = (format!("{CONTEXT}TenantId"), format!("{CONTEXT}tenantid"));
    let lines = effective(&sandbox(&[(&first, "1"), (&second, "2")]), &[]);
    assert_eq!(lines["keys.backends.aws.context.TenantId"].0, "1", "these are two names");
    assert_eq!(lines["keys.backends.aws.context.tenantid"].0, "2");
    let error = sandbox(&[("OUBLIETTE_HTTP__", "x")]).admin_error(&["config"]);
    assert!(error.contains("OUBLIETTE_HTTP__ names no configuration key"), "{error}");
}

/// What the kubelet sets for a Service `oubliette` with the port `http`, 80.
#[tokio::test]
async fn the_variables_of_a_kubernetes_service_are_named_as_such() {
    for (name, value) in [
        ("OUBLIETTE_PORT", "tcp://10.0.0.1:80"),
        ("OUBLIETTE_SERVICE_HOST", "10.0.0.1"),
        ("OUBLIETTE_SERVICE_PORT", "80"),
        ("OUBLIETTE_SERVICE_PORT_HTTP", "80"),
        ("OUBLIETTE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("OUBLIETTE_PORT_80_TCP_PROTO", "tcp"),
        ("OUBLIETTE_PORT_80_TCP_PORT", "80"),
        ("OUBLIETTE_PORT_80_TCP_ADDR", "10.0.0.1"),
    ] {
        let sandbox = Sandbox::new().with_env(name, value);
        for said in [sandbox.admin_error(&["config"]), sandbox.refusal().await] {
            assert!(said.contains(&format!("the variable {name} is none of Oubliette's")), "{said}");
            assert!(said.contains("for the Service `oubliette`"), "{said}");
            assert!(said.contains("enableServiceLinks: false"), "{said}");
            assert!(said.contains("give the Service a name that does not begin with `oubliette`"), "{said}");
        }
    }
    let error = Sandbox::new().with_env("OUBLIETTE_EU_SERVICE_HOST", "10.0.0.1").admin_error(&["config"]);
    assert!(error.contains("for the Service `oubliette-eu`"), "{error}");
    // A slip of the operator's is told as every other.
    let error = Sandbox::new().with_env("OUBLIETTE_PORT", "9000").admin_error(&["config"]);
    assert!(error.contains("configuration key `port` in OUBLIETTE_PORT: unknown field"), "{error}");
}
