use std::{fs, net::SocketAddr};

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server, is_long};

/// A server as shipped, but for its port: it wants tokens, tells no schema, and records each look.
const AS_SHIPPED: [&str; 8] = [
    "--set",
    "auth.mode=tokens",
    "--set",
    "graphql.introspection=false",
    "--set",
    "http.playground=false",
    "--set",
    "audit.reads=required",
];

/// Whoever is attacked.
pub(super) struct Target {
    pub(super) server: Server,
    sandbox: Sandbox,
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// The most that was ever resident.
    pub(super) peak: u64,
}

impl Target {
    pub(super) async fn start(settings: &[&str]) -> Self {
        let sandbox = if is_long() { Sandbox::new().optimised() } else { Sandbox::new() };
        let server = sandbox.start_with(&[&AS_SHIPPED, settings].concat()).await;
        Self { server, sandbox }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.url("/").socket_addrs(|| None).unwrap()[0]
    }

    /// Makes a token.
    pub(super) fn token(&self, name: &str, scopes: &str) -> String {
        let set = ["--set", "auth.mode=tokens"];
        let create = ["tokens", "create", "--name", name, "--scopes", scopes];
        let made = self.sandbox.admin(&[&create[..], &set].concat());
        assert_eq!(made.status, Some(0), "{}", made.stderr);
        made.stdout.trim().to_owned()
    }

    pub(super) fn ask(&self, token: &str, query: &str, variables: &Value) -> RequestBuilder {
        let body = json!({ "query": query, "variables": variables });
        self.server.client().post(self.server.url("/graphql")).bearer_auth(token).json(&body)
    }

    /// Creates somebody, and gives their id.
    pub(super) async fn create(&self, token: &str, person: &Person) -> String {
        let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
        let input = json!({ "username": person.username, "email": person.email, "phone": person.phone });
        let answer = self.ask(token, query, &json!({ "input": input })).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["data"]["createUser"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// How many calls to the key backend have ended.
    pub(super) async fn backend_calls(&self) -> u64 {
        let metrics = self.server.metrics().await;
        let calls = metrics.lines().filter(|line| line.starts_with("oubliette_key_backend_calls_total{"));
        let counts = calls.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        let sum = counts.sum();
        assert!(sum > 0, "somebody was created: {metrics}");
        sum
    }

    pub(super) fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let kibibytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
            line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
        };
        Memory { resident: kibibytes("VmRSS:"), peak: kibibytes("VmHWM:") }
    }

    /// Checks that the server found no fault with itself.
    pub(super) fn assert_unharmed(&self) {
        let log = self.server.log();
        let bad = |line: &&str| line.contains("panicked") || line.contains(r#""level":"ERROR""#);
        assert_eq!(log.lines().find(bad), None);
    }
}
