use std::process::Command;

use super::Page;
use crate::harness::{Person, Sandbox, finish};

/// The script of a page that begins like this.
fn script(page: &str, begin: &str) -> String {
    let blocks = Page::read(page).blocks();
    blocks.into_iter().find(|block| block.language == "sh" && block.text.starts_with(begin)).unwrap().text
}

/// Runs a script in the sandbox, as a reader does.
fn run(sandbox: &Sandbox, script: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    assert!(
        std::env::split_paths(&path).any(|folder| folder.join("sqlite3").is_file()),
        "no `sqlite3` in $PATH; install it: apt-get install -y sqlite3"
    );
    let finished = finish(Command::new("bash").args(["-euc", script]).current_dir(sandbox.path("")));
    assert_eq!(finished.status, Some(0), "{}", finished.stderr);
    finished.stdout
}

/// All lines are `N DIGEST ok`, and the head's is that of the last.
fn assert_sound(checked: &str, entries: usize) {
    let lines: Vec<_> = checked.lines().collect();
    assert_eq!(lines.len(), entries + 1, "{checked}");
    for (number, line) in lines[..entries].iter().enumerate() {
        assert!(line.starts_with(&format!("{} ", number + 1)) && line.ends_with(" ok"), "{checked}");
    }
    let last = lines[entries - 1].trim_end_matches(" ok");
    assert_eq!(lines[entries], format!("head {last}"));
}

const BEGIN: &str = "previous=";

#[tokio::test]
async fn the_scripts_of_the_manual_check_the_ledger_and_the_audit_trail() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    for _ in 0..3 {
        let id = server.create(&Person::new()).await;
        server.read(&id).await;
        sandbox.admin_ok(&["users", "forget", &id, "--yes"]);
    }
    // Also of another form.
    assert_eq!(
        sandbox.admin(&["tokens", "create", "--name", "billing", "--scopes", "users:read"]).status,
        Some(0)
    );
    sandbox.admin_ok(&["tokens", "revoke", "billing"]);
    drop(server);
    let (ledger, trail) = (script("docs/erasure.md", BEGIN), script("docs/audit.md", BEGIN));
    assert_sound(&run(&sandbox, &ledger), 4);
    let events = sandbox.admin_ok(&["audit", "export"]).lines().count();
    assert!(events >= 6, "three were created and forgotten");
    assert_sound(&run(&sandbox, &trail), events);

    for (table, script) in [("erasures", &ledger), ("audit_events", &trail)] {
        let change =
            format!("sqlite3 data/oubliette.db \"UPDATE {table} SET actor = 'eve' WHERE sequence = 2\"");
        run(&sandbox, &change);
        let checked = run(&sandbox, script);
        assert!(checked.lines().nth(1).is_some_and(|line| line.ends_with(" WRONG")), "{checked}");
    }
}

#[test]
fn the_digest_that_is_made_by_hand_is_the_one_of_the_receipt() {
    let checked = run(&Sandbox::new(), &script("docs/erasure.md", "printf"));
    let digest = checked.split(' ').next().unwrap().to_owned();
    for page in ["README.md", "docs/erasure.md"] {
        assert!(Page::read(page).text.contains(&format!("\"digest\":\"{digest}\"")), "{page}: {digest}");
    }
}
