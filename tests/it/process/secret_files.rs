//! Files with secrets, as Docker and Kubernetes mount them: of root, for a server that is somebody else.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use oubliette::keys::local::KeyFile;

use crate::harness::{Authority, Person, Sandbox};

const KEYS: &str = "secrets/keys.toml";

/// Somebody else than root: `nobody`, on Debian.
const SOMEBODY: u32 = 65534;

/// A group of the server's, as Kubernetes' `fsGroup` makes one.
const GROUP: u32 = 4242;

/// A working folder of somebody's, with a key file of root's.
fn sandbox() -> Sandbox {
    assert!(
        rustix::process::getuid().is_root(),
        "only root can run a server as another user: sudo --preserve-env=PATH,HOME tests/run"
    );
    let sandbox = Sandbox::new().with_env("OUBLIETTE_KEYS__BACKENDS__LOCAL__FILE", KEYS);
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for folder in ["data", "secrets"] {
        fs::create_dir(sandbox.path(folder)).unwrap();
    }
    chown(sandbox.path("data"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    KeyFile::create(&sandbox.path(KEYS)).unwrap();
    sandbox
}

fn give(sandbox: &Sandbox, file: &str, owner: (u32, u32), mode: u32) {
    chown(sandbox.path(file), Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(sandbox.path(file), fs::Permissions::from_mode(mode)).unwrap();
}

/// The same folder, where the programs run as somebody, who is in these groups.
fn as_somebody(sandbox: &Sandbox, groups: &str) -> Sandbox {
    let (user, group) = (format!("--reuid={SOMEBODY}"), format!("--regid={SOMEBODY}"));
    sandbox.again().with_own_programs().through(&["setpriv", &user, &group, groups])
}

/// The same folder, where the secrets are mounted as a container has them: nobody can change their modes.
fn mounted_read_only(sandbox: &Sandbox) -> Sandbox {
    let mounting = "mount --make-rprivate / && mount --bind secrets secrets && \
                    mount -o remount,bind,ro secrets && exec \"$@\"";
    sandbox.again().through(&["unshare", "--mount", "sh", "-c", mounting, "sh"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_roots_may_be_readable_for_a_group_of_the_servers() {
    let sandbox = sandbox();
    give(&sandbox, KEYS, (0, GROUP), 0o440);
    let server = as_somebody(&sandbox, &format!("--groups={GROUP}"));
    server.start().await.create(&Person::new()).await;
    // Whoever is not in the group cannot read it, and learns how to.
    give(&sandbox, KEYS, (0, GROUP), 0o400);
    let said = server.refusal().await;
    assert!(said.contains(&format!("it belongs to user 0, group {GROUP} (mode 0400)")), "{said}");
    assert!(said.contains(&format!("`fsGroup: {SOMEBODY}`")), "{said}");
    for (owner, mode) in [
        // Its group could change it.
        ((0, GROUP), 0o460),
        // Others could read it.
        ((0, GROUP), 0o444),
        // Somebody who is neither root nor the server could let others read it.
        ((GROUP, GROUP), 0o440),
        // Its owner is the server, who can change its mode.
        ((SOMEBODY, GROUP), 0o440),
    ] {
        give(&sandbox, KEYS, owner, mode);
        let said = server.refusal().await;
        assert!(said.contains(&format!("key file `{KEYS}` is open to others (mode {mode:04o}): ")), "{said}");
        assert_eq!(said.contains("run `chmod 600` on it"), owner.0 == SOMEBODY, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_change_the_mode_is_told_the_settings_of_the_platform() {
    let sandbox = sandbox();
    give(&sandbox, KEYS, (0, 0), 0o444);
    for (server, id) in
        [(as_somebody(&sandbox, "--clear-groups"), SOMEBODY), (mounted_read_only(&sandbox), 0)]
    {
        let said = server.refusal().await;
        assert!(said.contains(&format!("key file `{KEYS}` is open to others (mode 0444): ")), "{said}");
        for setting in [
            "`defaultMode: 0400`".to_owned(),
            format!("`fsGroup: {id}`"),
            format!("`uid: \"{id}\"`"),
            "`mode: 0400`".to_owned(),
            format!("`chown {id}:{id}` and `chmod 400`"),
        ] {
            assert!(said.contains(&setting), "{setting}: {said}");
        }
        assert!(!said.contains("chmod 600"), "{said}");
    }
}

/// A container that runs as root, with `fsGroup`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_read_only_mount_a_group_of_roots_may_read() {
    let sandbox = sandbox();
    give(&sandbox, KEYS, (0, 0), 0o440);
    mounted_read_only(&sandbox).start().await.create(&Person::new()).await;
    // Root's own file, which root can close.
    let said = sandbox.refusal().await;
    assert!(said.contains("mode 0440") && said.contains("chmod 600"), "{said}");
    give(&sandbox, KEYS, (0, GROUP), 0o440);
    let said = mounted_read_only(&sandbox).refusal().await;
    assert!(said.contains("mode 0440"), "root is not in that group: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_other_files_the_log_says_that_they_are_open() {
    let pair = Authority::new().issue(&["localhost"]);
    let sandbox = sandbox().with_profile(
        "staging",
        &format!(
            "[database]\nurl_file = \"secrets/url\"\nmigrate_on_start = true\n[auth]\nmode = \"off\"\n\
                 [http.tls]\ncertificate = \"certificate.pem\"\nkey = \"secrets/key.pem\"\n\
                 [keys]\nactive = \"local\"\n[keys.backends.local]\nkind = \"local\"\nfile = \"{KEYS}\"\n"
        ),
    );
    sandbox.write("secrets/url", "sqlite://data/x.db?mode=rwc\n");
    sandbox.write("certificate.pem", &pair.certificate);
    sandbox.write("secrets/key.pem", &pair.key);
    give(&sandbox, KEYS, (SOMEBODY, SOMEBODY), 0o400);
    let server = as_somebody(&sandbox, "--clear-groups");
    for (mode, warned) in [(0o444, true), (0o400, false)] {
        for file in ["secrets/url", "secrets/key.pem"] {
            give(&sandbox, file, (if warned { 0 } else { SOMEBODY }, 0), mode);
        }
        let log = server.start().await.log();
        for key in ["database.url_file `secrets/url`", "http.tls.key `secrets/key.pem`"] {
            assert_eq!(log.contains(&format!("{key} is open to others (mode 0444)")), warned, "{log}");
        }
    }
    for (file, key) in [("secrets/key.pem", "http.tls.key"), ("secrets/url", "database.url_file")] {
        give(&sandbox, file, (0, 0), 0o400);
        let said = server.refusal().await;
        assert!(said.contains(&format!("{key} `{file}` cannot be read: ")), "{said}");
        assert!(said.contains("it belongs to user 0, group 0 (mode 0400)"), "{said}");
        assert!(said.contains("defaultMode: 0400"), "{said}");
    }
}
