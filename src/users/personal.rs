use std::{collections::HashMap, sync::Arc};

use super::{User, UserError, Users};
use crate::{
    attributes::{Declaration, SEALED_PREFIX},
    envelope::{PersonalText, Sealed, SubjectId},
    keys::subjects::Unreadable,
};

/// How often rows are read whose data key is gone.
const ATTEMPTS: usize = 5;

/// A field of any registered row that holds a personal value, opened.
#[derive(Debug)]
pub struct PersonalField {
    /// The attribute's name: `users.email`.
    pub name: String,
    /// The value; or why it does not open.
    pub value: Result<Option<PersonalText>, Unreadable>,
    mask: fn(&str) -> String,
    declaration: Option<Arc<Declaration>>,
}

impl PersonalField {
    /// The value, masked.
    #[must_use]
    pub fn masked(&self) -> Option<String> {
        let value = self.value.as_ref().ok()?.as_ref()?;
        let value = value.expose();
        Some(self.declaration.as_ref().map_or_else(|| (self.mask)(value), |own| own.mask().apply(value)))
    }
}

impl Users {
    /// All personal values of a user, whatever tables they are in.
    ///
    /// # Errors
    ///
    /// [`UserError::Forgotten`] if that happened just now, [`UserError::LedgerWentBack`], [`UserError::Database`]. A value that does
    /// not open has an error of its own.
    pub async fn personal_fields(&self, user: &User) -> Result<Vec<PersonalField>, UserError> {
        match self.personal_fields_of(&[user.id()]).await?.remove(&user.id()) {
            Some(fields) => Ok(fields),
            None => Err(self.absent(user.id()).await),
        }
    }

    /// The same of some users, up to a few hundred, whose rows and keys are read together. Who has no row any more was forgotten just now, and is left out.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn personal_fields_of(
        &self,
        subjects: &[SubjectId],
    ) -> Result<HashMap<SubjectId, Vec<PersonalField>>, UserError> {
        self.require_trusted_ledger()?;
        let mut all = self.read_personal_fields(subjects).await?;
        for _ in 1..ATTEMPTS {
            let is_gone = |field: &PersonalField| field.value.as_ref().is_err_and(Unreadable::is_key_gone);
            let again = all.iter().filter(|(_, fields)| fields.iter().any(is_gone));
            let again: Vec<_> = again.map(|(subject, _)| *subject).collect();
            if again.is_empty() {
                break;
            }
            // Rotated or forgotten between the row and the key.
            all.retain(|subject, _| !again.contains(subject));
            all.extend(self.read_personal_fields(&again).await?);
        }
        Ok(all)
    }

    async fn read_personal_fields(
        &self,
        subjects: &[SubjectId],
    ) -> Result<HashMap<SubjectId, Vec<PersonalField>>, UserError> {
        let rows = self.registry.rows(&self.db, subjects).await?;
        let mut found = Vec::new();
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for row in &rows {
            let subject = row.subject();
            all.entry(subject).or_default();
            row.each_sealed(&mut |field| {
                found.push((subject, field.name.to_owned(), field.mask, field.value.map(owned)));
            });
        }
        let values = found
            .iter()
            .filter_map(|(subject, name, _, value)| Some((*subject, Sealed::new(name, value.as_deref()?))));
        let opened = self.open_keys_of(values).await;
        for (subject, name, mask, value) in &found {
            let value = match value {
                None => Ok(None),
                Some(bytes) => opened.value(*subject, Sealed::new(name, bytes)).await.map(Some),
            };
            let declared = name.strip_prefix(SEALED_PREFIX).and_then(|name| self.declarations.get(name));
            let (declaration, name) = (declared.cloned(), name.clone());
            all.entry(*subject).or_default().push(PersonalField { declaration, name, value, mask: *mask });
        }
        Ok(all)
    }
}

fn owned(value: Sealed<'_>) -> Vec<u8> {
    value.as_bytes().to_vec()
}
