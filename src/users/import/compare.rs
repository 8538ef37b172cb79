use std::collections::{BTreeMap, HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use super::{Difference, Import, Imported, ImportedUser};
use crate::{
    attributes::AttributeName,
    audit::{self, Action, MAX_SUBJECTS, NewEvent},
    database::one_of,
    entity::{erasure, user},
    envelope::SubjectId,
    users::{Columns, Reads, User, UserError, columns::rows, values::and_values},
};

/// Users who are here already.
#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<SubjectId, User>,
    by_username: HashMap<String, SubjectId>,
}

impl Import {
    /// Says what becomes of those who are here already, or were forgotten.
    pub(super) async fn look_up(
        &self,
        users: &[ImportedUser],
        outcomes: &mut [Option<Imported>],
    ) -> Result<(), UserError> {
        let open: Vec<_> = users.iter().zip(&*outcomes).filter(|(_, outcome)| outcome.is_none()).collect();
        let ids = open.iter().filter_map(|(user, _)| user.id).collect();
        let forgotten = forgotten(&self.users.db, ids).await?;
        let refuses_unknown = !self.options.without_ids && is_anybody_forgotten(&self.users.db).await?;
        let known = self.known(open.iter().map(|(user, _)| *user)).await?;
        let mut looks: BTreeMap<Vec<AttributeName>, Vec<SubjectId>> = BTreeMap::new();
        for (user, outcome) in users.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_none()) {
            if user.id.is_some_and(|id| id.as_uuid().is_nil()) {
                *outcome = Some(refused("id", "is the nil UUID, which nobody can have".to_owned()));
                continue;
            }
            if user.id.is_some_and(|id| forgotten.contains(&id)) {
                *outcome =
                    Some(refused("id", "is that of a user who was forgotten, which stays so".to_owned()));
                continue;
            }
            let by_username = known.by_username.get(user.new.username.as_str()).copied();
            let by_id = user.id.filter(|id| known.by_id.contains_key(id));
            if let (Some(_), None, Some(other)) = (user.id, by_id, by_username) {
                *outcome = Some(refused("username", format!("is that of user {other}, who has another id")));
                continue;
            }
            if let Some(known) = by_id.or(by_username).and_then(|id| known.by_id.get(&id)) {
                *outcome = compare(user, known).await?;
                let names = user.new.personal.new_values().map(|(one, _)| one.recorded());
                looks.entry(names.collect()).or_default().push(known.id());
            } else if user.id.is_none() && refuses_unknown {
                *outcome = Some(refused("id", UNKNOWN.to_owned()));
            }
        }
        Ok(self.record(looks).await?)
    }

    /// Leaves events for those who were looked at.
    async fn record(&self, looks: BTreeMap<Vec<AttributeName>, Vec<SubjectId>>) -> Result<(), DbErr> {
        let event = |names: &[_], subjects: &[SubjectId]| {
            let event = NewEvent::new(&self.origin, Action::ReadPii).attributes(names);
            event.about_each(subjects).times(subjects.len().try_into().unwrap_or(u32::MAX))
        };
        let looks = looks.iter().filter(|(names, _)| !names.is_empty());
        let events: Vec<_> = looks
            .flat_map(|(names, subjects)| subjects.chunks(MAX_SUBJECTS).map(|some| event(names, some)))
            .collect();
        if events.is_empty() { Ok(()) } else { audit::record(&self.users.db, &events).await }
    }

    /// Those who are here already, by what is given of them.
    async fn known<'u>(&self, given: impl Iterator<Item = &'u ImportedUser>) -> Result<Known, DbErr> {
        let (mut reads, mut usernames, mut ids) = (Reads::COLUMNS, Vec::new(), Vec::new());
        for user in given {
            user.new.personal.new_values().for_each(|(attribute, _)| reads.add(&attribute));
            usernames.push(user.new.username.as_str().to_owned());
            ids.extend(user.id.map(Uuid::from));
        }
        let db = &self.users.db;
        let backend = db.get_database_backend();
        let mut found = Vec::new();
        let conditions = [
            (!usernames.is_empty()).then(|| one_of(backend, user::Column::Username, usernames)),
            (!ids.is_empty()).then(|| one_of(backend, user::Column::Id, ids)),
        ];
        for condition in conditions.into_iter().flatten() {
            let select = Columns::ALL.select().filter(condition).into_query();
            found.extend(rows(db, backend.build(&select)).await?);
        }
        // By their username and by their id.
        found.sort_unstable_by_key(|row| row.id);
        found.dedup_by_key(|row| row.id);
        let found = and_values(db, found, &reads.declared).await?;
        let mut known = Known::default();
        for user in User::together(&self.users, found, &reads.declared, Vec::new()) {
            known.by_username.insert(user.username().to_owned(), user.id());
            known.by_id.insert(user.id(), user);
        }
        Ok(known)
    }
}

/// Those of these ids that stand in the erasure ledger.
pub(super) async fn forgotten(
    db: &impl ConnectionTrait,
    ids: Vec<SubjectId>,
) -> Result<HashSet<SubjectId>, DbErr> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = ids.into_iter().map(Uuid::from).collect();
    let forgotten: Vec<Option<Uuid>> = erasure::Entity::find()
        .select_only()
        .column(erasure::Column::SubjectId)
        .filter(one_of(db.get_database_backend(), erasure::Column::SubjectId, ids))
        .into_tuple()
        .all(db)
        .await?;
    Ok(forgotten.into_iter().flatten().map(SubjectId::from).collect())
}

/// Whether a user is what is given. `None` if they were forgotten just now.
async fn compare(given: &ImportedUser, known: &User) -> Result<Option<Imported>, UserError> {
    let mut differences = Vec::new();
    let mut differs =
        |field: &str, problem| differences.push(Difference { field: field.to_owned(), problem });
    if given.new.username.as_str() != known.username() {
        differs("username", OTHER);
    }
    for (attribute, value) in given.new.personal.new_values() {
        match known.open(&attribute).await {
            Ok(Some(here)) if here == *value => {}
            Ok(Some(_)) => differs(attribute.name(), OTHER),
            Ok(None) => differs(attribute.name(), "has no value here"),
            Err(UserError::Unreadable { .. }) => {
                differs(attribute.name(), "does not open here: `oubliette-admin keys verify` says why");
            }
            Err(UserError::Forgotten(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let id = known.id();
    Ok(Some(if differences.is_empty() { Imported::Same(id) } else { Imported::Different(id, differences) }))
}

/// Whether anybody was forgotten, of whom nothing but the id is known.
pub(super) async fn is_anybody_forgotten(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let anybody = erasure::Entity::find().filter(erasure::Column::SubjectId.is_not_null());
    Ok(anybody.limit(1).one(db).await?.is_some())
}

const UNKNOWN: &str =
    "is missing: people were forgotten here, and by their ids alone can it be said that this is none of them";
const OTHER: &str = "is another one here";

fn refused(field: &'static str, problem: String) -> Imported {
    Imported::Refused { field: field.into(), problem }
}
