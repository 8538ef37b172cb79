//! `users show` and `users forget`: without the API.

use std::fs;

use oubliette::entity::ledger_rollback;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{EMAIL_MARK, PHONE_MARK, Site, TestStack, on_both_databases, populate};

on_both_databases!(
    a_user_is_shown_masked,
    what_does_not_open_is_said,
    nobody_is_shown_after_the_ledger_went_back,
    forgetting_is_the_same_as_by_the_api,
    forgetting_needs_a_yes_and_no_key,
);

async fn a_user_is_shown_masked(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, person) = populate(&site.db, &backend, 2).await.remove(0);
    let id = id.to_string();
    let show = |flags: &[&str]| site.sandbox.admin_ok(&[&["users", "show", &id], flags].concat());

    let text = show(&[]);
    for shown in [&id, &person.username, "m•••@p•••.example", "+49•••••", ", under local:"]
    {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains(EMAIL_MARK) && !text.contains(PHONE_MARK), "{text}");
    let object: Value = serde_json::from_str(&show(&["--json"])).unwrap();
    assert_eq!((&object["masked"], &object["email"]), (&json!(true), &json!("m•••@p•••.example")));

    let text = show(&["--reveal"]);
    assert!(text.contains(&person.email) && text.contains(&person.phone), "{text}");
    let object: Value = serde_json::from_str(&show(&["--reveal", "--json"])).unwrap();
    let key = &site.data_keys().await[0];
    let expected = json!({
        "id": id, "username": person.username, "masked": false, "email": person.email, "phone": person.phone,
        "errors": [], "created_at": object["created_at"], "updated_at": object["created_at"],
        "data_keys": [{ "version": 1, "kek_id": key.kek_id }],
    });
    assert_eq!(object, expected);

    let nobody = site.sandbox.admin_error(&["users", "show", "019abcde-0000-7000-8000-000000000001"]);
    assert!(
        nobody.contains("there is no user 019abcde-0000-7000-8000-000000000001, and never was"),
        "{nobody}"
    );
    let typo = site.sandbox.admin(&["users", "show", "019abcde"]);
    assert_eq!(typo.status, Some(2));
}

/// Whoever was forgotten in the entries that are gone may be back.
async fn nobody_is_shown_after_the_ledger_went_back(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, person) = populate(&site.db, &backend, 1).await.remove(0);
    let id = id.to_string();
    let rollback = ledger_rollback::Model {
        id: Uuid::now_v7(),
        seen_sequence: 7,
        seen_digest: vec![7; 32],
        found_sequence: 4,
        found_digest: vec![4; 32],
        noticed_at: chrono::Utc::now(),
        noticed_by: "a server".to_owned(),
        adopted_at: None,
        adopted_by: None,
    };
    let insert = ledger_rollback::Entity::insert(rollback.into_active_model().reset_all());
    insert.exec_without_returning(&site.db).await.unwrap();
    for flags in [&[][..], &["--reveal"], &["--json"]] {
        let error = site.sandbox.admin_error(&[&["users", "show", &id], flags].concat());
        assert!(error.contains("the erasure ledger went back: entries 5 to 7 are gone"), "{error}");
        assert!(error.contains("`oubliette-admin ledger status`"), "{error}");
    }
    site.sandbox.admin(&["ledger", "adopt", "--yes"]);
    assert!(site.sandbox.admin_ok(&["users", "show", &id, "--reveal"]).contains(&person.email));
}

/// What needs no key is there.
async fn what_does_not_open_is_said(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, person) = populate(&site.db, &backend, 1).await.remove(0);
    fs::remove_file(site.sandbox.path("data/local.toml")).unwrap();
    let shown = site.sandbox.admin(&["users", "show", &id.to_string()]);
    assert_eq!(shown.status, Some(1));
    assert!(shown.stdout.contains(&person.username), "{}", shown.stdout);
    assert_eq!(shown.stdout.matches("ERROR: ").count(), 2, "{}", shown.stdout);
    assert!(shown.stderr.contains("key file `data/local.toml` does not exist"), "{}", shown.stderr);
}

async fn forgetting_is_the_same_as_by_the_api(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let people = populate(&site.db, &backend, 2).await;
    let (id, other) = (people[0].0.to_string(), people[1].0.to_string());
    let server = site.sandbox.start().await;
    assert_eq!(server.read(&id).await["data"]["user"]["email"], people[0].1.email);

    let forget = ["users", "forget", &id, "--yes", "--json", "--actor", "ticket 4711"];
    let receipt: Value = serde_json::from_str(&site.sandbox.admin_ok(&forget)).unwrap();
    assert_eq!(receipt["user_id"], id);
    // The server has the key in its cache; the row and the ledger are what it goes by.
    assert_eq!(server.read(&id).await["errors"][0]["extensions"]["code"], "FORGOTTEN");
    assert_eq!(server.read(&other).await["data"]["user"]["email"], people[1].1.email);
    let api = server
        .try_graphql(
            "mutation($id: ID!) { forgetUser(id: $id) { userId erasedAt sequence digest } }",
            json!({ "id": id }),
        )
        .await
        .unwrap();
    let api = &api["data"]["forgetUser"];
    for (ours, theirs) in [("user_id", "userId"), ("sequence", "sequence"), ("digest", "digest")] {
        assert_eq!(receipt[ours], api[theirs], "{receipt} {api}");
    }
    let moment = |time: &Value| time.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert_eq!(moment(&receipt["erased_at"]), moment(&api["erasedAt"]));

    assert_eq!(actor(&site, people[0].0).await, "admin:ticket 4711");
    assert_eq!(site.data_keys().await.len(), 1);
    assert_eq!(site.user_rows().await.len(), 1);
    let text = site.sandbox.admin_ok(&["users", "show", &id]);
    assert_eq!(text, site.sandbox.admin_ok(&["users", "forget", &id]), "a second time asks nothing");
    for shown in ["forgotten  ", "sequence   1", receipt["digest"].as_str().unwrap()] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

async fn forgetting_needs_a_yes_and_no_key(stack: TestStack) {
    let (site, backend) = Site::on_local_keys(stack).await;
    let (id, _) = populate(&site.db, &backend, 1).await.remove(0);
    let id = id.to_string();
    fs::remove_file(site.sandbox.path("data/local.toml")).unwrap();
    let refused = site.sandbox.admin(&["users", "forget", &id]);
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("Pass --yes to go ahead"), "{}", refused.stderr);
    assert_eq!((site.user_rows().await.len(), site.data_keys().await.len()), (1, 1));

    let forgotten = site.sandbox.admin(&["users", "forget", &id, "--yes"]);
    assert_eq!(forgotten.status, Some(0), "{}", forgotten.stderr);
    assert_eq!((site.user_rows().await.len(), site.data_keys().await.len()), (0, 0));
    let nobody = site.sandbox.admin(&["users", "forget", &Uuid::now_v7().to_string(), "--yes"]);
    assert_eq!(nobody.status, Some(1));
    assert!(nobody.stderr.contains("error: "), "{}", nobody.stderr);
}

/// Who erased somebody, as the ledger says.
async fn actor(site: &Site, subject: Uuid) -> String {
    use oubliette::entity::erasure::{Column, Entity};
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    let erasure = Entity::find().filter(Column::SubjectId.eq(subject)).one(&site.db).await.unwrap();
    erasure.unwrap().actor
}
