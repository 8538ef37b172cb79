use std::collections::BTreeMap;

use serde::Deserialize;

use crate::harness::Sandbox;

const LOCAL_KEYS: &str =
    "[keys]\nactive = \"files\"\n[keys.backends.files]\nkind = \"local\"\nfile = \"keys.toml\"\n";
const DATABASE: &str = "[database]\nurl = \"sqlite://x.db\"\n";
const PASSWORD: &str = "s3cr3t-pa55";

#[derive(Debug, Deserialize)]
struct Line {
    key: String,
    value: String,
    source: String,
}

/// Value and source of each key.
fn effective(sandbox: &Sandbox, arguments: &[&str]) -> BTreeMap<String, (String, String)> {
    let arguments = [&["config", "--json"], arguments].concat();
    let lines: Vec<Line> = serde_json::from_str(&sandbox.admin_ok(&arguments)).unwrap();
    lines.into_iter().map(|line| (line.key, (line.value, line.source))).collect()
}

fn pair(value: &str, source: &str) -> (String, String) {
    (value.to_owned(), source.to_owned())
}

#[test]
fn each_value_comes_with_what_set_it() {
    let sandbox = Sandbox::new()
        .with_profile(
            "staging",
            &format!("{LOCAL_KEYS}[database]\nurl = \"sqlite://x.db\"\n[http]\nplayground = true\n[keys.cache]\ntime_to_live = \"2m\"\n[log]\nfilter = \"warn\"\n"),
        )
        .with_env("OUBLIETTE_HTTP__LISTEN", "127.0.0.1:9000")
        .with_env("OUBLIETTE_KEYS__CACHE__TIME_TO_LIVE", "3m")
        .with_env("OUBLIETTE_LOG__FILTER", "info,sqlx=debug");
    sandbox.write("config/default.toml", "[graphql]\nmax_depth = 9\n[http]\nplayground = false\n");
    let lines = effective(&sandbox, &["--set", "log.filter=debug", "--set", "database.max_connections=3"]);
    for (key, expected) in [
        ("graphql.max_complexity", pair("4000", "default")),
        ("keys.cache.time_to_idle", pair("1m", "default")),
        ("graphql.max_depth", pair("9", "config/default.toml")),
        ("http.playground", pair("true", "config/staging.toml")),
        ("keys.backends.files.file", pair("keys.toml", "config/staging.toml")),
        ("http.listen", pair("127.0.0.1:9000", "OUBLIETTE_HTTP__LISTEN")),
        ("keys.cache.time_to_live", pair("3m", "OUBLIETTE_KEYS__CACHE__TIME_TO_LIVE")),
        ("log.filter", pair("debug", "--set log.filter")),
        ("database.max_connections", pair("3", "--set database.max_connections")),
    ] {
        assert_eq!(lines.get(key), Some(&expected), "{key}");
    }
}

#[test]
fn the_table_says_the_same_as_the_json() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_HTTP__LISTEN", "127.0.0.1:9000");
    let table = sandbox.admin_ok(&["config"]);
    let mut rows = table.lines().map(|line| {
        let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        <[&str; 3]>::try_from(cells).unwrap()
    });
    assert_eq!(rows.next(), Some(["KEY", "VALUE", "SET BY"]));
    let rows: BTreeMap<_, _> =
        rows.map(|[key, value, source]| (key.to_owned(), pair(value, source))).collect();
    assert_eq!(rows, effective(&sandbox, &[]));
    assert_eq!(rows["http.listen"], pair("127.0.0.1:9000", "OUBLIETTE_HTTP__LISTEN"));
}

#[test]
fn the_defaults_in_code_are_those_written_out() {
    let sandbox =
        Sandbox::new().with_profile("staging", &format!("{LOCAL_KEYS}[database]\nurl = \"sqlite://x.db\"\n"));
    let written = effective(&sandbox, &[]);
    sandbox.write("config/default.toml", "");
    let in_code = effective(&sandbox, &[]);
    let values = |lines: BTreeMap<String, (String, String)>| -> BTreeMap<_, _> {
        lines.into_iter().map(|(key, (value, _))| (key, value)).collect()
    };
    assert_eq!(values(written), values(in_code));
}

#[test]
fn a_password_is_never_printed() {
    let url = format!("postgres://ada:{PASSWORD}@127.0.0.1:1/x");
    let profile = format!("{LOCAL_KEYS}[database]\nurl = \"{url}\"\n");
    let in_file = Sandbox::new().with_profile("staging", &profile);
    let in_environment = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", &url);
    let flag = format!("database.url={url}");
    for (sandbox, arguments) in
        [(&in_file, &[][..]), (&in_environment, &[]), (&Sandbox::new(), &["--set", flag.as_str()])]
    {
        for format in [&["config"][..], &["config", "--json"]] {
            let printed = sandbox.admin_ok(&[format, arguments].concat());
            assert!(printed.contains("postgres://ada:redacted@127.0.0.1:1/x"), "{printed}");
            assert!(!printed.contains(PASSWORD), "{printed}");
        }
    }

    let sandbox =
        Sandbox::new().with_profile("staging", &format!("{LOCAL_KEYS}[database]\nurl_file = \"url\"\n"));
    sandbox.write("url", &format!("{url}\n"));
    assert_eq!(effective(&sandbox, &[])["database.url_file"], pair("url", "config/staging.toml"));
    assert!(!sandbox.admin_ok(&["config"]).contains(PASSWORD));
}

#[test]
fn a_password_is_in_no_error() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__CONNECT_TIMEOUT", "100ms");
    for url in [
        "postgres://ada:PASSWORD@127.0.0.1:1/x",
        "postgres://127.0.0.1:1/x?user=ada&password=PASSWORD",
        "postgres://ada:PASSWORD@127.0.0.1:port/x",
        "postgres://ada:PASS#WORDPASSWORD@127.0.0.1:1/x",
        "postgrs://ada:PASSWORD@127.0.0.1:1/x",
        "ada:PASSWORD@127.0.0.1:1/x",
        "PASSWORD",
        "",
    ] {
        let flag = format!("database.url={}", url.replace("PASSWORD", PASSWORD));
        let error = sandbox.admin_error(&["migrate", "--set", &flag]);
        assert!(error.contains("cannot connect to the database") && !error.contains(PASSWORD), "{error}");
    }
    let unfinished = format!("{LOCAL_KEYS}[database]\nurl = \"postgres://ada:{PASSWORD}@127.0.0.1:1/x\n");
    let error = Sandbox::new().with_profile("staging", &unfinished).admin_error(&["config"]);
    assert!(error.contains("config/staging.toml") && error.contains("line 7"), "{error}");
    assert!(!error.contains(PASSWORD), "{error}");
}

#[test]
fn an_unknown_key_is_an_error_that_says_where_it_stands() {
    for (toml, key) in [
        ("[http]\nlistn = \"127.0.0.1:0\"", "http.listn"),
        ("[htp]\nlisten = \"127.0.0.1:0\"", "htp"),
        ("[keys.backends.files]\nfiel = \"x\"", "fiel"),
        ("[keys.cache]\nttl = \"1m\"", "keys.cache.ttl"),
    ] {
        let staging = format!(
            "{}{toml}\n",
            LOCAL_KEYS.replace("[keys.backends.files]\n", "[keys.backends.files]\n#\n")
        );
        let staging = if toml.contains("fiel") { format!("{LOCAL_KEYS}fiel = \"x\"\n") } else { staging };
        let error = Sandbox::new().with_profile("staging", &staging).admin_error(&["config"]);
        assert!(error.contains(key) && error.contains("config/staging.toml"), "{error}");
        assert!(error.contains("unknown field"), "{error}");
    }
    for (variable, key) in [
        ("OUBLIETTE_HTTP__LISTN", "http.listn"),
        ("OUBLIETTE_HTTP_LISTEN", "http_listen"),
        ("OUBLIETTE_LISTEN", "listen"),
    ] {
        let error = Sandbox::new().with_env(variable, "127.0.0.1:0").admin_error(&["config"]);
        assert!(error.contains(&format!("`{key}`")) && error.contains(variable), "{error}");
    }
    let error = Sandbox::new().admin_error(&["config", "--set", "http.listn=127.0.0.1:0"]);
    assert!(error.contains("`http.listn`") && error.contains("--set http.listn"), "{error}");
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_says_where_it_stands() {
    for (key, variable, value) in [
        ("http.listen", "OUBLIETTE_HTTP__LISTEN", "here"),
        ("http.max_body_bytes", "OUBLIETTE_HTTP__MAX_BODY_BYTES", "many"),
        ("http.request_timeout", "OUBLIETTE_HTTP__REQUEST_TIMEOUT", "soon"),
        ("http.playground", "OUBLIETTE_HTTP__PLAYGROUND", "5"),
        ("http.cors_allowed_origins", "OUBLIETTE_HTTP__CORS_ALLOWED_ORIGINS", "https://a.example"),
        ("database.max_connections", "OUBLIETTE_DATABASE__MAX_CONNECTIONS", "0"),
        ("graphql.max_depth", "OUBLIETTE_GRAPHQL__MAX_DEPTH", "-1"),
        ("log.format", "OUBLIETTE_LOG__FORMAT", "xml"),
    ] {
        let error = Sandbox::new().with_env(variable, value).admin_error(&["config"]);
        assert!(error.contains(&format!("`{key}` in {variable}:")), "{error}");
        let error = Sandbox::new().admin_error(&["config", "--set", &format!("{key}={value}")]);
        assert!(error.contains(&format!("`{key}` in --set {key}:")), "{error}");
        let (section, name) = key.split_once('.').unwrap();
        let staging = format!("{LOCAL_KEYS}[{section}]\n{name} = \"{value}\"\n");
        let error = Sandbox::new().with_profile("staging", &staging).admin_error(&["config"]);
        assert!(error.contains(&format!("`{key}` in config/staging.toml:")), "{error}");
    }
}

/// A value that fits its key, and does not go with another value or with the profile.
#[test]
fn a_value_that_does_not_go_with_others_is_an_error_that_says_where_both_stand() {
    for (key, value, problem) in [
        ("peers.poll_interval", "0s", "must be at least 1ms"),
        (
            "keys.call_timeout",
            "10s",
            "must be shorter than http.request_timeout (`http.request_timeout` in config/default.toml)",
        ),
        (
            "keys.cache.refresh_ahead",
            "151s",
            "must be at most half of keys.cache.time_to_live; 0s switches it off (`keys.cache.time_to_live` in config/default.toml)",
        ),
        ("http.allowed_hosts", "[\"a b\"]", "`a b` is no name and no address"),
        ("keys.active", "other", "\"other\" names no backend; configured under [keys.backends]: files"),
        ("keys.backends.files.create_if_missing", "true", "works in the profile `local` only"),
        (
            "attributes.phone.second",
            "backend",
            "= \"backend\" needs a key backend that makes MACs: set keys.backends.NAME.mac_key_id of one with kind = \"aws-kms\"",
        ),
        ("auth.mode", "jwt", "\"jwt\" needs [auth.jwt] with issuer, audience, and jwks_url or jwks_file"),
    ] {
        let staging = || Sandbox::new().with_profile("staging", &format!("{LOCAL_KEYS}{DATABASE}"));
        let problem_in = |place: &str| format!("configuration key `{key}` in {place}: {problem}");
        let error = staging().admin_error(&["config", "--set", &format!("{key}={value}")]);
        assert!(error.contains(&problem_in(&format!("--set {key}"))), "{error}");
        let variable = format!("OUBLIETTE_{}", key.replace('.', "__").to_uppercase());
        let error = staging().with_env(&variable, value).admin_error(&["config"]);
        assert!(error.contains(&problem_in(&variable)), "{error}");
    }
}

#[test]
fn what_an_error_names_beside_the_value_is_the_other_one() {
    let staging =
        |more: &str| Sandbox::new().with_profile("staging", &format!("{LOCAL_KEYS}{DATABASE}{more}"));
    // The value that was set last, and the one in a file that it does not go with, and the other way round.
    let sandbox = staging("[http]\nrequest_timeout = \"4s\"\n");
    let error = sandbox.admin_error(&["config"]);
    assert!(error.contains("`keys.call_timeout` in config/default.toml: must be shorter"), "{error}");
    assert!(error.contains("(`http.request_timeout` in config/staging.toml)"), "{error}");
    std::fs::write(sandbox.path("config/default.toml"), "").unwrap();
    let error = sandbox.admin_error(&["config"]);
    assert!(error.contains("`keys.call_timeout` in the defaults: must be shorter"), "{error}");

    // A name may have a dot.
    let sandbox =
        staging("[keys.backends.\"a.b\"]\nkind = \"local\"\nfile = \"x\"\ncreate_if_missing = true\n");
    let error = sandbox.admin_error(&["config"]);
    assert!(
        error.contains("`keys.backends.a.b.create_if_missing` in config/staging.toml: works in"),
        "{error}"
    );

    // As the manual shows it.
    let sandbox = staging("").with_env("OUBLIETTE_HTTP__REQUEST_TIMEOUT", "4s");
    let error = sandbox.admin_error(&["config"]);
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    assert!(std::fs::read_to_string(manual).unwrap().contains(error.trim_end()), "{error}");

    let listen = staging("[auth]\nmode = \"off\"\n").with_env("OUBLIETTE_HTTP__LISTEN", "0.0.0.0:1");
    let error = listen.admin_error(&["config"]);
    assert!(
        error.contains("`auth.mode` in config/staging.toml: \"off\" lets anybody do everything"),
        "{error}"
    );
    assert!(error.contains("(`http.listen` in OUBLIETTE_HTTP__LISTEN)"), "{error}");

    let remote = staging("").with_env("OUBLIETTE_DATABASE__URL", "postgres://ada:s3cr3t-pa55@db/x");
    let error = remote.admin_error(&["config", "--set", "database.require_verified_tls=true"]);
    assert!(error.contains("`database.url` in OUBLIETTE_DATABASE__URL: "), "{error}");
    assert!(
        error.contains("(`database.require_verified_tls` in --set database.require_verified_tls)"),
        "{error}"
    );
    assert!(!error.contains(PASSWORD), "{error}");

    let kms = "[keys]\nactive = \"kms\"\n[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"alias/x\"\n";
    for (more, key, problem) in [
        (
            "endpoint_url = \"http://kms.example/\"\n",
            "endpoint_url",
            "data keys would cross the network in the clear",
        ),
        (
            "context = { subject = \"x\" }\n",
            "context.subject",
            "Oubliette puts `subject` into the encryption context",
        ),
        (
            "mac_key_id = \"alias/tags\"\n",
            "mac_key_id",
            "`alias/tags` is not the id or the ARN of a key; an alias may come to name another key",
        ),
        (
            "mac_key_id = \"1-a\"\n[keys.backends.also]\nkind = \"aws-kms\"\nkey_id = \"x\"\nmac_key_id = \"1-b\"\n",
            "mac_key_id",
            "is set for `also`, too: one key makes the MACs of all values. Leave it with one of them",
        ),
    ] {
        let sandbox = Sandbox::new().with_profile("staging", &format!("{kms}{more}{DATABASE}"));
        let error = sandbox.admin_error(&["config"]);
        assert!(error.contains(&format!("`keys.backends.kms.{key}` in config/staging.toml: ")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn origins_are_listed_one_by_one_and_a_wildcard_is_refused() {
    const KEY: &str = "http.cors_allowed_origins";
    const VARIABLE: &str = "OUBLIETTE_HTTP__CORS_ALLOWED_ORIGINS";
    let listed = Sandbox::new().with_env(VARIABLE, r#"["https://a.example", "http://127.0.0.1:5173"]"#);
    let expected = pair("[https://a.example, http://127.0.0.1:5173]", VARIABLE);
    assert_eq!(effective(&listed, &[]).get(KEY), Some(&expected));
    assert_eq!(effective(&Sandbox::new(), &[]).get(KEY).map(|(value, _)| value.as_str()), Some("[]"));

    for origins in [r#"["*"]"#, r#"["https://a.example", "*"]"#, r#"["https://*.example"]"#] {
        let error = Sandbox::new().with_env(VARIABLE, origins).admin_error(&["config"]);
        assert!(error.contains(&format!("`{KEY}` in {VARIABLE}:")), "{error}");
        assert!(error.contains("pages that nobody here has chosen"), "{error}");
    }
}

#[test]
fn what_does_not_exist_is_named() {
    let sandbox = Sandbox::new();
    let error = sandbox.admin_error(&["config", "--profile", "nonsense"]);
    assert!(error.contains("no profile `nonsense`") && error.contains("nonsense.toml"), "{error}");
    let error = sandbox.admin_error(&["config", "--config-dir", "nowhere"]);
    assert!(error.contains("nowhere/local.toml"), "{error}");

    let sandbox = Sandbox::new().with_profile("staging", LOCAL_KEYS);
    let error = sandbox.admin_error(&["config"]);
    assert!(error.contains("`database.url` in the defaults: no database is configured"), "{error}");
    let error = sandbox.admin_error(&["migrate", "--set", "database.url_file=nowhere"]);
    assert!(error.contains("database.url_file `nowhere` cannot be read"), "{error}");
    let error =
        sandbox.admin_error(&["config", "--set", "database.url=sqlite://x", "--set", "keys.active=aws"]);
    assert!(error.contains("`keys.active` in --set keys.active: \"aws\" names no backend"), "{error}");
    assert!(error.contains("configured under [keys.backends]: files"), "{error}");
    std::fs::remove_file(sandbox.path("config/default.toml")).unwrap();
    let error = sandbox.admin_error(&["config"]);
    assert!(error.contains("config/default.toml") && !error.contains("``"), "{error}");
}

#[test]
fn one_secret_from_two_sources_is_refused() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL_FILE", "url");
    sandbox.write("url", "sqlite://x.db");
    let error = sandbox.admin_error(&["config"]);
    assert!(error.contains("`database.url` in ") && error.contains("config/local.toml: "), "{error}");
    assert!(error.contains("database.url and database.url_file are both set: remove one"), "{error}");
    assert!(error.contains("(`database.url_file` in OUBLIETTE_DATABASE__URL_FILE)"), "{error}");
}

#[test]
fn an_override_must_name_a_key() {
    for text in ["http.listen", "http.listen:x", "=5", "..=5", ".http=5", "http.=5", "", " =5"] {
        let error = Sandbox::new().admin_error(&["config", "--set", text]);
        assert!(error.contains("section.key=value"), "{text}: {error}");
    }
    let lines = effective(&Sandbox::new(), &["--set", "log.filter=oubliette=debug"]);
    assert_eq!(lines["log.filter"].0, "oubliette=debug", "a value may contain `=`");
}

#[test]
fn the_local_profile_is_for_this_machine_only() {
    let local = Sandbox::new();
    for address in ["0.0.0.0:0", "[::]:8000", "192.0.2.1:80"] {
        let error = local.admin_error(&["config", "--set", &format!("http.listen={address}")]);
        assert!(
            error.contains(&format!("http.listen = {address} can be reached from other machines")),
            "{error}"
        );
    }
    for address in ["127.0.0.2:0", "[::1]:8000"] {
        local.admin_ok(&["config", "--set", &format!("http.listen={address}")]);
    }
    let staging =
        format!("{LOCAL_KEYS}[database]\nurl = \"sqlite://x.db\"\n[http]\nlisten = \"0.0.0.0:80\"\n");
    Sandbox::new().with_profile("staging", &staging).admin_ok(&["config"]);
}
