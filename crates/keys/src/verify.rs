//! Opening everything, to know that it opens.

use std::collections::{BTreeMap, HashMap};

use sea_orm::DbErr;

use crate::{
    Keyring, OpenedKey, causes,
    envelope::{DataKeyId, OpenError, Sealed, SealedRow, SubjectId},
    store,
    subjects::Registry,
};

/// What the data of some subjects was found to be.
#[derive(Debug, Default)]
pub struct Verified {
    /// The last of the subjects, for the next page. `None` if there was nobody.
    pub last: Option<SubjectId>,
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

    /// Opens every data key and every value of up to `size` subjects after `after`, in the order of their ids.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn page(&self, after: Option<SubjectId>, size: u64) -> Result<Verified, DbErr> {
        self.verify(&self.registry.subjects_after(self.keyring.db(), after, size).await?).await
    }

    /// The same for a random sample, each subject as likely as any other.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn sample(&self, size: u64) -> Result<Verified, DbErr> {
        let subjects = self.registry.sample(self.keyring.db(), size).await?;
        let mut all = Verified::default();
        for subjects in subjects.chunks(SAMPLED_AT_ONCE) {
            all.add(self.verify(subjects).await?);
        }
        Ok(all)
    }

    /// Looks a second time at subjects of whom something does not open: who was forgotten or given another data
    /// key meanwhile is no fault.
    async fn verify(&self, subjects: &[SubjectId]) -> Result<Verified, DbErr> {
        let mut verified = Verified { last: subjects.last().copied(), ..Verified::default() };
        for (subject, mut found) in self.look(subjects).await? {
            if !found.faults.is_empty() {
                let second = self.look(&[subject]).await?.pop();
                found = second.map(|(_, found)| found).unwrap_or_default();
            }
            verified.add(found);
        }
        Ok(verified)
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

/// Subjects of a sample that are looked at together.
const SAMPLED_AT_ONCE: usize = 500;

#[derive(Debug, thiserror::Error)]
#[error("the subject has no data key")]
struct NoDataKey;

impl Verified {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        self.last = other.last.or(self.last);
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
