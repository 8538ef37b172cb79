//! Several processes that migrate one database at the same time.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::Arc,
};

use futures::future::join_all;
use migration::{Migrator, MigratorTrait};
use oubliette::{database, keys::local::KeyFile};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tokio::sync::Barrier;

use crate::harness::{
    Finished, Person, Sandbox, TestStack, local_backend, log_everything, on_both_databases, soon,
};

on_both_databases!(
    all_that_migrate_at_once_succeed,
    nobody_is_too_early,
    whoever_waits_for_long_says_so,
    a_server_that_waits_can_be_stopped,
);

const AT_ONCE: usize = 6;

const WAITS: &str = "another process migrates the database's schema; its end is waited for";

fn sandbox(stack: &TestStack) -> Sandbox {
    log_everything();
    let profile = format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"{}\"\nmigrate_on_start = true\n[keys]\nactive = \"local\"\n{}",
        stack.url(),
        local_backend("local")
    );
    let sandbox = Sandbox::new().with_profile("migrating", &profile);
    KeyFile::create(&sandbox.path("data/local.toml")).unwrap();
    sandbox
}

/// `oubliette-admin migrate`, which is running when this returns.
fn migrate(sandbox: &Sandbox) -> impl Future<Output = Finished> {
    let mut command = sandbox.admin_command(&["migrate"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    async {
        let output = ended.await.unwrap();
        Finished {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

async fn all_that_migrate_at_once_succeed(stack: TestStack) {
    let all = Migrator::migrations().len();
    for done_before in [0, 4, all - 1] {
        let stack = if stack.is_postgres() { TestStack::postgres() } else { TestStack::sqlite() };
        if done_before > 0 {
            let db = database::connect(&stack.config()).await.unwrap();
            Migrator::up(&db, u32::try_from(done_before).ok()).await.unwrap();
            db.close().await.unwrap();
        }
        let sandbox = sandbox(&stack);
        let commands: Vec<_> = (0..AT_ONCE).map(|_| migrate(&sandbox)).collect();
        let servers = join_all((0..3).map(|_| sandbox.start()));
        let (ended, servers) = tokio::join!(join_all(commands), servers);
        let mut made = HashSet::new();
        for Finished { status, stdout, stderr } in ended {
            let says_nothing_else = stderr.lines().all(|line| line == WAITS);
            assert!(says_nothing_else && status == Some(0), "{done_before} were done before: {stderr}");
            for line in stdout.lines().filter(|line| *line != "the schema is up to date") {
                assert!(line.starts_with("migrated ") && made.insert(line.to_owned()), "{line} twice");
            }
        }
        assert!(made.len() <= all - done_before, "{made:?}");
        for server in &servers {
            let person = Person::new();
            let id = server.create(&person).await;
            assert_eq!(server.read(&id).await["data"]["user"]["email"], person.email);
        }
        assert_eq!(sandbox.admin_ok(&["migrate"]), "the schema is up to date\n");
    }
}

/// A database that is empty is opened by all in the same moment, and the table with the lock is made by all.
async fn nobody_is_too_early(stack: TestStack) {
    for _ in 0..10 {
        let stack = if stack.is_postgres() { TestStack::postgres() } else { TestStack::sqlite() };
        let (opened, config) = (Arc::new(Barrier::new(AT_ONCE)), stack.config());
        let migrating = (0..AT_ONCE).map(|_| {
            let (opened, config) = (opened.clone(), config.clone());
            tokio::spawn(async move {
                opened.wait().await;
                // Who does not come that far must not keep the others waiting.
                let db = database::connect(&config).await;
                opened.wait().await;
                let db = db.unwrap();
                let made = database::migrate(&db).await.unwrap();
                db.close().await.unwrap();
                made.len()
            })
        });
        let made = join_all(migrating).await.into_iter().map(Result::unwrap).sum::<usize>();
        assert_eq!(made, Migrator::migrations().len());
    }
}

async fn whoever_waits_for_long_says_so(stack: TestStack) {
    let db = database::connect(&stack.config()).await.unwrap();
    Migrator::up(&db, Some(4)).await.unwrap();
    let sandbox = sandbox(&stack);
    let lock = hold(&db).await;
    let mut command = sandbox.admin_command(&["migrate"]);
    let mut waiting = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || said.next()).await.unwrap();
    assert_eq!(first.unwrap().unwrap(), WAITS);
    lock.rollback().await.unwrap();
    let ended = tokio::task::spawn_blocking(|| waiting.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    let made = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(made.lines().count(), Migrator::migrations().len() - 4);
}

async fn a_server_that_waits_can_be_stopped(stack: TestStack) {
    let db = database::connect(&stack.config()).await.unwrap();
    Migrator::up(&db, Some(4)).await.unwrap();
    let sandbox = sandbox(&stack);
    let lock = hold(&db).await;
    let mut server = sandbox.spawn(&[]);
    soon("it says that it waits", async || server.log().contains(WAITS)).await;
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0), "{}", server.log());
    lock.rollback().await.unwrap();
}

/// The lock that a migration holds.
async fn hold(db: &DatabaseConnection) -> sea_orm::DatabaseTransaction {
    let options = sea_orm::TransactionOptions {
        sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    if db.get_database_backend() == DbBackend::Sqlite {
        return db.begin_with_options(options).await.unwrap();
    }
    for sql in [
        "CREATE TABLE migration_turn (id smallint NOT NULL PRIMARY KEY)",
        "INSERT INTO migration_turn (id) VALUES (1)",
    ] {
        db.execute_unprepared(sql).await.unwrap();
    }
    let lock = db.begin().await.unwrap();
    let sql = "SELECT id FROM migration_turn FOR UPDATE";
    lock.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    lock
}
