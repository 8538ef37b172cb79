use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use crate::harness::{Person, Sandbox};

const KEYS: &str = "data/keys.toml";

/// A working folder in which a server ran and stored somebody.
async fn used() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.start().await.create(&Person::new()).await;
    sandbox
}

#[tokio::test]
async fn a_lost_key_file_is_not_replaced() {
    let sandbox = used().await;
    std::fs::remove_file(sandbox.path(KEYS)).unwrap();
    for _ in 0..2 {
        let said = sandbox.refusal().await;
        assert!(said.contains("error: the key file `data/keys.toml` is missing"), "{said}");
        assert!(said.contains("1 data key(s)") && said.contains("restore the file"), "{said}");
        assert!(!sandbox.path(KEYS).exists(), "a new one would hide that the old one is lost");
    }
}

#[tokio::test]
async fn a_lost_key_file_of_an_empty_database_is_replaced() {
    let sandbox = Sandbox::new();
    drop(sandbox.start().await);
    std::fs::remove_file(sandbox.path(KEYS)).unwrap();
    sandbox.start().await;
    assert!(sandbox.path(KEYS).is_file());
}

#[tokio::test]
async fn a_key_file_open_to_others_is_refused() {
    let sandbox = used().await;
    for (mode, shown) in [(0o644, "0644"), (0o640, "0640"), (0o604, "0604"), (0o620, "0620")] {
        std::fs::set_permissions(sandbox.path(KEYS), Permissions::from_mode(mode)).unwrap();
        let said = sandbox.refusal().await;
        assert!(said.contains(KEYS) && said.contains(shown) && said.contains("chmod 600"), "{said}");
    }
    for mode in [0o600, 0o400] {
        std::fs::set_permissions(sandbox.path(KEYS), Permissions::from_mode(mode)).unwrap();
        sandbox.start().await;
    }
}

#[tokio::test]
async fn a_damaged_key_file_is_refused_and_not_quoted() {
    let sandbox = used().await;
    let good = sandbox.read(KEYS);
    let key = good.lines().find_map(|line| line.strip_prefix("key = ")).unwrap().trim_matches('"').to_owned();
    assert_eq!(key.len(), 64);
    let line = format!("key = \"{key}\"");
    let primary = good.lines().find(|line| line.starts_with("primary = ")).unwrap();

    for (damaged, problem) in [
        (String::new(), "is not a key file"),
        ("nonsense".to_owned(), "is not a key file"),
        (good[..good.len() - 5].to_owned(), "is not a key file"),
        (good.replace(&line, &format!("key = \"{key}")), "is not a key file"),
        (good.replace(&line, &format!("key = {key}")), "is not a key file"),
        (good.replace(&line, &format!("kye = \"{key}\"")), "is not a key file"),
        (good.replace(&line, &format!("{line}\n\"{key}\" = 1")), "is not a key file"),
        (good.replace(&line, &format!("{line}\n{line}")), "is not a key file"),
        (good.replace(&line, &format!("key = \"{}\"", &key[1..])), "not 64 hexadecimal digits"),
        (
            good.replace(&line, &format!("key = \"{}\"", key.replace(&key[..1], "x"))),
            "not 64 hexadecimal digits",
        ),
        (good.replace("version = 1", "version = 2"), "has format version 2; this release reads version 1"),
        (good.replace(primary, "primary = \"other\""), "primary key `other`, which is not in it"),
    ] {
        assert_ne!(damaged, good);
        sandbox.write(KEYS, &damaged);
        let said = sandbox.refusal().await;
        assert!(said.contains("key file `data/keys.toml`") && said.contains(problem), "{problem}: {said}");
        for part in key.as_bytes().windows(8) {
            assert!(
                !said.contains(std::str::from_utf8(part).unwrap()),
                "{problem}: the key was printed: {said}"
            );
        }
        assert_eq!(sandbox.read(KEYS), damaged, "it is left as it is");
    }
    sandbox.write(KEYS, &good);
    sandbox.start().await;
}

#[tokio::test]
async fn a_key_file_is_made_in_the_local_profile_only() {
    let sandbox = Sandbox::new().with_profile(
        "staging",
        "[database]\nurl = \"sqlite://data/oubliette.db?mode=rwc\"\nmigrate_on_start = true\n\
         [keys]\nactive = \"files\"\n[keys.backends.files]\nkind = \"local\"\nfile = \"data/keys.toml\"\n",
    );
    let said = sandbox.refusal().await;
    assert!(said.contains("error: key file `data/keys.toml` does not exist"), "{said}");
    assert!(!sandbox.path(KEYS).exists());

    let sandbox = sandbox.with_env("OUBLIETTE_KEYS__BACKENDS__FILES__CREATE_IF_MISSING", "true");
    let said = sandbox.refusal().await;
    assert!(
        said.contains(
            "`keys.backends.files.create_if_missing` in OUBLIETTE_KEYS__BACKENDS__FILES__CREATE_IF_MISSING: works in the \
             profile `local` only"
        ),
        "{said}"
    );
    assert!(!sandbox.path(KEYS).exists());
}
