use std::num::NonZeroU32;

use oubliette::{causes, config::DatabaseConfig, database};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::harness::{Authority, Pair, Sandbox, postgres::Postgres};

/// Has PostgreSQL speak TLS.
fn secure(postgres: &Postgres, pair: &Pair) {
    // Its files must be its own, and the key nobody else's to read.
    for (name, text) in [("server.crt", &pair.certificate), ("server.key", &pair.key)] {
        let path = postgres.data_dir().join(name);
        let program = format!("umask 077; cat >{}", path.display());
        let text = text.trim_end().replace('\n', "', '");
        postgres.psql("postgres", &format!("COPY (SELECT unnest(ARRAY['{text}'])) TO PROGRAM '{program}'"));
    }
    postgres.psql("postgres", "ALTER SYSTEM SET ssl = on");
    postgres.psql("postgres", "SELECT pg_reload_conf()");
}

fn config(url: String) -> DatabaseConfig {
    DatabaseConfig { url: Some(url.into()), max_connections: NonZeroU32::MIN, ..DatabaseConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_must_prove_who_it_is() {
    let (authority, other, sandbox) = (Authority::new(), Authority::new(), Sandbox::new());
    let postgres = Postgres::launch();
    secure(&postgres, &authority.issue(&["127.0.0.1"]));
    sandbox.write("ca.pem", &authority.pem());
    sandbox.write("other.pem", &other.pem());
    let url = |mode: &str, host: &str, ca: &str| {
        let url = postgres.url("postgres").replace("127.0.0.1", host);
        format!("{url}?sslmode={mode}&sslrootcert={}", sandbox.path(ca).display())
    };

    // `verify-ca` asks for no name.
    for (mode, host) in [("verify-full", "127.0.0.1"), ("verify-ca", "127.0.0.1"), ("verify-ca", "localhost")]
    {
        let db = database::connect(&config(url(mode, host, "ca.pem"))).await.unwrap();
        let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
        assert!(row.try_get::<bool>("", "ssl").unwrap(), "{mode} {host}");
    }

    for (mode, host, ca) in [
        ("verify-full", "127.0.0.1", "other.pem"),
        ("verify-full", "localhost", "ca.pem"),
        ("verify-ca", "127.0.0.1", "other.pem"),
    ] {
        let error = database::connect(&config(url(mode, host, ca))).await.unwrap_err();
        let error = causes::line(&error);
        assert!(error.contains("certificate"), "{mode} {host} {ca}: {error}");
    }
}

#[test]
fn in_the_profile_aws_an_unverified_database_is_refused() {
    for (url, accepted) in [
        ("postgres://ada:s3cr3t-pa55@db.example.com/x", false),
        ("postgres://ada:s3cr3t-pa55@db.example.com/x?sslmode=require", false),
        ("postgres://ada:s3cr3t-pa55@db.example.com/x?sslmode=verify-full&sslrootcert=/ca.pem", true),
        ("postgres://ada:s3cr3t-pa55@127.0.0.1/x", true),
    ] {
        let sandbox = Sandbox::new().with_env("OUBLIETTE_DATABASE__URL", url);
        let arguments = ["config", "--profile", "aws"];
        if accepted {
            sandbox.admin_ok(&arguments);
            continue;
        }
        let error = sandbox.admin_error(&arguments);
        assert!(error.contains("?sslmode=verify-full&sslrootcert="), "{error}");
        assert!(!error.contains("s3cr3t"), "{error}");
    }
}
