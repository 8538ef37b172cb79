//! Everything logged while the tests run, at TRACE, in files; and the personal values and keys used, in another.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::PathBuf,
    sync::{LazyLock, Mutex},
};

use tracing_subscriber::filter::LevelFilter;

/// A folder of this run's own, emptied at its start.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("logs");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
});

static PERSONAL_VALUES: LazyLock<Mutex<File>> = LazyLock::new(|| Mutex::new(append("personal-values.txt")));
static KEYS: LazyLock<Mutex<File>> = LazyLock::new(|| Mutex::new(append("keys.txt")));

/// Logs of this process go to a file, at TRACE, whatever crate they come from.
pub(crate) fn log_everything() {
    static STARTED: LazyLock<()> = LazyLock::new(|| {
        let file = append("in-process.log");
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .init();
    });
    LazyLock::force(&STARTED);
}

/// A file for the log of a server that runs as a process of its own.
pub(crate) fn server_log() -> (PathBuf, File) {
    let name = format!("server-{:08x}.log", rand::random::<u32>());
    (FOLDER.join(&name), append(&name))
}

/// What no log may contain.
pub(crate) fn remember_personal_values(values: &[&str]) {
    remember(&PERSONAL_VALUES, values);
}

/// Open data keys, which no log may contain, in hexadecimal digits and in Base64.
pub(super) fn remember_keys(keys: &[&str]) {
    remember(&KEYS, keys);
}

fn remember(file: &Mutex<File>, values: &[&str]) {
    let text = values.join("\n") + "\n";
    file.lock().unwrap().write_all(text.as_bytes()).unwrap();
}

fn append(name: &str) -> File {
    OpenOptions::new().create(true).append(true).open(FOLDER.join(name)).unwrap()
}
