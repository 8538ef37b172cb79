//! Machines whose clocks do not agree: what they write down goes by the database's.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use chrono::{TimeDelta, Utc};
use oubliette::{
    access::{
        revocation,
        tokens::{self, NewToken},
    },
    audit::Origin,
    database::Before,
    entity::{access_token, data_key, key_claim},
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect, sea_query::Expr};
use serde_json::Value;

use super::retire::{controls, options, server_on};
use crate::harness::{Person, Sandbox, Site, TestStack, on_both_databases, populate, soon};

on_both_databases!(
    what_claims_to_be_made_later_than_now_is_replaced_too,
    what_was_planned_is_replaced_when_its_time_has_come,
);

const USERS: usize = 40;

/// The JSON lines that a command printed.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Data keys that are to move, of which some are claimed by a run that is under way.
async fn site_to_rewrap(clock: &str, rate: &str) -> (Site, std::process::Child) {
    let (site, backend) = Site::on_local_keys(TestStack::postgres()).await;
    populate(&site.db, &backend, USERS).await;
    site.sandbox.admin_ok(&["keys", "local", "add", "--name", "next"]);
    site.sandbox.admin_ok(&["keys", "local", "promote", "next"]);
    let arguments = ["keys", "rewrap", "--yes", "--json", "--max-rate", rate, "--batch-size", "5"];
    let mut run = site.sandbox.again().with_clock(clock).admin_command(&arguments);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    soon("some are claimed", async || key_claim::Entity::find().count(&site.db).await.unwrap() > 0).await;
    (site, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_run_whose_clock_was_ahead_holds_nobody_up_for_long() {
    let (site, mut run) = site_to_rewrap("+1h", "8").await;
    run.kill().unwrap();
    run.wait().unwrap();
    let mut rotate = site.sandbox.admin_command(&["keys", "rotate", "--all", "--yes", "--json"]);
    let mut rotate = rotate.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while rotate.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(40) {
            rotate.kill().unwrap();
            panic!("it still waits for a run that is dead");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let output = rotate.wait_with_output().unwrap();
    let said = lines(std::str::from_utf8(&output.stdout).unwrap());
    let waiting: Vec<_> = said.iter().filter(|event| event["event"] == "waiting").collect();
    assert_eq!(waiting.len(), 1, "it is told once whom it waits for: {said:?}");
    assert_eq!(waiting[0]["kind"], "rewrap", "{said:?}");
    let result = said.last().unwrap();
    assert_eq!((&result["done"], &result["left"]), (&USERS.into(), &0.into()), "{said:?}");
    site.verify(USERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_clock_is_behind_keeps_what_it_has_claimed() {
    // So slow that it still has some in hand when the other one has done the rest.
    let (site, run) = site_to_rewrap("-1h", "2").await;
    let finished = site.sandbox.admin(&["keys", "rewrap", "--yes"]);
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    let waits = format!("waiting for the rewrap that {} began at 20", site_actor(&site));
    assert!(finished.stderr.contains(&waits), "{}", finished.stderr);
    let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
    let result = lines(std::str::from_utf8(&output.stdout).unwrap()).pop().unwrap();
    assert_eq!((output.status.code(), &result["changed"]), (Some(0), &0.into()), "{result}");
    assert!(result["done"].as_u64() > Some(0), "{result}");
    site.verify(USERS);
}

/// What commands call themselves in records.
fn site_actor(site: &Site) -> String {
    let status: Value = serde_json::from_str(&site.sandbox.admin_ok(&["keys", "status", "--json"])).unwrap();
    status["runs"][0]["actor"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_before_goes_by_the_databases_clock() {
    let (site, _) = Site::on_local_keys(TestStack::postgres()).await;
    let elsewhere = |clock: &str| site.sandbox.again().with_clock(clock);
    let server = elsewhere("+1h").start().await;
    for _ in 0..3 {
        server.create(&Person::new()).await;
    }
    drop(server);
    let create = |sandbox: &Sandbox, name: &str| {
        let scopes = ["tokens", "create", "--scopes", "users:read", "--json", "--name", name];
        let made = sandbox.admin(&scopes);
        assert_eq!(made.status, Some(0), "{}", made.stderr);
    };
    create(&elsewhere("+1h"), "ahead");
    create(&elsewhere("-1h"), "behind");

    let rotate = ["keys", "rotate", "--all", "--yes", "--json"];
    for clock in ["+0h", "-1h", "+1h"] {
        let rotated = elsewhere(clock).admin(&rotate);
        let said = lines(&rotated.stdout);
        assert_eq!(said[0]["ahead"], 0, "{clock}: {said:?}");
        assert_eq!(
            (rotated.status, &said.last().unwrap()["done"]),
            (Some(0), &3.into()),
            "{clock}: {said:?}"
        );
    }

    // An hour ago by its clock, or later than all of them: neither is in the future of the database.
    let before = (Utc::now() - TimeDelta::minutes(30)).to_rfc3339();
    let revoke = |sandbox: &Sandbox, before: &str| {
        sandbox.admin(&["tokens", "revoke", "--yes", "--json", "--all-made-before", before])
    };
    assert_eq!(revoke(&site.sandbox, &before).stdout.trim(), "[]");
    let ahead = (Utc::now() + TimeDelta::minutes(30)).to_rfc3339();
    let refused = revoke(&elsewhere("+1h"), &ahead);
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("--all-made-before is in the future: "), "{}", refused.stderr);
    let refused = elsewhere("+1h").admin(&[&rotate[..], &["--before", &ahead]].concat());
    assert_eq!(refused.status, Some(1));
    assert!(refused.stderr.contains("--before is in the future: "), "{}", refused.stderr);
    let revoked = revoke(&elsewhere("-1h"), &Utc::now().to_rfc3339());
    assert_eq!(
        lines(&revoked.stdout.replace('\n', ""))[0].as_array().unwrap().len(),
        2,
        "{}",
        revoked.stdout
    );
}

/// What is ahead by less than an operator takes to say yes.
async fn what_was_planned_is_replaced_when_its_time_has_come(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 4).await;
    let ahead_by = async |column: data_key::Column, seconds: i64| {
        let later = Utc::now() + TimeDelta::seconds(seconds);
        let update = data_key::Entity::update_many().col_expr(column, Expr::value(later));
        update.exec(&site.db).await.unwrap();
    };
    ahead_by(data_key::Column::CreatedAt, 2).await;
    let ((users, _), origin) = (server_on(&site, "data/local.toml"), Origin::new("a test"));
    let rotate = users.rotate(None, Before::ask(&site.db, None).await.unwrap(), origin.clone());
    assert_eq!((rotate.count().await.unwrap(), rotate.count_ahead().await.unwrap()), (4, 4));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let controls = controls();
    let report = Box::pin(rotate.run(&options(), &controls)).await.unwrap();
    assert_eq!((controls.tally.counts().done, report.left), (4, 0));

    let create = NewToken {
        name: "ahead".to_owned(),
        scopes: "users:read".parse().unwrap(),
        subject: None,
        subjects_per_minute: None,
        expires_at: None,
    };
    tokens::create(&site.db, create, &origin).await.unwrap();
    let later = Utc::now() + TimeDelta::seconds(2);
    let update = access_token::Entity::update_many();
    update.col_expr(access_token::Column::CreatedAt, Expr::value(later)).exec(&site.db).await.unwrap();
    let before = Before::ask(&site.db, None).await.unwrap();
    let found = revocation::made_before(&site.db, &before).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let revoked = revocation::revoke_made_before(&site.db, &before, &found, &origin).await.unwrap();
    assert_eq!((found.len(), revoked.len()), (1, 1));
    site.verify(4);
}

/// As a release before left it that went by its machine's clock.
async fn what_claims_to_be_made_later_than_now_is_replaced_too(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 6).await;
    let ahead = async |column: data_key::Column| {
        let later = Utc::now() + TimeDelta::hours(1);
        let some = data_key::Entity::find().limit(2).all(&site.db).await.unwrap();
        let some = some.into_iter().map(|key| key.subject_id);
        let update = data_key::Entity::update_many().col_expr(column, Expr::value(later));
        update.filter(data_key::Column::SubjectId.is_in(some)).exec(&site.db).await.unwrap();
    };
    ahead(data_key::Column::CreatedAt).await;
    let rotated = site.sandbox.admin(&["keys", "rotate", "--all", "--yes"]);
    assert_eq!(rotated.status, Some(0), "{}", rotated.stderr);
    assert!(
        rotated.stderr.contains("2 of them were made by a server whose clock was ahead"),
        "{}",
        rotated.stderr
    );
    assert!(rotated.stdout.starts_with("replaced 6 data keys"), "{}", rotated.stdout);

    ahead(data_key::Column::RewrappedAt).await;
    let moved = site.done(&["keys", "rewrap", "--all", "--yes", "--json"]);
    assert_eq!((&moved["done"], &moved["left"]), (&6.into(), &0.into()), "{moved}");
    let latest = site.data_keys().await.into_iter().flat_map(|key| [Some(key.created_at), key.rewrapped_at]);
    assert!(latest.flatten().max().unwrap() <= Utc::now(), "they have the right time from now on");
    site.verify(6);
}
