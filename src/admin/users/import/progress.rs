use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::{
    admin::terminal::{Progress, counted_as, grouped},
    users::Imported,
};

/// What became of the people of a file until now.
#[derive(Debug, Default)]
pub(super) struct ImportProgress {
    /// Of the file, in bytes, if it is known.
    size: Option<u64>,
    position: AtomicU64,
    created: AtomicU64,
    same: AtomicU64,
    different: AtomicU64,
    refused: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) created: u64,
    pub(super) same: u64,
    pub(super) different: u64,
    pub(super) refused: u64,
}

impl ImportProgress {
    pub(super) fn new(size: Option<u64>) -> Self {
        Self { size, ..Self::default() }
    }

    /// The file was dealt with until here.
    pub(super) fn reach(&self, position: u64) {
        self.position.store(position, Relaxed);
    }

    pub(super) fn count(&self, outcome: &Imported) {
        let counter = match outcome {
            Imported::Created(_) => &self.created,
            Imported::Same(_) => &self.same,
            Imported::Different(..) => &self.different,
            Imported::Refused { .. } => &self.refused,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A line that nobody could be made of.
    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            created: self.created.load(Relaxed),
            same: self.same.load(Relaxed),
            different: self.different.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

impl Counts {
    pub(super) fn all(self) -> u64 {
        self.created + self.same + self.different + self.refused
    }

    /// Whether everybody is here as the file has them.
    pub(super) fn is_well(self) -> bool {
        self.different == 0 && self.refused == 0
    }

    pub(super) fn object(self) -> Value {
        json!({
            "people": self.all(), "created": self.created, "same": self.same, "different": self.different,
            "refused": self.refused,
        })
    }
}

impl Progress for ImportProgress {
    fn position(&self) -> u64 {
        self.position.load(Relaxed)
    }

    fn message(&self) -> String {
        let counts = self.counts();
        let mut message = format!("  {}", people(counts.all()));
        if !counts.is_well() {
            message.push_str(&format!(", {} NOT IN", grouped(counts.different + counts.refused)));
        }
        message
    }

    fn line(&self) -> String {
        let part = self.size.filter(|size| *size > 0).map(|size| self.position().min(size) * 100 / size);
        let part = part.map(|part| format!("{part}% of the file:")).unwrap_or_default();
        format!("{part}{}", self.message()).trim_start().to_owned()
    }

    fn event(&self) -> (Value, u64) {
        let counts = self.counts();
        let mut event = counts.object();
        event["bytes"] = self.position().into();
        event["of"] = self.size.into();
        (event, counts.all())
    }
}

/// `1 person`, `2,000 people`.
pub(super) fn people(count: u64) -> String {
    counted_as(count, "person", "people")
}
