//! No password in a URL is printed, whichever setting it stands in and however it is wrong.

use crate::harness::Sandbox;

const PASSWORD: &str = "s3cr3t-pa55";

const KEYS: &str = "[keys]\nactive = \"aws\"\n[keys.backends.aws]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\n\
    region = \"eu-central-1\"\n[auth.jwt]\nissuer = \"https://issuer.example\"\naudience = \"x\"\n";

/// Each setting that takes a URL, and what the file says of the others.
const SETTINGS: [(&str, &str); 3] = [
    ("database.url", ""),
    ("auth.jwt.jwks_url", "[database]\nurl = \"sqlite://x.db\"\n"),
    ("keys.backends.aws.endpoint_url", "[database]\nurl = \"sqlite://x.db\"\n"),
];

/// A working folder where a setting has a value, by a variable, by a flag, and by a file.
fn each_way(key: &str, rest: &str, value: &str) -> Vec<(Sandbox, Vec<String>)> {
    let profile = format!("{KEYS}{rest}");
    let sandbox = |profile: &str| Sandbox::new().with_profile("staging", profile);
    let variable = format!("OUBLIETTE_{}", key.to_uppercase().replace('.', "__"));
    let (section, name) = key.rsplit_once('.').unwrap();
    let header = format!("[{section}]\n");
    let line = format!("{header}{name} = {value:?}\n");
    let in_file =
        if profile.contains(&header) { profile.replace(&header, &line) } else { format!("{profile}{line}") };
    vec![
        (sandbox(&profile).with_env(&variable, value), vec![]),
        (sandbox(&profile), vec!["--set".to_owned(), format!("{key}={value}")]),
        (sandbox(&in_file), vec![]),
    ]
}

#[test]
fn every_url_is_printed_without_its_secrets() {
    for (key, rest) in SETTINGS {
        let scheme = if key == "database.url" { "postgres" } else { "https" };
        for (value, shown) in [
            ("SCHEME://ada:PASSWORD@127.0.0.1:1/x", "SCHEME://ada:redacted@127.0.0.1:1/x"),
            ("SCHEME://127.0.0.1:1/x?token=PASSWORD", "SCHEME://127.0.0.1:1/x?token=redacted"),
            (
                "SCHEME://127.0.0.1:1/x?a=PASSWORD&password=PASSWORD",
                "SCHEME://127.0.0.1:1/x?a=redacted&password=redacted",
            ),
            ("SCHEME://127.0.0.1:1/x?PASSWORD", "SCHEME://127.0.0.1:1/x?redacted="),
            ("SCHEME://127.0.0.1:1/x", "SCHEME://127.0.0.1:1/x"),
        ] {
            let value = value.replace("SCHEME", scheme).replace("PASSWORD", PASSWORD);
            let shown = shown.replace("SCHEME", scheme);
            for (sandbox, flags) in each_way(key, rest, &value) {
                let flags: Vec<_> = flags.iter().map(String::as_str).collect();
                let json = sandbox.admin_ok(&[&["config", "--json"], &flags[..]].concat());
                assert!(json.contains(&format!("\"value\": \"{shown}\"")), "{key}: {json}");
                let table = sandbox.admin_ok(&[&["config"], &flags[..]].concat());
                assert!(table.contains(&format!(" {shown} ")), "{key}: {table}");
                assert!(!json.contains(PASSWORD) && !table.contains(PASSWORD), "{table}");
            }
        }
    }
}

#[test]
fn a_url_that_cannot_be_used_is_not_quoted() {
    for (key, rest) in SETTINGS {
        for value in [
            "http://ada:PASSWORD@service.example/x",
            "http://service.example/x?token=PASSWORD",
            "https://ada:PASSWORD@127.0.0.1:port/x",
            "https://ada:PASS#WORDPASSWORD@127.0.0.1:1/x",
            "ada:PASSWORD@127.0.0.1",
            "PASSWORD",
        ] {
            for (sandbox, flags) in each_way(key, rest, &value.replace("PASSWORD", PASSWORD)) {
                let flags: Vec<_> = flags.iter().map(String::as_str).collect();
                // A mode that needs [auth.jwt] would be the first thing that is wrong.
                let mode = if key.starts_with("auth.jwt") { "jwt" } else { "tokens" };
                let sandbox = sandbox.with_env("OUBLIETTE_AUTH__MODE", mode);
                for command in [&["config"][..], &["migrate"]] {
                    let finished = sandbox.admin(&[command, &flags].concat());
                    let said = finished.stdout + &finished.stderr;
                    assert!(!said.contains(PASSWORD), "{key} = {value}: {said}");
                }
                if key != "database.url" {
                    let error = sandbox.admin_error(&[&["config"], &flags[..]].concat());
                    assert!(error.contains(key.rsplit_once('.').unwrap().0), "{error}");
                }
            }
        }
    }
}

#[test]
fn a_url_at_the_wrong_place_is_not_quoted_either() {
    let url = format!("postgres://ada:{PASSWORD}@127.0.0.1:1/x");
    for variable in [
        "OUBLIETTE_DATABASE",
        "OUBLIETTE_DATABASE_URL",
        "OUBLIETTE_DATABASE__MAX_CONNECTIONS",
        "OUBLIETTE_HTTP__LISTEN",
        "OUBLIETTE_HTTP__TRUSTED_PROXIES",
        "OUBLIETTE_AUTH__MODE",
        "OUBLIETTE_KEYS__ACTIVE",
        "OUBLIETTE_LOG__FORMAT",
    ] {
        let error = Sandbox::new().with_env(variable, &url).admin_error(&["config"]);
        assert!(!error.contains(PASSWORD), "{error}");
    }
    for list in ["HTTP__CORS_ALLOWED_ORIGINS", "HTTP__ALLOWED_HOSTS", "HTTP__TRUSTED_PROXIES"] {
        let value = format!(r#"["{}"]"#, url.replace("postgres", "https"));
        let error = Sandbox::new().with_env(&format!("OUBLIETTE_{list}"), &value).admin_error(&["config"]);
        assert!(!error.contains(PASSWORD), "{error}");
    }
    for flag in [
        format!("database.url:{url}"),
        format!("database.url:{url}?sslmode=require"),
        format!("database={url}"),
        url.clone(),
    ] {
        let error = Sandbox::new().admin_error(&["config", "--set", &flag]);
        assert!(!error.contains(PASSWORD), "{error}");
    }
}
