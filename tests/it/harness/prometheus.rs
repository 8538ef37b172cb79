//! A real Prometheus that watches a server.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use super::postgres::free_port;

/// Longest wait for what should be there within two seconds. Generous, for busy machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program of the Debian package `prometheus`, ready to run.
pub(crate) fn prometheus_command(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    assert!(
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file()),
        "no `{name}` in $PATH; install it: apt-get install -y --no-install-recommends prometheus"
    );
    Command::new(name)
}

/// A Prometheus that looks at one server twice a second. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Prometheus {
    child: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Watches this address, by these rules. Comes back when it has seen something several times.
    pub(crate) async fn watch(server: SocketAddr, rules: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: ['{}']\n\
             scrape_configs: [{{job_name: oubliette, static_configs: [{{targets: ['{server}']}}]}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        // Free a moment ago. It cannot choose one and say which.
        let address = format!("127.0.0.1:{}", free_port());
        let child = prometheus_command("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(["--log.level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut watching =
            Self { child, url: format!("http://{address}"), client: Client::new(), _folder: folder };
        let looks = "sum(sum_over_time(up[1m])) >= 3";
        watching.until(looks, |found| !found.is_empty()).await;
        assert_eq!(watching.child.try_wait().unwrap(), None, "it is another one that answers");
        watching
    }

    /// The names of the alerts that fire.
    pub(crate) async fn firing(&self) -> Vec<String> {
        let alerts = self.query("ALERTS{alertstate=\"firing\"}").await.unwrap_or_default();
        let mut names: Vec<_> =
            alerts.iter().map(|alert| alert["metric"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Waits until this alert fires.
    pub(crate) async fn fires(&self, alert: &str) {
        let alert = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        self.until(&alert, |found| !found.is_empty()).await;
    }

    async fn until(&self, query: &str, enough: impl Fn(&[Value]) -> bool) {
        let started = Instant::now();
        loop {
            let found = self.query(query).await;
            if found.as_deref().is_some_and(&enough) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{query} is {found:?}; firing: {:?}", self.firing().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What a query gives now; nothing if Prometheus does not answer yet.
    async fn query(&self, query: &str) -> Option<Vec<Value>> {
        let url = format!("{}/api/v1/query", self.url);
        let url = reqwest::Url::parse_with_params(&url, [("query", query)]).unwrap();
        let answer: Value = self.client.get(url).send().await.ok()?.json().await.ok()?;
        answer["data"]["result"].as_array().cloned()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
