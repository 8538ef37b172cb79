//! What the tests stand on: databases, servers, people, a key backend that counts and fails on cue.

mod app;
mod attributes;
mod authority;
mod backend;
mod client;
mod kms_proxy;
mod localstack;
mod logs;
mod ministack;
mod person;
mod pgbouncer;
mod population;
pub(crate) mod postgres;
mod process;
mod prometheus;
mod proxy;
mod raw_connection;
mod site;
mod size;
mod small_disk;
mod soon;
mod stack;
mod standby;
mod visits;

pub(crate) use app::TestApp;
pub(crate) use attributes::{ATTRIBUTES, declared};
pub(crate) use authority::{Authority, Pair};
pub(crate) use backend::TestBackend;
pub(crate) use kms_proxy::{Fault, KmsProxy};
pub(crate) use localstack::localstack;
pub(crate) use logs::{log_everything, remember_personal_values, server_log};
pub(crate) use ministack::Ministack;
pub(crate) use person::{EMAIL, EMAIL_MARK, PHONE, PHONE_MARK, Person, change_of_email, change_of_phone};
pub(crate) use pgbouncer::PgBouncer;
pub(crate) use population::populate;
pub(crate) use process::{Finished, Sandbox, Server, finish};
pub(crate) use prometheus::{Prometheus, prometheus_command};
pub(crate) use proxy::Proxy;
pub(crate) use raw_connection::RawConnection;
pub(crate) use site::{Site, kms_backend, kms_proxy, local_backend};
pub(crate) use size::{is_long, sized};
pub(crate) use small_disk::small_disk;
pub(crate) use soon::soon;
pub(crate) use stack::TestStack;
pub(crate) use standby::Replicated;
pub(crate) use visits::{Note, add_visit, create_visits, notes, registry_with_visits};

/// Runs each of these tests on local keys and SQLite, on local keys and PostgreSQL, and on LocalStack and
/// PostgreSQL. A test takes a fresh [`TestStack`].
macro_rules! on_every_stack {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestStack::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestStack::postgres()).await;
            })+
        }
        mod on_localstack {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestStack::localstack()).await;
            })+
        }
    };
}
pub(crate) use on_every_stack;

/// Runs each of these tests on SQLite and on PostgreSQL: those that a key backend does not matter to.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestStack::sqlite()).await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::harness::TestStack::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_both_databases;
