//! What the tests stand on: databases, servers, people, a key backend that counts and fails on cue.

mod app;
mod backend;
mod database;
mod logs;
mod person;
#[expect(dead_code, reason = "the load bench uses the rest")]
pub(crate) mod postgres;
mod process;
mod proxy;
mod raw_connection;

pub(crate) use app::TestApp;
pub(crate) use backend::TestBackend;
pub(crate) use database::TestDatabase;
pub(crate) use logs::{log_everything, server_log};
pub(crate) use person::{EMAIL_MARK, PHONE_MARK, Person};
pub(crate) use process::{Sandbox, Server, finish};
pub(crate) use proxy::Proxy;
pub(crate) use raw_connection::RawConnection;

/// Runs each of these tests on SQLite and on PostgreSQL. A test takes a fresh [`TestDatabase`].
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestDatabase::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestDatabase::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
