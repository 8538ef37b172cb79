//! A failover below servers: a real streaming standby takes the place of the primary.

use crate::harness::Replicated;

/// What the other tests of this kind depend on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asynchronous_standby_loses_what_it_did_not_receive() {
    let replicated = Replicated::launch("app").await;
    let Replicated { primary, standby, .. } = &replicated;
    primary.psql("app", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    replicated.catch_up();
    replicated.cut_off();
    primary.psql("app", "INSERT INTO t VALUES (2)");
    assert_eq!(standby.psql("app", "SELECT sum(n) FROM t; SELECT pg_is_in_recovery()"), "1\nt");
    replicated.take_over();
    assert_eq!(standby.psql("app", "INSERT INTO t VALUES (4); SELECT sum(n) FROM t"), "5");
    let db = sea_orm::Database::connect(replicated.url("app")).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&db, "INSERT INTO t VALUES (8)").await.unwrap();
    assert_eq!(standby.psql("app", "SELECT sum(n) FROM t"), "13");
}
