use migration::MigratorTrait;
use serde_json::json;

use crate::harness::{Person, Sandbox, TestStack, on_both_databases};

on_both_databases!(an_outdated_schema_is_refused_until_it_is_migrated, a_newer_schema_is_refused,);

/// A profile as one would have outside of development. The key file comes from a run in the profile `local`.
async fn staging(database: &TestStack) -> Sandbox {
    let sandbox = Sandbox::new();
    drop(sandbox.start().await);
    sandbox.with_profile(
        "staging",
        &format!(
            "[auth]\nmode = \"off\"\n[database]\nurl = \"{}\"\nmigrate_on_start = false\n\
             [keys]\nactive = \"files\"\n[keys.backends.files]\nkind = \"local\"\nfile = \"data/keys.toml\"\n",
            database.url()
        ),
    )
}

async fn an_outdated_schema_is_refused_until_it_is_migrated(stack: TestStack) {
    let sandbox = staging(&stack).await;
    for _ in 0..2 {
        let said = sandbox.refusal().await;
        assert!(said.contains("schema is outdated") && said.contains("`oubliette-admin migrate`"), "{said}");
    }
    let migrated = sandbox.admin_ok(&["migrate"]);
    assert_eq!(migrated.lines().count(), migration::Migrator::migrations().len(), "{migrated}");

    let server = sandbox.start().await;
    let person = Person::new();
    let id = server.create(&person).await;
    assert_eq!(server.read(&id).await["data"]["user"]["email"], json!(person.email));
}

async fn a_newer_schema_is_refused(stack: TestStack) {
    let sandbox = staging(&stack).await;
    sandbox.admin_ok(&["migrate"]);
    let db = oubliette::database::connect(&stack.config()).await.unwrap();
    let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29991231_000001_later', 0)";
    sea_orm::ConnectionTrait::execute_unprepared(&db, sql).await.unwrap();
    let said = sandbox.refusal().await;
    assert!(said.contains("m29991231_000001_later"), "{said}");
    assert!(sandbox.admin_error(&["migrate"]).contains("m29991231_000001_later"));
}
