//! What a server's own memory holds of a data key: read from `/proc/<pid>/mem` of the real program.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use memchr::memmem;
use oubliette::{
    KeyMetrics,
    envelope::{DataKeyId, KeyVersion},
    keys::{
        KekId, KeyBackend, WrappedKey,
        aws_kms::AwsKmsBackend,
        local::{KeyFile, LocalBackend},
    },
};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use uuid::Uuid;

use crate::harness::{Person, Sandbox, Server, localstack};

const PAGE: u64 = 4096;

/// What a data key looks like in memory.
struct Traces {
    key: [u8; 32],
    /// The first round keys that AES-256 derives from what AES-GCM-SIV encrypts under.
    schedule: [u8; 32],
    base64: String,
}

impl Traces {
    /// RFC 8452, section 4: the message encryption key depends on the nonce, and lives for one call only. What
    /// stays in an open key is the schedule of the key-generating key, which is the data key itself; its first
    /// 32 bytes are the key, the next ones are derived (FIPS 197, section 5.2).
    fn of(key: [u8; 32]) -> Self {
        Self { key, schedule: third_and_fourth_round_keys(&key), base64: BASE64_STANDARD.encode(key) }
    }

    /// Which of them the server's memory holds.
    fn found_in(&self, server: &Server) -> Vec<&'static str> {
        let memory = memory(server.pid());
        let holds = |bytes: &[u8]| memory.iter().any(|region| memmem::find(region, bytes).is_some());
        let mut found = Vec::new();
        // Each 128 bits by themselves: a half of the key is too much already.
        if self.key.chunks(16).any(holds) {
            found.push("key");
        }
        if self.schedule.chunks(16).any(holds) {
            found.push("schedule");
        }
        if holds(self.base64.as_bytes()) {
            found.push("base64");
        }
        found
    }
}

#[tokio::test]
async fn a_key_of_local_keys_leaves_the_memory() {
    let sandbox = Sandbox::new().with_env("OUBLIETTE_KEYS__CACHE__TIME_TO_IDLE", "2s");
    leaves_the_memory(&sandbox, async |wrapped, id| {
        let file = KeyFile::read(&sandbox.path("data/keys.toml")).unwrap();
        *LocalBackend::new("local", &file).unwrap(&wrapped, &id.into()).await.unwrap().expose()
    })
    .await;
}

#[tokio::test]
async fn a_key_of_kms_leaves_the_memory() {
    let arn = localstack().create_key().await;
    let toml = format!(
        "[auth]\nmode = \"off\"\n[database]\nurl = \"sqlite://data.db?mode=rwc\"\nmigrate_on_start = true\n\
         [keys]\nactive = \"kms\"\n[keys.backends.kms]\nkind = \"aws-kms\"\nkey_id = \"{arn}\"\n\
         region = \"us-east-1\"\nendpoint_url = \"{}\"\ncredentials = \"test\"\n\
         [keys.backends.kms.context]\napp = \"oubliette-tests\"\n",
        localstack().endpoint()
    );
    let sandbox =
        Sandbox::new().with_profile("staging", &toml).with_env("OUBLIETTE_KEYS__CACHE__TIME_TO_IDLE", "2s");
    leaves_the_memory(&sandbox, async |wrapped, id| {
        let config = localstack().backend_config(&arn);
        let backend = AwsKmsBackend::new("kms", &config, KeyMetrics::default()).await.unwrap();
        *backend.unwrap(&wrapped, &id.into()).await.unwrap().expose()
    })
    .await;
}

/// Once by idling out of the cache, once by forgetting.
async fn leaves_the_memory(sandbox: &Sandbox, open: impl AsyncFn(WrappedKey, DataKeyId) -> [u8; 32]) {
    let server = sandbox.start().await;
    let db = database(sandbox).await;
    for forget in [false, true] {
        let person = Person::new();
        let id = server.create(&person).await;
        assert_eq!(server.read(&id).await["data"]["user"]["email"], person.email);
        let traces = Traces::of(open(wrapped(&db, &id).await, key_of(&id)).await);
        server.read(&id).await;
        let found = traces.found_in(&server);
        assert!(found.contains(&"schedule"), "an open key is in memory: {found:?}");
        if forget {
            let query = "mutation($id: ID!) { forgetUser(id: $id) { sequence } }";
            let answer = server.try_graphql(query, serde_json::json!({ "id": id })).await.unwrap();
            assert_eq!(answer.get("errors"), None);
        }
        // Idling takes 2 s, and a second until somebody looks; unused connections to KMS are closed, and their
        // buffers wiped, after 20 s.
        let patience = Duration::from_secs(if forget { 3 } else { 10 });
        eventually_gone(&traces, &server, &["key", "schedule"], patience).await;
        eventually_gone(&traces, &server, &["key", "schedule", "base64"], Duration::from_secs(45)).await;
    }
}

async fn eventually_gone(traces: &Traces, server: &Server, what: &[&str], patience: Duration) {
    let started = Instant::now();
    loop {
        let found = traces.found_in(server);
        if !found.iter().any(|trace| what.contains(trace)) {
            return;
        }
        assert!(started.elapsed() < patience, "still in memory after {:?}: {found:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_server_dumps_no_core() {
    let server = Sandbox::new().start().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

/// All memory of a process that it can write and has written, in pieces that follow each other.
fn memory(pid: u32) -> Vec<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("root, or memory.core_dumps = true");
    let mut pagemap = File::open(format!("/proc/{pid}/pagemap")).unwrap();
    let writable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")));
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for line in writable {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap() / PAGE);
        let mut entries = vec![0; usize::try_from((end - start) * 8).unwrap()];
        pagemap.seek(SeekFrom::Start(start * 8)).unwrap();
        pagemap.read_exact(&mut entries).unwrap();
        let mut piece = Vec::new();
        for (page, entry) in (start..end).zip(entries.chunks_exact(8)) {
            // proc_pid_pagemap(5): bit 63, the page is in memory; bit 62, it is in swap.
            let used = entry[7] & 0xc0 != 0;
            let mut bytes = vec![0; usize::try_from(PAGE).unwrap()];
            memory.seek(SeekFrom::Start(page * PAGE)).unwrap();
            if used && memory.read_exact(&mut bytes).is_ok() {
                piece.extend(bytes);
            } else {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        pieces.push(piece);
    }
    assert!(pieces.iter().map(Vec::len).sum::<usize>() > 1 << 20);
    pieces
}

fn key_of(id: &str) -> DataKeyId {
    DataKeyId { subject: id.parse::<Uuid>().unwrap().into(), version: KeyVersion::FIRST }
}

async fn database(sandbox: &Sandbox) -> DatabaseConnection {
    let file = ["data/oubliette.db", "data.db"].map(|name| sandbox.path(name));
    let file = file.iter().find(|file| file.exists()).unwrap();
    sea_orm::Database::connect(format!("sqlite://{}", file.display())).await.unwrap()
}

async fn wrapped(db: &DatabaseConnection, id: &str) -> WrappedKey {
    let id: Uuid = id.parse().unwrap();
    let sql = format!("SELECT kek_id, wrapped FROM data_keys WHERE subject_id = x'{}'", id.simple());
    let row =
        db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap().unwrap();
    let kek_id: String = row.try_get("", "kek_id").unwrap();
    WrappedKey { kek_id: KekId::new(kek_id), bytes: row.try_get("", "wrapped").unwrap() }
}

/// FIPS 197, section 5.2: words 8 to 15 of the expanded key.
fn third_and_fourth_round_keys(key: &[u8; 32]) -> [u8; 32] {
    let mut words: Vec<[u8; 4]> = key.chunks_exact(4).map(|word| word.try_into().unwrap()).collect();
    for index in 8..16 {
        let mut word: [u8; 4] = words[index - 1];
        if index % 8 == 0 {
            word.rotate_left(1);
            word = word.map(substitute);
            word[0] ^= 1;
        } else if index % 8 == 4 {
            word = word.map(substitute);
        }
        let earlier = words[index - 8];
        words.push(std::array::from_fn(|byte| word[byte] ^ earlier[byte]));
    }
    words[8..16].concat().try_into().unwrap()
}

/// The S-box of AES, computed: the inverse in GF(2^8), then an affine map (FIPS 197, section 5.1.1).
fn substitute(byte: u8) -> u8 {
    let inverse = (0..=255).find(|&candidate| multiply(byte, candidate) == 1).unwrap_or(0);
    (0..5).fold(0, |sum, turn| sum ^ inverse.rotate_left(turn)) ^ 0x63
}

fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
        b >>= 1;
    }
    product
}
