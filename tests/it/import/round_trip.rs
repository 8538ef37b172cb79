//! What an import wrote, an export gives back.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{COLUMNS, csv, objects, require_all, row, site};
use crate::harness::{TestStack, on_both_databases};

on_both_databases!(
    an_export_gives_back_what_was_imported,
    an_export_is_masked_unless_it_reveals,
    what_does_not_open_is_said_in_its_line,
);

async fn an_export_gives_back_what_was_imported(stack: TestStack) {
    let site = site(stack).await;
    let other = super::site(TestStack::sqlite()).await;
    // More than two pages; some with nothing but a name.
    let mut rows: Vec<_> = (0..250).map(|_| row()).collect();
    rows.iter_mut().step_by(50).for_each(|row| row.retain(|column, _| *column == "username"));
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    require_all(&site, &rows);
    let export = ["users", "export", "--reveal", "--yes"];
    let all = site.sandbox.admin_ok(&export);
    other.sandbox.write("people.jsonl", &all);
    let said = other.sandbox.admin_ok(&["users", "import", "people.jsonl"]);
    assert!(said.starts_with("imported 250 people in "), "{said}");
    assert_eq!(other.sandbox.admin_ok(&export), all, "with the same ids");
    // From standard input, too.
    let file = std::fs::File::open(other.sandbox.path("people.jsonl")).unwrap();
    let output = site.sandbox.admin_command(&["users", "import", "-"]).stdin(file).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\n250 people here already, with all that the file says of them\n"), "{said}");
}

async fn an_export_is_masked_unless_it_reveals(stack: TestStack) {
    let site = site(stack).await;
    let rows = [row(), row(), row()];
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    let text = site.sandbox.admin_ok(&["users", "export", "--actor", "a-masked-look"]);
    for row in &rows {
        assert!(
            row.iter().all(|(column, value)| *column == "username" || !text.contains(value.as_str())),
            "{text}"
        );
    }
    let masked = objects(&text);
    assert_eq!(masked.len(), 3);
    assert!(masked.iter().all(|user| user["masked"] == json!(true) && user["date_of_birth"] == "1815-••-••"));
    // In the clear only if somebody says yes.
    let refused = site.sandbox.admin_error(&["users", "export", "--reveal"]);
    assert!(refused.contains("Pass --yes to go ahead"), "{refused}");
    let ids: Vec<_> = masked.iter().map(|user| user["id"].as_str().unwrap()).collect();
    let one = ["users", "export", "--subject", ids[1], "--reveal", "--yes", "--actor", "an-open-look"];
    let one = objects(&site.sandbox.admin_ok(&one));
    assert_eq!(one.len(), 1);
    let row = rows.iter().find(|row| one[0]["username"] == row["username"]).unwrap();
    assert_eq!((&one[0]["id"], &one[0]["national_id"]), (&json!(ids[1]), &json!(row["national_id"])));
    // One event for each who was printed.
    let events = objects(&site.sandbox.admin_ok(&["audit", "export", "--json"]));
    let looks = |actor: &str| {
        let looks = events.iter().filter(|event| event["actor"] == actor && event["action"] == "read_pii");
        looks.collect::<Vec<_>>()
    };
    let (closed, open) = (looks("admin:a-masked-look"), looks("admin:an-open-look"));
    assert_eq!((closed.len(), open.len()), (3, 1));
    let names = |event: &Value| event["attributes"].as_array().unwrap().clone();
    assert!(closed.iter().all(|event| names(event).contains(&json!("national_id_masked"))), "{closed:?}");
    assert!(names(open[0]).contains(&json!("national_id")) && open[0]["subject_id"] == ids[1], "{open:?}");
    // Once, however often they are asked for; and somebody without values was looked at, too.
    site.sandbox.write("nothing.csv", "username\nada\n");
    site.sandbox.admin_ok(&["users", "import", "nothing.csv"]);
    let all = objects(&site.sandbox.admin_ok(&["users", "export"]));
    let ada = all.iter().find(|user| user["username"] == "ada").unwrap()["id"].as_str().unwrap();
    let twice =
        ["users", "export", "--subject", ada, "--subject", ada, "--reveal", "--yes", "--actor", "of-ada"];
    assert_eq!(objects(&site.sandbox.admin_ok(&twice)).len(), 1);
    let events = objects(&site.sandbox.admin_ok(&["audit", "export", "--json", "--actor", "admin:of-ada"]));
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["attributes"], json!(["email_masked", "phone_masked"]));
    site.sandbox.admin_ok(&["users", "forget", ada, "--yes"]);
    // Who is not there is said before anything is printed.
    let nobody = Uuid::new_v4().to_string();
    let error = site.sandbox.admin_error(&["users", "export", "--subject", ids[0], "--subject", &nobody]);
    assert!(error.contains(&format!("there is no user {nobody}, and never was")), "{error}");
    site.sandbox.admin_ok(&["users", "forget", ids[0], "--yes"]);
    let error = site.sandbox.admin_error(&["users", "export", "--subject", ids[0]]);
    assert!(error.contains("was forgotten"), "{error}");
    assert_eq!(objects(&site.sandbox.admin_ok(&["users", "export"])).len(), 2);
}

async fn what_does_not_open_is_said_in_its_line(stack: TestStack) {
    use sea_orm::{ConnectionTrait, EntityTrait};

    let site = site(stack).await;
    let rows = [row(), row()];
    site.sandbox.write("people.csv", &csv(&COLUMNS, &rows));
    site.sandbox.admin_ok(&["users", "import", "people.csv"]);
    // Two people change their mail.
    let users = site.user_rows().await;
    oubliette::entity::data_key::Entity::delete_by_id((users[0].id, 1)).exec(&site.db).await.unwrap();
    let exported = site.sandbox.admin(&["users", "export", "--reveal", "--yes"]);
    assert_eq!(exported.status, Some(1), "{}", exported.stderr);
    let lines = objects(&exported.stdout);
    let (broken, whole) = if lines[0]["id"] == json!(users[0].id) { (0, 1) } else { (1, 0) };
    assert_eq!(lines[broken]["errors"].as_array().unwrap().len(), 8, "{}", lines[broken]);
    assert_eq!((&lines[broken]["email"], lines[whole].get("errors")), (&Value::Null, None));
    // And it cannot be taken for somebody without values.
    site.sandbox.write("back.jsonl", &exported.stdout);
    let back = site.sandbox.admin(&["users", "import", "back.jsonl"]);
    assert!(back.stdout.contains("has values that did not open where it was exported"), "{}", back.stdout);
    // Nor is anybody exported as long as nobody knows who was forgotten.
    let at = "'2026-01-01 00:00:00+00:00'";
    let (id, digest) = match site.db.get_database_backend() {
        sea_orm::DbBackend::Postgres => {
            (format!("'{}'", Uuid::new_v4()), format!("'\\x{}'", "01".repeat(32)))
        }
        _ => (format!("x'{}'", Uuid::new_v4().simple()), format!("x'{}'", "01".repeat(32))),
    };
    let rollback = "INSERT INTO ledger_rollbacks (id, seen_sequence, seen_digest, found_sequence, found_digest, noticed_at, noticed_by)";
    site.db
        .execute_unprepared(&format!("{rollback} VALUES ({id}, 2, {digest}, 1, {digest}, {at}, 'a test')"))
        .await
        .unwrap();
    for command in [&["users", "export"][..], &["users", "import", "back.jsonl"]] {
        let error = site.sandbox.admin_error(command);
        assert!(error.contains("the erasure ledger went back"), "{error}");
    }
}
