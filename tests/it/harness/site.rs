//! A database, and a folder to run commands on it.

use std::process::{Command, Stdio};

use oubliette::{
    config::DatabaseConfig,
    database,
    keys::local::{KeyFile, LocalBackend},
};
use sea_orm::{DatabaseConnection, EntityTrait, QueryOrder};
use serde_json::Value;
use tempfile::TempDir;

use super::{Finished, KmsProxy, Sandbox, TestStack, localstack, stack::files_contain};

/// A database that commands of the sandbox use, too.
pub(crate) struct Site {
    stack: TestStack,
    pub(crate) sandbox: Sandbox,
    pub(crate) db: DatabaseConnection,
}

impl Site {
    /// With an up-to-date schema, and a configuration of these backends.
    pub(crate) async fn new(stack: TestStack, active: &str, backends: &str) -> Self {
        let site = Self::as_it_is(stack, active, backends).await;
        database::migrate(&site.db).await.unwrap();
        site
    }

    /// The same, with the schema that the database has.
    pub(crate) async fn as_it_is(stack: TestStack, active: &str, backends: &str) -> Self {
        let config = DatabaseConfig { ..stack.config() };
        let db = database::connect(&config).await.unwrap();
        let site = Self { stack, sandbox: Sandbox::new(), db };
        site.configure(active, backends)
    }

    /// On a key file of its own, which the backend that is given reads, too.
    pub(crate) async fn on_local_keys(stack: TestStack) -> (Self, LocalBackend) {
        let site = Self::new(stack, "local", &local_backend("local")).await;
        let file = KeyFile::create(&site.sandbox.path("data/local.toml")).unwrap();
        (site, LocalBackend::new("local", &file))
    }

    /// With another configuration, as after a change of the files.
    pub(crate) fn configure(mut self, active: &str, backends: &str) -> Self {
        let profile = format!(
            "[auth]\nmode = \"off\"\n[limits]\nrequests_per_second_per_address = 0\n\
             requests_per_second_per_token = 0\nlooks_per_second_per_token = 0\n[database]\nurl = \"{}\"\nmigrate_on_start = true\n[keys]\nactive = \"{active}\"\n\
             [keys.cache]\ntime_to_live = \"1s\"\ntime_to_idle = \"1s\"\nrefresh_ahead = \"0s\"\n{backends}",
            self.stack.url()
        );
        self.sandbox = self.sandbox.with_profile("site", &profile);
        self
    }

    /// Whether any file of the SQLite database contains `needle`. In copies that another process makes: whoever closes a file gives up all
    /// locks that its process holds on it, those of SQLite's connections too.
    pub(crate) fn files_contain(&self, needle: &[u8]) -> bool {
        let copies = TempDir::new().unwrap();
        let status =
            Command::new("cp").arg("-r").arg(self.stack.folder()).arg(copies.path()).status().unwrap();
        assert!(status.success());
        files_contain(copies.path(), needle)
    }

    /// Runs a command that prints JSON lines, and gives the last of them.
    pub(crate) fn result(&self, arguments: &[&str]) -> (Finished, Value) {
        let finished = self.sandbox.admin(arguments);
        let last = finished.stdout.lines().last().unwrap_or_else(|| panic!("{}", finished.stderr));
        let result = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
        (finished, result)
    }

    /// Runs a command that must succeed, and gives the last JSON line.
    pub(crate) fn done(&self, arguments: &[&str]) -> Value {
        let (finished, result) = self.result(arguments);
        assert_eq!(finished.status, Some(0), "{arguments:?}: {} {}", finished.stdout, finished.stderr);
        result
    }

    /// The same, while other things go on in this task.
    pub(crate) async fn done_beside(&self, arguments: &[&str]) -> Value {
        let mut command = self.sandbox.admin_command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }

    /// Opens everything of everybody, in a process of its own.
    pub(crate) fn verify(&self, users: usize) {
        let verified = self.done(&["keys", "verify", "--json"]);
        assert_eq!(verified["faults"], 0, "{verified}");
        assert_eq!(verified["users"], users, "{verified}");
        assert_eq!(verified["attributes"], 2 * users, "{verified}");
    }

    /// The rows of `users`, as they are stored.
    pub(crate) async fn user_rows(&self) -> Vec<oubliette::entity::user::Model> {
        use oubliette::entity::user::{Column, Entity};
        Entity::find().order_by_asc(Column::Id).all(&self.db).await.unwrap()
    }

    pub(crate) async fn data_keys(&self) -> Vec<oubliette::entity::data_key::Model> {
        use oubliette::entity::data_key::{Column, Entity};
        Entity::find().order_by_asc(Column::SubjectId).all(&self.db).await.unwrap()
    }
}

/// A backend on a key file, `data/NAME.toml`.
pub(crate) fn local_backend(name: &str) -> String {
    format!("[keys.backends.{name}]\nkind = \"local\"\nfile = \"data/{name}.toml\"\n")
}

/// A backend on LocalStack, through a proxy. Its context is that of the harness's own backends.
pub(crate) fn kms_backend(name: &str, arn: &str, proxy: &KmsProxy) -> String {
    format!(
        "[keys.backends.{name}]\nkind = \"aws-kms\"\nkey_id = \"{arn}\"\nregion = \"us-east-1\"\n\
         endpoint_url = \"{}\"\ncredentials = \"test\"\nattempt_timeout = \"20s\"\n\
         [keys.backends.{name}.context]\napp = \"oubliette-tests\"\n",
        proxy.endpoint()
    )
}

pub(crate) async fn kms_proxy() -> KmsProxy {
    KmsProxy::start(localstack().endpoint()).await
}
