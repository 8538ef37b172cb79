//! The batch writer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use oubliette::{
    audit::{self, Action, AuditMetrics, NewEvent, Origin, Outcome, Trail},
    config::{AuditReads, DatabaseConfig},
    database,
};
use prometheus_client::registry::Registry;
use sea_orm::DatabaseConnection;
use uuid::Uuid;

use super::{events, fault, migrated, reads, trail};
use crate::harness::{Person, Proxy, TestApp, TestStack, on_both_databases};

on_both_databases!(
    what_is_recorded_durably_is_there,
    what_is_recorded_soon_is_there_soon,
    closing_writes_what_waits,
    the_mode_decides_whether_reads_wait,
    no_text_can_pass_for_two_lines,
    no_subject_passes_for_none,
    servers_and_changes_share_one_chain,
);

async fn what_is_recorded_durably_is_there(stack: TestStack) {
    let db = migrated(&stack).await;
    let trail = trail(&db);
    for count in [1, 3, 10_000] {
        let before = events(&db).await.len();
        trail.record_durably(&reads("ada", count)).await.unwrap();
        assert_eq!(events(&db).await.len(), before + count);
    }
    trail.record_durably(&[]).await.unwrap();
    assert_eq!(fault(&db).await, None);
}

async fn what_is_recorded_soon_is_there_soon(stack: TestStack) {
    let db = migrated(&stack).await;
    let trail = trail(&db);
    trail.record_soon(&reads("ada", 5));
    assert_eq!(events(&db).await.len(), 0, "nobody waits for it");
    let started = Instant::now();
    while events(&db).await.len() < 5 {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Who waits takes along what does not.
    trail.record_soon(&reads("ada", 5));
    trail.record_durably(&reads("bob", 1)).await.unwrap();
    assert_eq!(events(&db).await.len(), 11);
}

async fn closing_writes_what_waits(stack: TestStack) {
    let db = migrated(&stack).await;
    let trail = trail(&db);
    for actor in 0..20 {
        trail.record_soon(&reads(&actor.to_string(), 1000));
    }
    trail.close().await;
    assert_eq!(events(&db).await.len(), 20_000);
    trail.record_soon(&reads("ada", 1));
    assert!(trail.record_durably(&reads("ada", 1)).await.is_err());
    trail.close().await;
    assert_eq!(events(&db).await.len(), 20_000);
    assert_eq!(fault(&db).await, None);
}

async fn the_mode_decides_whether_reads_wait(stack: TestStack) {
    let db = migrated(&stack).await;
    for (mode, at_once, in_the_end) in
        [(AuditReads::Required, 1, 1), (AuditReads::BestEffort, 1, 2), (AuditReads::Off, 2, 2)]
    {
        let trail = Trail::start(db.clone(), mode, Duration::from_secs(10), AuditMetrics::default());
        trail.record_reads(&reads("ada", 1)).await.unwrap();
        assert_eq!(events(&db).await.len(), at_once, "{mode:?}");
        trail.close().await;
        assert_eq!(events(&db).await.len(), in_the_end, "{mode:?}");
    }
}

async fn no_text_can_pass_for_two_lines(stack: TestStack) {
    let db = migrated(&stack).await;
    let origin = Origin::new(&format!("a\nb\0c\u{85}{}", "ä".repeat(300))).in_request("r\r\n1");
    let event = NewEvent::new(&origin, Action::KeyRewrap).target("t\n");
    trail(&db).record_durably(&[event]).await.unwrap();
    let stored = events(&db).await.remove(0);
    assert_eq!(stored.actor, format!("a b c {}", "ä".repeat(249)));
    assert_eq!(stored.request_id.as_deref(), Some("r  1"));
    assert_eq!(stored.target.as_deref(), Some("t "));
    assert_eq!(fault(&db).await, None);
}

/// A caller may ask for any id, and what they asked for is recorded as it was.
async fn no_subject_passes_for_none(stack: TestStack) {
    let db = migrated(&stack).await;
    let refused = |action| NewEvent::new(&Origin::new("ada"), action).outcome(Outcome::Denied);
    let nil = refused(Action::Update).about(Uuid::nil().into());
    trail(&db).record_durably(&[nil, refused(Action::Create)]).await.unwrap();
    let subjects: Vec<_> = events(&db).await.into_iter().map(|event| event.subject_id).collect();
    assert_eq!(subjects, [Some(Uuid::nil()), None]);
    assert_eq!(fault(&db).await, None);
}

async fn servers_and_changes_share_one_chain(stack: TestStack) {
    let app = TestApp::start(stack).await;
    let mut trails = Vec::new();
    for _ in 0..2 {
        trails.push(trail(&database::connect(&app.database.config()).await.unwrap()));
    }
    let durable = trails.iter().flat_map(|trail| {
        (0..4).map(async |task| {
            for _ in 0..25 {
                trail.record_durably(&reads(&format!("task-{task}"), 7)).await.unwrap();
                trail.record_soon(&reads("soon", 3));
            }
        })
    });
    let changes = (0..6).map(async |_| {
        for _ in 0..8 {
            let id = app.create(&Person::new()).await;
            app.forget(id).await;
        }
    });
    tokio::join!(join_all(durable), join_all(changes));
    for trail in trails {
        trail.close().await;
    }
    let stored = events(&app.db).await;
    assert_eq!(stored.len(), 2 * 4 * 25 * (7 + 3) + 6 * 8 * 2);
    assert_eq!(fault(&app.db).await, None);
}

#[tokio::test]
async fn whoever_writes_alone_asks_for_no_lock() {
    let stack = TestStack::postgres();
    let other = migrated(&stack).await;
    let mut db = database::connect(&stack.config()).await.unwrap();
    let locks = Arc::new(AtomicUsize::new(0));
    let counted = locks.clone();
    db.set_metric_callback(move |info| {
        counted.fetch_add(info.statement.sql.matches("FOR UPDATE").count(), Relaxed);
    });
    let trail = trail(&db);
    let mut batches = 0;
    // It learns in two batches that nobody else writes; and once somebody does, it has to learn it again.
    for (others, expected) in [(0, 2), (1, 4), (1, 6)] {
        for event in reads("bob", others) {
            audit::record(&other, [&event]).await.unwrap();
        }
        for _ in 0..5 {
            trail.record_durably(&reads("ada", 3)).await.unwrap();
            batches += 1;
        }
        assert_eq!(locks.load(Relaxed), expected);
    }
    assert_eq!(events(&other).await.len(), batches * 3 + 2);
    assert_eq!(fault(&other).await, None);
}

/// PostgreSQL behind something that can be cut.
async fn behind_a_proxy() -> (TestStack, DatabaseConnection, Proxy) {
    let stack = TestStack::postgres();
    migrated(&stack).await;
    let (proxy, url) = stack.behind_a_proxy().await;
    let config =
        DatabaseConfig { url: Some(url.into()), connect_timeout: Duration::from_secs(1), ..stack.config() };
    let db = database::connect(&config).await.unwrap();
    (stack, db, proxy)
}

/// A metric's value, as `/metrics` shows it.
fn metric(metrics: &AuditMetrics, line: &str) -> u64 {
    let mut registry = Registry::with_prefix("oubliette");
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

/// Most requests look at nothing, and are refused nothing.
#[tokio::test]
async fn nothing_to_record_writes_nothing() {
    let db = migrated(&TestStack::sqlite()).await;
    let metrics = AuditMetrics::default();
    let trail = Trail::start(db, AuditReads::Required, Duration::from_secs(10), metrics.clone());
    trail.record_soon(&[]);
    trail.record_reads(&[]).await.unwrap();
    trail.close().await;
    assert_eq!(metric(&metrics, "oubliette_audit_batches_total{outcome=\"ok\"} "), 0);
}

#[tokio::test]
async fn a_lost_database_fails_whoever_waits_and_loses_nothing_that_fits() {
    let (_stack, db, proxy) = behind_a_proxy().await;
    let metrics = AuditMetrics::default();
    let patience = Duration::from_secs(3);
    let trail = Trail::start(db.clone(), AuditReads::Required, patience, metrics.clone());
    trail.record_durably(&reads("before", 1)).await.unwrap();

    proxy.cut();
    trail.record_soon(&reads("soon", 7));
    let waiting = (0..50).map(async |_| {
        let started = Instant::now();
        let refused = trail.record_durably(&reads("lost", 1)).await;
        (refused, started.elapsed())
    });
    for (refused, took) in join_all(waiting).await {
        assert!(refused.is_err());
        assert!(took < patience + Duration::from_secs(1), "{took:?}");
    }
    assert_eq!(metric(&metrics, "oubliette_audit_waiting "), 7);
    assert!(metric(&metrics, "oubliette_audit_batches_total{outcome=\"failed\"} ") > 0);

    proxy.restore();
    let started = Instant::now();
    while trail.record_durably(&reads("after", 1)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    trail.close().await;
    let actors: Vec<_> = events(&db).await.into_iter().map(|event| event.actor).collect();
    let of = |name: &str| actors.iter().filter(|actor| *actor == name).count();
    assert_eq!((of("before"), of("soon"), of("after")), (1, 7, 1), "{actors:?}");
    assert_eq!(
        (metric(&metrics, "oubliette_audit_waiting "), metric(&metrics, "oubliette_audit_dropped_total ")),
        (0, 0)
    );
    assert_eq!(fault(&db).await, None);
}

#[tokio::test]
async fn a_database_that_hangs_holds_nobody_up() {
    let (_stack, db, proxy) = behind_a_proxy().await;
    let patience = Duration::from_millis(700);
    let trail = Trail::start(db.clone(), AuditReads::Required, patience, AuditMetrics::default());
    proxy.stall();
    let started = Instant::now();
    assert!(trail.record_durably(&reads("ada", 1)).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    proxy.restore();
    while trail.record_durably(&reads("ada", 1)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(fault(&db).await, None);
}

#[tokio::test]
async fn a_server_that_stops_while_the_database_hangs_takes_no_more_events() {
    let (_stack, db, proxy) = behind_a_proxy().await;
    let metrics = AuditMetrics::default();
    let patience = Duration::from_secs(1);
    let trail = Trail::start(db, AuditReads::BestEffort, patience, metrics.clone());
    trail.record_durably(&reads("ada", 1)).await.unwrap();
    proxy.stall();
    trail.record_soon(&reads("ada", 5));
    // Now they are being written.
    tokio::time::sleep(Duration::from_millis(500)).await;
    trail.close().await;
    assert_eq!(metric(&metrics, "oubliette_audit_dropped_total "), 5);
    let started = Instant::now();
    trail.record_soon(&reads("ada", 2));
    assert!(trail.record_durably(&reads("ada", 1)).await.is_err());
    assert!(started.elapsed() < patience / 2, "{:?}", started.elapsed());
    assert_eq!(metric(&metrics, "oubliette_audit_dropped_total "), 7);
    assert_eq!(metric(&metrics, "oubliette_audit_waiting "), 0);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let (_stack, db, proxy) = behind_a_proxy().await;
    let metrics = AuditMetrics::default();
    let trail = Trail::start(db.clone(), AuditReads::BestEffort, Duration::from_secs(1), metrics.clone());
    proxy.cut();
    for _ in 0..20 {
        trail.record_reads(&reads("ada", 1000)).await.unwrap();
    }
    let dropped = || metric(&metrics, "oubliette_audit_dropped_total ");
    assert_eq!(metric(&metrics, "oubliette_audit_waiting ") + dropped(), 20_000);
    assert_eq!(dropped(), 4000, "one actor may have a quarter of the room");
    // The others' events still find room.
    trail.record_reads(&reads("bob", 1000)).await.unwrap();
    assert_eq!(dropped(), 4000);

    // What waits was only late.
    proxy.restore();
    let started = Instant::now();
    while metric(&metrics, "oubliette_audit_waiting ") > 0 {
        assert!(started.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(metric(&metrics, "oubliette_audit_events_total "), 17_000);
    assert_eq!(events(&db).await.len(), 17_000);
    assert_eq!(fault(&db).await, None);

    // What is still waiting when the server stops without a database is lost, and counted.
    proxy.cut();
    trail.record_reads(&reads("ada", 1000)).await.unwrap();
    trail.close().await;
    assert_eq!(dropped(), 5000);
}
