//! Sealing and opening one attribute, beside the bare cipher with the same key and associated data.
//!
//! `cargo bench --bench envelope`. The bare cipher allocates its result, too, and takes a random nonce from
//! the same generator: what remains is our header, the binding of the identity, and the types.
#![expect(clippy::unwrap_used, reason = "a bench has no users, and fails if it cannot run")]

use std::hint::black_box;

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit,
    aead::{Aead, Payload},
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use oubliette::envelope::{
    Attribute, AttributeError, DataKey, DataKeyId, Encrypted, KeyMaterial, KeyVersion, Personal,
    PersonalText, SubjectId,
};

const SIZES: [usize; 4] = [16, 64, 256, 1024];

/// An attribute of any length.
enum Note {}

impl Attribute for Note {
    const NAME: &'static str = "users.email";
    const FIELD: &'static str = "email";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        Ok(PersonalText::new(input.to_owned()))
    }
}

/// The same key and as many bytes of associated data, on both sides.
struct Sides {
    ours: DataKey,
    bare: Aes256GcmSiv,
    associated_data: Vec<u8>,
}

impl Sides {
    fn new() -> Self {
        let material = KeyMaterial::generate().unwrap();
        let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
        let header = [1, 1, 0, 0, 0, 1];
        let parts = [&header[..], Note::NAME.as_bytes(), id.subject.as_uuid().as_bytes()];
        let prefixed =
            parts.map(|part| [&u16::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat());
        Self {
            ours: DataKey::new(id, &material),
            bare: Aes256GcmSiv::new(material.expose().into()),
            associated_data: prefixed.concat(),
        }
    }

    fn bare_seal(&self, text: &str) -> ([u8; 12], Vec<u8>) {
        let nonce: [u8; 12] = rand::random();
        let payload = Payload { msg: text.as_bytes(), aad: &self.associated_data };
        (nonce, self.bare.encrypt((&nonce).into(), payload).unwrap())
    }

    fn bare_open(&self, (nonce, sealed): &([u8; 12], Vec<u8>)) -> Vec<u8> {
        let payload = Payload { msg: sealed, aad: &self.associated_data };
        self.bare.decrypt(nonce.into(), payload).unwrap()
    }
}

fn seal(criterion: &mut Criterion) {
    let sides = Sides::new();
    let mut group = criterion.benchmark_group("seal");
    for size in SIZES {
        let text = "x".repeat(size);
        let note = Personal::<Note>::parse(&text).unwrap();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("oubliette", size), &note, |bencher, note| {
            bencher.iter(|| sides.ours.seal(black_box(note)).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("bare aes-gcm-siv", size), &text, |bencher, text| {
            bencher.iter(|| sides.bare_seal(black_box(text)));
        });
    }
    group.finish();
}

fn open(criterion: &mut Criterion) {
    let sides = Sides::new();
    let mut group = criterion.benchmark_group("open");
    for size in SIZES {
        let text = "x".repeat(size);
        let sealed: Encrypted<Note> = sides.ours.seal(&Personal::parse(&text).unwrap()).unwrap();
        let bare = sides.bare_seal(&text);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::new("oubliette", size), &sealed, |bencher, sealed| {
            bencher.iter(|| sides.ours.open(black_box(sealed)).unwrap());
        });
        group.bench_with_input(BenchmarkId::new("bare aes-gcm-siv", size), &bare, |bencher, bare| {
            bencher.iter(|| sides.bare_open(black_box(bare)));
        });
    }
    group.finish();
}

criterion_group!(benches, seal, open);
criterion_main!(benches);
