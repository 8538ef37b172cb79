//! Opening everything, to know that it opens.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use sea_orm::{Condition, DbErr};

use crate::{
    Keyring, OpenedKey, WrappedKey, causes,
    envelope::{DataKeyId, OpenError, Sealed, SealedRow, SubjectId},
    store,
    subjects::Registry,
    sweep::{self, BatchResult, Controls, Counts, Failure, Pace, SweepOptions, Task},
};

/// What the data of some subjects was found to be.
#[derive(Debug, Default)]
pub struct Verified {
    /// Subjects looked at.
    pub subjects: u64,
    /// Data keys that opened.
    pub data_keys: u64,
    /// Values that opened.
    pub attributes: u64,
    /// What did not open.
    pub faults: Vec<Fault>,
}

/// Something that does not open.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whose.
    pub subject: SubjectId,
    /// What: an attribute's name, or `data_keys/` and a version.
    pub place: String,
    /// Why, in one line, without personal values.
    pub cause: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.place, self.subject, self.cause)
    }
}

/// Opens all data of all subjects of registered tables.
#[derive(Clone, Debug)]
pub struct Verify {
    keyring: Keyring,
    registry: Registry,
}

type Rows = Vec<Box<dyn SealedRow + Send + Sync>>;

impl Verify {
    /// Of these tables, with the data keys of this keyring.
    #[must_use]
    pub fn new(keyring: Keyring, registry: Registry) -> Self {
        Self { keyring, registry }
    }

    /// How many subjects there are.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn count(&self) -> Result<u64, DbErr> {
        self.registry.count_subjects(self.keyring.db()).await
    }

    /// Opens every data key and every value of everybody. `on_fault` is told each fault; the tally counts subjects.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn run(
        &self,
        options: &SweepOptions,
        controls: &Controls,
        on_fault: Arc<OnFault>,
    ) -> Result<Verified, DbErr> {
        let task = Arc::new(VerifyTask { engine: self.clone(), on_fault, verified: Mutex::default() });
        sweep::scan(self.keyring.db(), task.clone(), options, controls).await?;
        // The sweep goes through data keys, so it does not come by those who have none.
        let keyless = self.registry.subjects_without_data_key(self.keyring.db()).await?;
        for subjects in keyless.chunks(TOGETHER) {
            if controls.stop.is_cancelled() {
                break;
            }
            let found = self.verify(subjects).await?;
            controls.tally.add(Counts { failed: found.len() as u64, ..Counts::default() });
            task.note(found);
        }
        let verified = std::mem::take(&mut *task.verified());
        Ok(verified)
    }

    /// The same with all defaults, for programs that have no need to see how it gets on.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn everything(&self) -> Result<Verified, DbErr> {
        let options = SweepOptions { batch_size: EVERYTHING, ..SweepOptions::default() };
        self.run(&options, &Controls::default(), Arc::new(|_| {})).await
    }

    /// The same for a random sample of this size, each subject as likely as any other.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn sample(&self, size: u64) -> Result<Verified, DbErr> {
        let subjects = self.registry.sample(self.keyring.db(), size).await?;
        let mut all = Verified::default();
        for subjects in subjects.chunks(TOGETHER) {
            self.verify(subjects).await?.into_iter().for_each(|(_, found)| all.add(found));
        }
        Ok(all)
    }

    /// Looks a second time at subjects of whom something does not open: who was forgotten or given another data
    /// key meanwhile is no fault.
    async fn verify(&self, subjects: &[SubjectId]) -> Result<Vec<(SubjectId, Verified)>, DbErr> {
        let mut all = self.look(subjects).await?;
        // Now: more than a few wait for nobody.
        self.keyring.store_commitments().await;
        for (subject, found) in &mut all {
            if !found.faults.is_empty() {
                let second = self.look(&[*subject]).await?.pop();
                *found = second.map(|(_, found)| found).unwrap_or_default();
            }
        }
        Ok(all)
    }

    /// What each of them is found to be. Those of whom no row is left are left out.
    async fn look(&self, subjects: &[SubjectId]) -> Result<Vec<(SubjectId, Verified)>, DbErr> {
        let mut rows: BTreeMap<SubjectId, Rows> = BTreeMap::new();
        for row in self.registry.rows(self.keyring.db(), subjects).await? {
            rows.entry(row.subject()).or_default().push(row);
        }
        let ids = store::ids_of(self.keyring.db(), subjects).await?;
        let mut opened: HashMap<_, Vec<_>> = HashMap::new();
        for (id, key) in ids.iter().zip(self.keyring.open_many(&ids).await) {
            opened.entry(id.subject).or_default().push((*id, key));
        }
        let look = |(subject, rows): (SubjectId, Rows)| {
            let keys = opened.get(&subject).map_or(&[][..], Vec::as_slice);
            (subject, Verified::of(subject, &rows, keys))
        };
        Ok(rows.into_iter().map(look).collect())
    }
}

/// Subjects that are looked at together, beside those of a sweep's batch.
const TOGETHER: usize = 100;

/// Data keys that are read together where nobody says how many. A few batches are in hand at a time, and each data key's wait for
/// its turn counts: `keys.call_timeout`.
const EVERYTHING: NonZeroU32 = const { NonZeroU32::new(50).unwrap() };

/// Is told each fault.
pub type OnFault = dyn Fn(&Fault) + Send + Sync;

/// Verifies the subjects of a batch of data keys.
struct VerifyTask {
    engine: Verify,
    on_fault: Arc<OnFault>,
    verified: Mutex<Verified>,
}

#[async_trait]
impl Task for VerifyTask {
    fn remaining(&self) -> Condition {
        Condition::all()
    }

    async fn process(&self, keys: Vec<(DataKeyId, WrappedKey)>, _: &Pace) -> Result<BatchResult, DbErr> {
        let mut kek_ids: BTreeMap<_, _> =
            keys.into_iter().rev().map(|(id, wrapped)| (id.subject, (id, wrapped.kek_id))).collect();
        let subjects: Vec<_> = kek_ids.keys().copied().collect();
        let mut result = BatchResult::default();
        let found = self.engine.verify(&subjects).await?;
        for (subject, verified) in &found {
            match (verified.faults.first(), kek_ids.remove(subject)) {
                (Some(fault), Some((id, kek_id))) => {
                    let cause = format!("{}: {}", fault.place, fault.cause);
                    result.failures.push(Failure { id, kek_id, class: "unreadable", cause });
                }
                _ => result.done += 1,
            }
        }
        self.note(found);
        Ok(result)
    }
}

impl VerifyTask {
    fn note(&self, found: Vec<(SubjectId, Verified)>) {
        for (_, found) in found {
            found.faults.iter().for_each(|fault| (self.on_fault)(fault));
            self.verified().add(found);
        }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, Verified> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyTask").finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the subject has no data key")]
struct NoDataKey;

#[derive(Debug, thiserror::Error)]
#[error("is not the one that the key commitment in its row is of: the row was changed")]
struct ForeignCommitment;

impl Verified {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        self.subjects += other.subjects;
        self.data_keys += other.data_keys;
        self.attributes += other.attributes;
        self.faults.extend(other.faults);
    }

    /// Of one subject, whose rows and data keys these are.
    fn of(subject: SubjectId, rows: &Rows, keys: &[(DataKeyId, OpenedKey)]) -> Self {
        let mut verified = Self { subjects: 1, ..Self::default() };
        for (id, key) in keys {
            match key {
                Ok(key) if key.is_commitment_foreign() => {
                    verified.fault(subject, format!("data_keys/{}", id.version), &ForeignCommitment);
                }
                Ok(_) => verified.data_keys += 1,
                Err(error) => verified.fault(subject, format!("data_keys/{}", id.version), error),
            }
        }
        if keys.is_empty() {
            verified.fault(subject, "data_keys".to_owned(), &NoDataKey);
        }
        for row in rows {
            row.each_sealed(&mut |field| {
                if let Some(value) = field.value {
                    verified.value(subject, value, keys);
                }
            });
        }
        verified
    }

    fn value(&mut self, subject: SubjectId, value: Sealed<'_>, keys: &[(DataKeyId, OpenedKey)]) {
        let place = || value.name().to_owned();
        let header = match value.header() {
            Ok(header) => header,
            Err(error) => return self.fault(subject, place(), &OpenError::from(error)),
        };
        let id = DataKeyId { subject, version: header.key_version };
        match keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key) {
            Some(Ok(key)) => match key.open_sealed(value) {
                Ok(_) => self.attributes += 1,
                Err(error) => self.fault(subject, place(), &error),
            },
            // The data key's fault says why; this one says what it costs.
            Some(Err(error)) => self.fault(subject, place(), error),
            None => self.fault(subject, place(), &MissingKey(id)),
        }
    }

    fn fault(&mut self, subject: SubjectId, place: String, error: &dyn std::error::Error) {
        self.faults.push(Fault { subject, place, cause: causes::line(error) });
    }
}

#[derive(Debug, thiserror::Error)]
#[error("sealed under data key {0}, which is not there")]
struct MissingKey(DataKeyId);
