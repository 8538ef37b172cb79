//! A database that an old release wrote: migrated, opened, verified, rotated and forgotten by this one.
//!
//! `tests/fixtures/41bfe0e/README.md` tells what is in it, and how it was made.

mod key_changes;
mod records;
mod search;
mod sink;
mod values;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use migration::{Migrator, MigratorTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::harness::{Server, Site, TestStack, local_backend};

/// Migrations that the old release has.
const BEFORE: usize = 6;

const USERS: usize = 8;
/// Their e-mail addresses and phone numbers.
const ATTRIBUTES: usize = 10;
const FORGOTTEN: u64 = 2;
/// Data keys that the old release moved to the second wrapping key, or made under it.
const UNDER_SECOND: usize = 4;

/// The database, migrated, with its key file.
struct Old {
    site: Site,
    expected: Expected,
}

/// What the old release said.
#[derive(Deserialize)]
struct Expected {
    users: Vec<OldUser>,
    forgotten: Vec<Receipt>,
    token: String,
    audit_head: String,
    ledger_head: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldUser {
    id: String,
    username: String,
    email: Option<String>,
    phone: Option<String>,
    created_at: String,
    updated_at: String,
    /// Of the data key.
    version: i32,
    #[serde(rename = "kek_id")]
    kek_id: String,
    sha256: Stored,
}

/// SHA-256 of what is stored.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Stored {
    email: Option<String>,
    phone: Option<String>,
    wrapped: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    username: String,
    user_id: String,
    erased_at: String,
    sequence: u64,
    digest: String,
}

/// A data key, as it is stored.
struct Key {
    version: i32,
    kek_id: String,
}

impl Old {
    async fn migrated(stack: TestStack) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/41bfe0e");
        let name = if stack.is_postgres() { "postgres" } else { "sqlite" };
        let text = fs::read_to_string(folder.join("expected.json")).unwrap();
        let expected = serde_json::from_str::<Value>(&text).unwrap()[name].take();
        let expected: Expected = serde_json::from_value(expected).unwrap();
        assert_eq!(expected.users.len(), USERS);

        stack.restore(&folder);
        let site = Site::as_it_is(stack, "local", &local_backend("local")).await;
        let keys = site.sandbox.path("data/local.toml");
        fs::create_dir_all(keys.parent().unwrap()).unwrap();
        fs::copy(folder.join("keys.toml"), &keys).unwrap();
        fs::set_permissions(&keys, Permissions::from_mode(0o600)).unwrap();

        let migrations = Migrator::migrations();
        let made: String =
            migrations[BEFORE..].iter().map(|made| format!("migrated {}\n", made.name())).collect();
        assert_eq!(site.sandbox.admin_ok(&["migrate"]), made);
        Self { site, expected }
    }

    fn user(&self, username: &str) -> &OldUser {
        self.expected.users.iter().find(|user| user.username == username).unwrap()
    }

    /// What is stored of a user; `None` if nothing is.
    async fn stored(&self, id: &str) -> Option<(Stored, Key)> {
        let id: Uuid = id.parse().unwrap();
        let row = self.site.user_rows().await.into_iter().find(|row| row.id == id);
        let mut keys = self.site.data_keys().await;
        keys.retain(|key| key.subject_id == id);
        let Some(row) = row else {
            assert!(keys.is_empty(), "data keys of nobody");
            return None;
        };
        assert_eq!(keys.len(), 1);
        let stored = Stored {
            email: row.email.map(|email| sha256(email.as_bytes())),
            phone: row.phone.map(|phone| sha256(phone.as_bytes())),
            wrapped: sha256(&keys[0].wrapped),
        };
        Some((stored, Key { version: keys[0].version, kek_id: keys[0].kek_id.clone() }))
    }

    /// Everything of everybody opens, by the API and by the command.
    async fn all_opens(&self, server: &Server) {
        for user in &self.expected.users {
            user.opens(server).await;
        }
        self.verified(USERS, ATTRIBUTES);
    }

    fn verified(&self, users: usize, attributes: usize) {
        let verified = self.site.done(&["keys", "verify", "--json"]);
        let counts = ["users", "data_keys", "attributes", "faults"].map(|count| &verified[count]);
        assert_eq!(counts, [users, users, attributes, 0].map(|count| json!(count)).each_ref(), "{verified}");
    }
}

impl OldUser {
    async fn opens(&self, server: &Server) {
        let query = "query($id: ID!) { user(id: $id) { id username email phone createdAt updatedAt } }";
        let answer = server.try_graphql(query, json!({ "id": self.id })).await.unwrap();
        let expected = json!({
            "id": self.id, "username": self.username, "email": self.email, "phone": self.phone,
            "createdAt": self.created_at, "updatedAt": self.updated_at,
        });
        assert_eq!(answer, json!({ "data": { "user": expected } }));
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
