//! The wrapping key of a local key file is changed, by the runbook, below a server that sees the file badly: nobody's data is
//! lost at its restart.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    time::Duration,
};

use oubliette::keys::local::KeyFile;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Person, Sandbox, Server};

const KEYS: &str = "data/keys.toml";
/// Somebody else than root: `nobody`, on Debian.
const SOMEBODY: u32 = 65534;

/// The runbook. Each command must succeed.
fn change_wrapping_key(sandbox: &Sandbox) {
    let old = KeyFile::read(&sandbox.path(KEYS)).unwrap().primary().to_owned();
    for arguments in [
        &["keys", "local", "add", "--name", "next"][..],
        &["keys", "local", "promote", "next"],
        &["keys", "rewrap", "--yes", "--json"],
        &["keys", "verify", "--json"],
        &["keys", "local", "retire", &old, "--yes"],
    ] {
        let finished = sandbox.admin(arguments);
        assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.stderr);
    }
}

async fn person(server: &Server) -> (String, Person) {
    let person = Person::new();
    (server.create(&person).await, person)
}

async fn all_are_read(server: &Server, people: &[(String, Person)]) {
    for (id, person) in people {
        let answer = server.read(id).await;
        assert_eq!(answer["data"]["user"]["email"], person.email, "{answer}");
    }
}

/// The code that creating somebody answers.
async fn refused(server: &Server) -> Value {
    let query = "mutation($input: CreateUserInput!) { createUser(input: $input) { id } }";
    let input = json!({ "username": Person::new().username, "email": "a@example.com" });
    let answer = server.try_graphql(query, json!({ "input": input })).await.unwrap();
    answer["errors"][0]["extensions"].clone()
}

async fn readiness(server: &Server) -> StatusCode {
    // What was found out last stands for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    server.client().get(server.url("/readyz")).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_makes_no_key_call_meanwhile_wraps_under_the_new_key() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    let mut people = vec![person(&server).await];
    change_wrapping_key(&sandbox);
    people.push(person(&server).await);
    drop(server);
    all_are_read(&sandbox.start().await, &people).await;
}

/// It finds a file that has none of the keys that it knows: that may be the wrong one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_meanwhile_wraps_nothing_and_says_so() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    let people = vec![person(&server).await];
    server.signal("STOP");
    change_wrapping_key(&sandbox);
    server.signal("CONT");
    let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": false });
    assert_eq!(refused(&server).await, expected);
    assert_eq!(readiness(&server).await, StatusCode::SERVICE_UNAVAILABLE);
    let metric = "oubliette_key_backend_key_file_usable{backend=\"local\"} 0";
    let metrics = server.metrics().await;
    assert!(metrics.lines().any(|line| line == metric), "{metrics}");
    let complaint = "has none of the keys that it had since this process started";
    assert!(server.log().contains(complaint));
    // What it had open it still reads.
    all_are_read(&server, &people).await;
    drop(server);
    let server = sandbox.start().await;
    let people = [people, vec![person(&server).await]].concat();
    all_are_read(&server, &people).await;
    let metric = "oubliette_key_backend_key_file_usable{backend=\"local\"} 1";
    assert!(server.metrics().await.lines().any(|line| line == metric));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_that_is_gone_or_another_one_wraps_nothing() {
    let sandbox = Sandbox::new();
    let server = sandbox.start().await;
    let mut people = vec![person(&server).await];
    let good = fs::read(sandbox.path(KEYS)).unwrap();
    let replace = |text: &[u8]| {
        fs::write(sandbox.path("data/draft"), text).unwrap();
        fs::set_permissions(sandbox.path("data/draft"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(sandbox.path("data/draft"), sandbox.path(KEYS)).unwrap();
    };
    let of_another_file = || {
        KeyFile::create(&sandbox.path("data/other.toml")).unwrap();
        fs::read(sandbox.path("data/other.toml")).unwrap()
    };
    // The same name, and another key.
    let text = String::from_utf8(good.clone()).unwrap();
    let key = text.lines().find_map(|line| line.strip_prefix("key = ")).unwrap();
    let same_name = text.replace(key, &format!("\"{}\"", "7".repeat(64)));
    for wrong in [b"".to_vec(), of_another_file(), same_name.into_bytes()] {
        replace(&wrong);
        assert_eq!(refused(&server).await["code"], "KEY_BACKEND_UNAVAILABLE");
        assert_eq!(readiness(&server).await, StatusCode::SERVICE_UNAVAILABLE);
        all_are_read(&server, &people).await;
        replace(&good);
        people.push(person(&server).await);
        assert_eq!(readiness(&server).await, StatusCode::OK);
    }
    fs::remove_file(sandbox.path(KEYS)).unwrap();
    assert_eq!(refused(&server).await["code"], "KEY_BACKEND_UNAVAILABLE");
    assert_eq!(readiness(&server).await, StatusCode::SERVICE_UNAVAILABLE);
    replace(&good);
    fs::set_permissions(sandbox.path(KEYS), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(refused(&server).await["code"], "KEY_BACKEND_UNAVAILABLE", "it is open to others");
    fs::set_permissions(sandbox.path(KEYS), fs::Permissions::from_mode(0o600)).unwrap();
    people.push(person(&server).await);
    drop(server);
    all_are_read(&sandbox.start().await, &people).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_is_root_leaves_the_file_to_the_servers_user() {
    let sandbox = Sandbox::new();
    let server = of_somebody(&sandbox);
    let running = server.start().await;
    let mut people = vec![person(&running).await];
    assert_eq!(owner(&sandbox.path(KEYS)), (SOMEBODY, SOMEBODY, 0o600));
    fs::set_permissions(sandbox.path(KEYS), fs::Permissions::from_mode(0o400)).unwrap();
    change_wrapping_key(&sandbox);
    assert_eq!(owner(&sandbox.path(KEYS)), (SOMEBODY, SOMEBODY, 0o400));
    people.push(person(&running).await);
    drop(running);
    all_are_read(&server.start().await, &people).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_who_cannot_keep_the_owner_is_refused() {
    let sandbox = Sandbox::new().through(&["setpriv", "--bounding-set=-chown"]);
    let running = of_somebody(&sandbox).start().await;
    let file = sandbox.read(KEYS);
    let error = sandbox.admin_error(&["keys", "local", "add", "--name", "next"]);
    assert!(error.contains("cannot be given to its owner (user 65534, group 65534)"), "{error}");
    assert_eq!(sandbox.read(KEYS), file);
    person(&running).await;
    let drafts = fs::read_dir(sandbox.path("data")).unwrap();
    assert!(drafts.into_iter().all(|entry| !entry.unwrap().file_name().to_string_lossy().ends_with(".new")));
}

/// As a container has a file that is mounted alone: the mount keeps the old file when another one takes its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_the_file_as_a_bind_mount_stores_nothing_under_the_retired_key() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("data")).unwrap();
    let mounting = "mount --make-rprivate / && touch data/seen.toml && mount --bind data/keys.toml data/seen.toml && exec \"$@\"";
    KeyFile::create(&sandbox.path(KEYS)).unwrap();
    let mut unshare = vec!["unshare", "--mount"];
    if !rustix::process::getuid().is_root() {
        unshare.push("--map-root-user");
    }
    unshare.extend(["sh", "-c", mounting, "sh"]);
    let server =
        sandbox.again().through(&unshare).with_env("OUBLIETTE_KEYS__BACKENDS__LOCAL__FILE", "data/seen.toml");
    let running = server.start().await;
    let mut people = vec![person(&running).await];
    change_wrapping_key(&sandbox);
    let expected = json!({ "code": "KEY_BACKEND_UNAVAILABLE", "retryable": false });
    assert_eq!(refused(&running).await, expected);
    assert_eq!(readiness(&running).await, StatusCode::SERVICE_UNAVAILABLE);
    drop(running);
    let running = server.start().await;
    people.push(person(&running).await);
    all_are_read(&running, &people).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_symbolic_link_stays_one() {
    let sandbox = Sandbox::new();
    for folder in ["data", "secrets"] {
        fs::create_dir(sandbox.path(folder)).unwrap();
    }
    KeyFile::create(&sandbox.path("secrets/real.toml")).unwrap();
    symlink("../secrets/real.toml", sandbox.path(KEYS)).unwrap();
    let server = sandbox.start().await;
    let mut people = vec![person(&server).await];
    change_wrapping_key(&sandbox);
    assert_eq!(fs::read_link(sandbox.path(KEYS)).unwrap(), Path::new("../secrets/real.toml"));
    assert!(sandbox.read("secrets/real.toml").contains("primary = \"next\""));
    people.push(person(&server).await);
    drop(server);
    all_are_read(&sandbox.start().await, &people).await;
}

/// The same working folder, where the server runs as somebody else than root.
fn of_somebody(sandbox: &Sandbox) -> Sandbox {
    assert!(
        rustix::process::getuid().is_root(),
        "only root can run a server as another user: sudo --preserve-env=PATH,HOME tests/run"
    );
    // The server's folders may be root's alone, and so what is in them.
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(sandbox.path("data")).unwrap();
    chown(sandbox.path("data"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let id = format!("--reuid={SOMEBODY}");
    let group = format!("--regid={SOMEBODY}");
    sandbox.again().with_own_programs().through(&["setpriv", &id, &group, "--clear-groups"])
}

fn owner(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
}
