//! Killed at any moment, and begun again.

use std::{
    fs::{self, File},
    time::Duration,
};

use super::{COLUMNS, csv, require_all, row, site};
use crate::harness::{TestStack, on_both_databases, sized};

on_both_databases!(an_import_that_is_killed_again_and_again_brings_everybody_once);

async fn an_import_that_is_killed_again_and_again_brings_everybody_once(stack: TestStack) {
    let (people, kills) = sized((3_000, 10), (6_000, 25));
    let site = site(stack).await;
    let mut rows: Vec<_> = (0..people).map(|_| row()).collect();
    let mut file = rows.clone();
    // One bad line in a thousand.
    for place in (500..people).step_by(1000) {
        file[place].insert("email", "nonsense".to_owned());
    }
    site.sandbox.write("people.csv", &csv(&COLUMNS, &file));
    let import = ["users", "import", "people.csv"];
    let mut halfway = 0;
    for kill in 0..kills {
        let log = File::create(site.sandbox.path("import.log")).unwrap();
        let mut command = site.sandbox.admin_command(&import);
        // Twelve batches and more, of which each kill lets a few through.
        command.args(["--max-rate", "1000"]).stdout(log.try_clone().unwrap()).stderr(log);
        let mut run = command.spawn().unwrap();
        let before = site.user_rows().await.len();
        let mut ended = None;
        while ended.is_none() && site.user_rows().await.len() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ended = run.try_wait().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..150))).await;
        ended = ended.or(run.try_wait().unwrap());
        let said = || fs::read_to_string(site.sandbox.path("import.log")).unwrap();
        assert!(ended.is_none_or(|status| status.code() == Some(1)), "{kill}: {}", said());
        run.kill().unwrap();
        run.wait().unwrap();
        let here = site.user_rows().await.len();
        halfway += usize::from((1..people - people / 1000).contains(&here));
        // Whoever is here is here whole.
        assert_eq!(site.data_keys().await.len(), here);
    }
    assert!(halfway > 3, "only {halfway} kills hit an import in the middle");
    let said = site.sandbox.admin(&import);
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    assert!(said.stdout.contains(&format!("\n{} lines REFUSED\n", people / 1000)), "{}", said.stdout);
    for place in (500..people).step_by(1000).rev() {
        rows.remove(place);
    }
    require_all(&site, &rows);
    site.sandbox.admin_ok(&["keys", "verify"]);
    site.sandbox.admin_ok(&["audit", "verify"]);
    tracing::info!(halfway, "the kills");
    // One event of a creation for each.
    let events = site.sandbox.admin_ok(&["audit", "export"]);
    assert_eq!(events.lines().filter(|line| line.contains("\tcreate\t")).count(), rows.len());
}
