//! `keys verify`: finds what does not open, whatever happened to it.

use oubliette::entity::{data_key, user};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{Site, TestStack, on_both_databases, populate};

on_both_databases!(all_that_does_not_open_is_found, a_sample_is_some_of_all, nobody_is_well,);

async fn all_that_does_not_open_is_found(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    // More than one page.
    let people = populate(&site.db, &backend, 700).await;
    site.verify(700);
    let rows = site.user_rows().await;
    let row = |id: Uuid| rows.iter().find(|row| row.id == id).unwrap();
    let [swapped, cut, other_kek, keyless, corrupt] = [3, 600, 601, 602, 699].map(|number| people[number].0);

    // Somebody else's address.
    set(&site, swapped, user::Column::Email, row(cut).email.clone()).await;
    // The end of a phone number is gone.
    let phone = row(cut).phone.as_ref().unwrap().as_bytes();
    set(&site, cut, user::Column::Phone, Some(phone[..phone.len() - 1].to_vec())).await;
    let of = |id: Uuid| data_key::Column::SubjectId.eq(id);
    let update = data_key::Entity::update_many();
    let kek_id = Expr::value("local:nobody-has-it");
    update
        .clone()
        .col_expr(data_key::Column::KekId, kek_id)
        .filter(of(other_kek))
        .exec(&site.db)
        .await
        .unwrap();
    let mut wrapped =
        site.data_keys().await.into_iter().find(|key| key.subject_id == corrupt).unwrap().wrapped;
    wrapped[40] ^= 1;
    let wrapped = Expr::value(wrapped);
    update.col_expr(data_key::Column::Wrapped, wrapped).filter(of(corrupt)).exec(&site.db).await.unwrap();
    data_key::Entity::delete_many().filter(of(keyless)).exec(&site.db).await.unwrap();

    let (finished, result) = site.result(&["keys", "verify", "--json", "--failures", "found.jsonl"]);
    assert_eq!(finished.status, Some(1));
    let mut found: Vec<_> = site
        .sandbox
        .read("found.jsonl")
        .lines()
        .map(|line| {
            let fault: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| fault[name].as_str().unwrap().to_owned();
            assert!(!text("cause").is_empty());
            (text("subject").parse().unwrap(), text("place"))
        })
        .collect();
    found.sort();
    let mut expected: Vec<(Uuid, String)> = [
        (swapped, &["users.email"][..]),
        (cut, &["users.phone"]),
        (other_kek, &["data_keys/1", "users.email", "users.phone"]),
        (keyless, &["data_keys", "users.email", "users.phone"]),
        (corrupt, &["data_keys/1", "users.email", "users.phone"]),
    ]
    .into_iter()
    .flat_map(|(id, places)| places.iter().map(move |place| (id, (*place).to_owned())))
    .collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!((&result["users"], &result["faults"]), (&700.into(), &expected.len().into()), "{result}");
    assert_eq!(result["data_keys"], 697, "{result}");

    let printed = site.sandbox.admin(&["keys", "verify"]);
    assert_eq!(printed.status, Some(1));
    assert!(printed.stdout.contains("11 DO NOT OPEN:\n"), "{}", printed.stdout);
    assert!(printed.stdout.contains(&format!("users.email of user {swapped}: ")), "{}", printed.stdout);
}

async fn a_sample_is_some_of_all(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    populate(&site.db, &backend, 20).await;
    for (sample, looked_at) in [("7", 7), ("1000", 20)] {
        let verified = site.done(&["keys", "verify", "--json", "--sample", sample]);
        assert_eq!((&verified["users"], &verified["faults"]), (&looked_at.into(), &0.into()), "{verified}");
    }
}

async fn nobody_is_well(stack: TestStack) {
    let (site, _) = Site::on_local_keys(stack).await;
    let verified = site.sandbox.admin_ok(&["keys", "verify"]);
    assert!(verified.starts_with("opened 0 data keys and 0 attributes of 0 users in "), "{verified}");
}

async fn set(site: &Site, id: Uuid, column: user::Column, value: impl Into<sea_orm::Value>) {
    let update = user::Entity::update_many().col_expr(column, Expr::value(value));
    update.filter(user::Column::Id.eq(id)).exec(&site.db).await.unwrap();
}
