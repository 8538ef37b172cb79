//! The audit trail and the erasure ledger are hash chains: what somebody did to one in the database is found, and where, by the
//! commands that check it.

mod attacks;
mod commands;
mod follow;
mod kind;
mod ledger_export;

use std::{marker::PhantomData, sync::Arc};

use oubliette::keys::local::LocalBackend;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryOrder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use self::kind::{Kind, Row};
use crate::harness::{Site, TestStack};

/// Runs each of these tests on both chains, on SQLite and on PostgreSQL.
macro_rules! on_both_chains {
    ($($test:ident),+ $(,)?) => {
        mod trail {
            use crate::{chains::kind::Trail, harness::{TestStack, on_both_databases}};
            on_both_databases!($($test),+);
            $(async fn $test(stack: TestStack) {
                super::$test::<Trail>(stack).await;
            })+
        }
        mod ledger {
            use crate::{chains::kind::Ledger, harness::{TestStack, on_both_databases}};
            on_both_databases!($($test),+);
            $(async fn $test(stack: TestStack) {
                super::$test::<Ledger>(stack).await;
            })+
        }
    };
}
use on_both_chains;

/// Rows in one statement: SQLite permits 32,766 values.
const TOGETHER: usize = 1000;

/// A chain in a database, and a folder to run commands on it.
struct Chain<K> {
    site: Site,
    backend: Arc<LocalBackend>,
    is_postgres: bool,
    kind: PhantomData<K>,
}

impl<K: Kind> Chain<K> {
    async fn empty(stack: TestStack) -> Self {
        let is_postgres = stack.is_postgres();
        let (site, backend) = Site::on_local_keys(stack).await;
        Self { site, backend: Arc::new(backend), is_postgres, kind: PhantomData }
    }

    /// A sound one of some length, written as servers do.
    async fn of(stack: TestStack, count: usize) -> Self {
        let chain = Self::empty(stack).await;
        chain.grow(count).await;
        assert_eq!(chain.fault(), "nothing");
        chain
    }

    async fn grow(&self, count: usize) {
        K::grow(&self.site, &self.backend, count).await;
    }

    /// What `verify --json` says. Its exit status must agree.
    fn verified(&self, kept: Option<&str>) -> Value {
        let head = kept.map(|kept| format!("--head={kept}"));
        let arguments: Vec<_> = [K::COMMAND, "verify", "--json"].into_iter().chain(head.as_deref()).collect();
        let finished = self.site.sandbox.admin(&arguments);
        let object: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:?}"));
        let status = i32::from(!object["fault"].is_null());
        assert_eq!((finished.status, finished.stderr.as_str()), (Some(status), ""), "{object}");
        object
    }

    /// The first thing that is wrong, as `SEQUENCE PROBLEM`.
    fn fault(&self) -> String {
        fault_in(&self.verified(None))
    }

    /// The same against a head that was kept elsewhere.
    fn fault_against(&self, kept: &str) -> String {
        fault_in(&self.verified(Some(kept)))
    }

    fn head(&self) -> String {
        self.site.sandbox.admin_ok(&[K::COMMAND, "head"]).trim_end().to_owned()
    }

    async fn sql(&self, sql: &str) {
        let sql = sql.replace("ENTRIES", K::ENTRIES).replace("HEAD", K::HEAD);
        self.site.db.execute_unprepared(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A digest of zeros, in SQL.
    fn zeros(&self) -> String {
        let prefix = if self.is_postgres { "'\\x" } else { "x'" };
        format!("{prefix}{}'", "00".repeat(32))
    }

    async fn rows(&self) -> Vec<Row<K>> {
        K::Entity::find().order_by_asc(K::SEQUENCE).all(&self.site.db).await.unwrap()
    }

    async fn insert(&self, rows: Vec<Row<K>>) {
        let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
        while rows.peek().is_some() {
            let some: Vec<_> = rows.by_ref().take(TOGETHER).collect();
            K::Entity::insert_many(some).exec_without_returning(&self.site.db).await.unwrap();
        }
    }

    /// Adds entries with digests that fit, until there are so many: more than servers write in the time of a test.
    async fn lengthen(&self, length: usize) {
        let from = self.rows().await.len();
        self.forge(from, |all| {
            let last = all[from - 1].clone();
            all.extend((from..length).map(|_| K::another(&last)));
        })
        .await;
    }

    /// Writes the chain anew from an index on, with digests that fit: as somebody would who can write to the database.
    async fn forge(&self, from: usize, change: impl FnOnce(&mut Vec<Row<K>>)) {
        let mut all = self.rows().await;
        change(&mut all);
        self.sql("DELETE FROM ENTRIES").await;
        for index in from..all.len() {
            let previous =
                index.checked_sub(1).map_or(vec![0; 32], |before| K::place(&mut all[before]).2.clone());
            let (sequence, previous_digest, _) = K::place(&mut all[index]);
            (*sequence, *previous_digest) = (i64::try_from(index).unwrap() + 1, previous);
            *K::place(&mut all[index]).2 = documented_digest::<K>(&all[index]);
        }
        self.insert(all).await;
        self.move_head("(SELECT max(sequence) FROM ENTRIES)").await;
    }

    /// Puts the head at an entry, in SQL.
    async fn move_head(&self, sequence: &str) {
        let digest = format!("(SELECT digest FROM ENTRIES WHERE sequence = {sequence})");
        self.sql(&format!("UPDATE HEAD SET sequence = {sequence}, digest = {digest}")).await;
    }
}

/// As the documentation says it, not as the code does.
fn documented_digest<K: Kind>(row: &Row<K>) -> Vec<u8> {
    Sha256::digest(K::documented_text(row)).to_vec()
}

fn fault_in(verified: &Value) -> String {
    let Some(fault) = verified["fault"].as_object() else { return "nothing".to_owned() };
    assert_eq!(fault.len(), 3, "{verified}");
    format!("{} {}", fault["sequence"], fault["problem"].as_str().unwrap())
}

/// What `verify --json` says of a sound chain.
fn sound<K: Kind>(count: i64, head: &str) -> Value {
    json!({ K::NAMES[1]: count, "head": head, "fault": null })
}
