//! Connections of the pool that are closed instead of handed out again.

use std::{num::NonZeroU32, sync::Arc};

use oubliette::{
    KeyMetrics,
    access::tokens::{self, NewToken, TokenError},
    audit::{self, Action, NewEvent, Origin},
    config::{DatabaseConfig, KeysConfig},
    database,
    envelope::SubjectId,
    keys::{Backends, Keyring},
    users::{UserChanges, UserError, Users},
};
use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::harness::{Person, TestStack};

/// A pool of one connection to SQLite, which can be told from another one.
struct Marked {
    stack: TestStack,
    db: DatabaseConnection,
    users: Users,
    origin: Origin,
}

impl Marked {
    async fn new() -> Self {
        let stack = TestStack::sqlite();
        let config = DatabaseConfig { max_connections: NonZeroU32::new(1).unwrap(), ..stack.config() };
        let db = database::connect(&config).await.unwrap();
        database::migrate(&db).await.unwrap();
        let backends = Backends::new(
            Arc::new(stack.backend().await),
            Vec::new(),
            &KeysConfig::default(),
            KeyMetrics::default(),
        );
        let keyring = Keyring::new(db.clone(), backends, &KeysConfig::default(), KeyMetrics::default());
        let marked = Self { users: Users::new(db.clone(), keyring), stack, db, origin: Origin::new("test") };
        marked.mark().await;
        marked
    }

    async fn mark(&self) {
        self.db.execute_unprepared("CREATE TEMP TABLE marker (n INT)").await.unwrap();
    }

    /// Whether the connection is still the same.
    async fn is_marked(&self) -> bool {
        self.db.execute_unprepared("DELETE FROM marker").await.is_ok()
    }

    /// From elsewhere.
    async fn sql(&self, sql: &str) {
        let db = database::connect(&self.stack.config()).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
        db.close().await.unwrap();
    }

    async fn create(&self, person: &Person) -> Result<SubjectId, UserError> {
        let new = person.new_user();
        Ok(self.users.create(new, &self.origin).await?.id())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_write_that_failed_the_connection_to_sqlite_is_closed() {
    let marked = Marked::new().await;
    let id = marked.create(&Person::new()).await.unwrap();
    assert!(marked.is_marked().await, "a change that is made closes nothing");
    let token = NewToken {
        name: "t".to_owned(),
        scopes: "users:read".parse().unwrap(),
        subject: None,
        subjects_per_minute: None,
        expires_at: None,
    };
    let (db, origin) = (&marked.db, &marked.origin);
    for what in ["create", "update", "forget", "token", "event"] {
        marked.sql("ALTER TABLE audit_head RENAME TO away").await;
        let failed = match what {
            "create" => marked.create(&Person::new()).await.is_err(),
            "update" => marked.users.update(id, UserChanges::default(), origin).await.is_err(),
            "forget" => marked.users.forget(id, origin).await.is_err(),
            "token" => tokens::create(db, token.clone(), origin).await.is_err(),
            _ => audit::record(db, [&NewEvent::new(origin, Action::Forget)]).await.is_err(),
        };
        marked.sql("ALTER TABLE away RENAME TO audit_head").await;
        assert!(failed, "{what}");
        assert!(!marked.is_marked().await, "{what}: the connection is handed out again");
        marked.mark().await;
    }
    marked.create(&Person::new()).await.unwrap();
    assert!(marked.is_marked().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordinary_refusal_closes_no_connection() {
    let marked = Marked::new().await;
    let (db, origin) = (&marked.db, &marked.origin);
    let person = Person::new();
    marked.create(&person).await.unwrap();
    assert!(matches!(marked.create(&person).await, Err(UserError::UsernameTaken)));
    let nobody = SubjectId::generate();
    assert!(matches!(marked.users.forget(nobody, origin).await, Err(UserError::NotFound(_))));
    let update = marked.users.update(nobody, UserChanges::default(), origin).await;
    assert!(matches!(update, Err(UserError::NotFound(_))));
    assert!(matches!(tokens::revoke(db, "nothing", origin).await, Err(TokenError::Unknown(_))));
    assert!(marked.is_marked().await);
}
