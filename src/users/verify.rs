//! Opening everything, to know that it opens.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::SimpleExpr,
};
use uuid::Uuid;

use super::{UserError, Users};
use crate::{
    causes,
    entity::user,
    envelope::{Attribute, DataKeyId, Encrypted, OpenError, SubjectId},
    keys::{OpenedKey, store},
};

/// What some users' data was found to be.
#[derive(Debug, Default)]
pub struct Verified {
    /// The last of the users, for the next page. `None` if there was nobody.
    pub last: Option<SubjectId>,
    /// Users looked at.
    pub users: u64,
    /// Data keys that opened.
    pub data_keys: u64,
    /// Attributes that opened.
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

impl Users {
    /// How many users there are.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn count(&self) -> Result<u64, UserError> {
        Ok(user::Entity::find().count(&self.db).await?)
    }

    /// Opens every data key and every attribute of up to `size` users after `after`, in the order of their ids.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn verify_page(&self, after: Option<SubjectId>, size: u64) -> Result<Verified, UserError> {
        let mut select = user::Entity::find();
        if let Some(after) = after {
            select = select.filter(user::Column::Id.gt(*after.as_uuid()));
        }
        let rows = select.order_by_asc(user::Column::Id).limit(size).all(&self.db).await?;
        self.verify(rows).await
    }

    /// The same for a random sample, each user as likely as any other.
    ///
    /// # Errors
    ///
    /// [`UserError::Database`].
    pub async fn verify_sample(&self, size: u64) -> Result<Verified, UserError> {
        let random = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .order_by_asc(SimpleExpr::cust("RANDOM()"))
            .limit(size);
        let ids: Vec<Uuid> = random.into_tuple().all(&self.db).await?;
        let mut all = Verified::default();
        for ids in ids.chunks(SAMPLED_AT_ONCE) {
            let rows = user::Entity::find().filter(user::Column::Id.is_in(ids.iter().copied())).all(&self.db);
            all.add(self.verify(rows.await?).await?);
        }
        Ok(all)
    }

    /// Looks a second time at users of whom something does not open: who was forgotten or given another data
    /// key meanwhile is no fault.
    async fn verify(&self, rows: Vec<user::Model>) -> Result<Verified, UserError> {
        let mut verified = Verified::default();
        for (subject, mut found) in self.look(rows).await? {
            if !found.faults.is_empty() {
                let row = user::Entity::find_by_id(*subject.as_uuid()).one(&self.db).await?;
                let second = self.look(row.into_iter().collect()).await?.pop();
                found = second.map(|(_, found)| found).unwrap_or_default();
            }
            verified.add(found);
            verified.last = Some(subject);
        }
        Ok(verified)
    }

    /// What each of them is found to be.
    async fn look(&self, rows: Vec<user::Model>) -> Result<Vec<(SubjectId, Verified)>, UserError> {
        let subjects: Vec<_> = rows.iter().map(user::Model::subject).collect();
        let ids = store::ids_of(&self.db, &subjects).await?;
        let mut opened: HashMap<_, Vec<_>> = HashMap::new();
        for (id, key) in ids.iter().zip(self.keyring.open_many(&ids).await) {
            opened.entry(id.subject).or_default().push((*id, key));
        }
        let look = |row: &user::Model| {
            let keys = opened.get(&row.subject()).map_or(&[][..], Vec::as_slice);
            (row.subject(), Verified::of(row, keys))
        };
        Ok(rows.iter().map(look).collect())
    }
}

/// Users of a sample that are looked at together.
const SAMPLED_AT_ONCE: usize = 500;

#[derive(Debug, thiserror::Error)]
#[error("the user has no data key")]
struct NoDataKey;

impl Verified {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        self.last = other.last.or(self.last);
        self.users += other.users;
        self.data_keys += other.data_keys;
        self.attributes += other.attributes;
        self.faults.extend(other.faults);
    }

    /// Of one user, whose data keys these are.
    fn of(row: &user::Model, keys: &[(DataKeyId, OpenedKey)]) -> Self {
        let mut verified = Self { users: 1, ..Self::default() };
        for (id, key) in keys {
            match key {
                Ok(_) => verified.data_keys += 1,
                Err(error) => verified.fault(id.subject, format!("data_keys/{}", id.version), error),
            }
        }
        if keys.is_empty() {
            verified.fault(row.subject(), "data_keys".to_owned(), &NoDataKey);
        }
        // Every column by name, so that none that is sealed is left out.
        let user::Model { id: _, username: _, email, phone, created_at: _, updated_at: _ } = row;
        verified.attribute(row.subject(), email.as_ref(), keys);
        verified.attribute(row.subject(), phone.as_ref(), keys);
        verified
    }

    fn attribute<A: Attribute>(
        &mut self,
        subject: SubjectId,
        value: Option<&Encrypted<A>>,
        keys: &[(DataKeyId, OpenedKey)],
    ) {
        let Some(value) = value else { return };
        let header = match value.header() {
            Ok(header) => header,
            Err(error) => return self.fault(subject, A::NAME.to_owned(), &OpenError::from(error)),
        };
        let id = DataKeyId { subject, version: header.key_version };
        match keys.iter().find(|(known, _)| *known == id).map(|(_, key)| key) {
            Some(Ok(key)) => match key.open(value) {
                Ok(_) => self.attributes += 1,
                Err(error) => self.fault(subject, A::NAME.to_owned(), &error),
            },
            // Said already of the data key; and here, what it costs.
            Some(Err(error)) => self.fault(subject, A::NAME.to_owned(), error),
            None => self.fault(subject, A::NAME.to_owned(), &MissingKey(id)),
        }
    }

    fn fault(&mut self, subject: SubjectId, place: String, error: &dyn std::error::Error) {
        self.faults.push(Fault { subject, place, cause: causes::line(error) });
    }
}

#[derive(Debug, thiserror::Error)]
#[error("sealed under data key {0}, which is not there")]
struct MissingKey(DataKeyId);
