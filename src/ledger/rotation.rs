//! Rotations of data keys: entries, so that it is known after a restored backup which of them are undone.
//!
//! The older keys are not destroyed again: in a backup from before the rotation, living people are under them.

use std::fmt;

use chrono::SecondsFormat;
use oubliette_ledger::{Form, Rotation};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait,
    QueryFilter,
};
use uuid::Uuid;

use super::{
    append::{append_all, lock},
    content::Content,
    version::EntryVersion,
};
use crate::{
    audit::Origin,
    database::{begin_write, now, on_the_primary},
    entity::{data_key, erasure},
};

/// Most subjects of an entry: it is to be short enough to be published.
const TOGETHER: usize = 500;

/// Data keys that are there again, or still, though there was a rotation of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoneRotation {
    /// The rotation, as far as it is undone.
    pub rotation: Rotation,
    /// How many data keys.
    pub data_keys: u64,
}

/// Which data keys, and what to do, as the end of a sentence.
impl fmt::Display for UndoneRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rotation: Rotation { made_before, subjects }, data_keys } = self;
        let moment = made_before.to_rfc3339_opts(SecondsFormat::Micros, true);
        let (keys, are, them) =
            if *data_keys == 1 { ("data key", "is", "it") } else { ("data keys", "are", "them") };
        write!(f, "{data_keys} {keys} {are} older than a rotation of {them}; `oubliette-admin keys rotate")?;
        match subjects {
            None => f.write_str(" --all")?,
            Some(subjects) => subjects.iter().try_for_each(|subject| write!(f, " --subject {subject}"))?,
        }
        write!(f, " --before {moment}` replaces {them} again")
    }
}

/// Appends the record of a rotation, unless it is there. Writes nothing as long as a server may run that would not read it.
///
/// # Errors
///
/// The database's error.
pub async fn record_rotation(
    db: &DatabaseConnection,
    rotation: &Rotation,
    origin: &Origin,
) -> Result<(), DbErr> {
    let lines: Vec<String> = match &rotation.subjects {
        None => vec![rotation.to_string()],
        Some(subjects) => subjects
            .chunks(TOGETHER)
            .map(|subjects| Rotation { subjects: Some(subjects.to_vec()), ..*rotation }.to_string())
            .collect(),
    };
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        let (end, version) = lock(&transaction).await?;
        if version >= EntryVersion::Two {
            let there: Vec<String> =
                rows(&transaction).await?.into_iter().map(|row| row.destroyed_keys).collect();
            let entries = lines.iter().filter(|line| !there.contains(line)).map(|line| Content {
                form: Form::Rotation1.as_str(),
                subject_id: None,
                target_id: Some(Uuid::new_v4()),
                at: now(),
                actor: origin.actor(),
                destroyed_keys: line,
            });
            append_all(&transaction, &end, entries).await?;
        }
        transaction.commit().await
    })
    .await
}

/// The rotations of which a data key is there that they had replaced: a backup was restored. Or one could not be replaced.
///
/// # Errors
///
/// The database's error.
pub async fn undone_rotations(db: &impl ConnectionTrait) -> Result<Vec<UndoneRotation>, DbErr> {
    let rows = rows(db).await?;
    let mut rotations: Vec<Rotation> =
        rows.iter().filter_map(|row| row.destroyed_keys.parse().ok()).collect();
    // The newest of everybody says what those before it said.
    rotations.sort_by_key(|rotation| std::cmp::Reverse(rotation.made_before));
    let everybody = rotations.iter().position(|rotation| rotation.subjects.is_none());
    rotations.truncate(everybody.map_or(rotations.len(), |newest| newest + 1));
    let mut undone = Vec::new();
    for rotation in rotations {
        let of = rotation.subjects.iter().flatten().copied();
        let which = Condition::all()
            .add(data_key::Column::CreatedAt.lt(rotation.made_before))
            .add_option(rotation.subjects.as_ref().map(|_| data_key::Column::SubjectId.is_in(of)));
        let data_keys = data_key::Entity::find().filter(which).count(db).await?;
        if data_keys > 0 {
            undone.push(UndoneRotation { rotation, data_keys });
        }
    }
    Ok(undone)
}

/// The entries of all rotations.
async fn rows(db: &impl ConnectionTrait) -> Result<Vec<erasure::Model>, DbErr> {
    erasure::Entity::find()
        .filter(erasure::Column::TargetId.is_not_null())
        .filter(erasure::Column::Form.eq(Form::Rotation1.as_str()))
        .all(db)
        .await
}
