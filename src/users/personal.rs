use std::sync::Arc;

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
        self.require_trusted_ledger()?;
        let mut fields = self.read_personal_fields(user.id()).await?;
        for _ in 1..ATTEMPTS {
            let is_gone = |field: &PersonalField| field.value.as_ref().is_err_and(Unreadable::is_key_gone);
            if !fields.iter().any(is_gone) {
                break;
            }
            // Rotated or forgotten between the row and the key.
            fields = self.read_personal_fields(user.id()).await?;
        }
        Ok(fields)
    }

    async fn read_personal_fields(&self, subject: SubjectId) -> Result<Vec<PersonalField>, UserError> {
        let rows = self.registry.rows(&self.db, &[subject]).await?;
        if rows.is_empty() {
            return Err(self.absent(subject).await);
        }
        let mut found = Vec::new();
        for row in &rows {
            row.each_sealed(&mut |field| {
                found.push((field.name.to_owned(), field.mask, field.value.map(owned)));
            });
        }
        let mut fields = Vec::with_capacity(found.len());
        for (name, mask, value) in found {
            let value = match value {
                None => Ok(None),
                Some(bytes) => self.keyring.open_sealed(subject, Sealed::new(&name, &bytes)).await.map(Some),
            };
            let declared = name.strip_prefix(SEALED_PREFIX).and_then(|name| self.declarations.get(name));
            fields.push(PersonalField { declaration: declared.cloned(), name, value, mask });
        }
        Ok(fields)
    }
}

fn owned(value: Sealed<'_>) -> Vec<u8> {
    value.as_bytes().to_vec()
}
