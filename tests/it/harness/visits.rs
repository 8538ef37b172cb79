//! A second table with personal data, as a program beside the service would have one: several rows for a person, and a
//! third and a fourth sealed column, one of an attribute whose name stands in the row.

use oubliette::{
    database::begin_write,
    entity,
    envelope::{
        Attribute, AttributeError, DataKeyId, NamedAttribute, Personal, PersonalText, Sealed, SealedRow,
        SubjectId,
    },
    keys::{
        Keyring, KeyringError,
        subjects::{LockedSubject, Registry},
    },
};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, IntoActiveModel, QueryFilter, Schema,
    entity::prelude::*,
};

/// What was said at a visit.
#[derive(Debug)]
pub(crate) enum Note {}

impl Attribute for Note {
    const NAME: &'static str = "visits.note";
    const FIELD: &'static str = "note";

    fn parse(input: &str) -> Result<PersonalText, AttributeError> {
        Ok(PersonalText::new(input.to_owned()))
    }
}

/// Whatever the column `name` says.
#[derive(Debug)]
pub(crate) enum Named {}

impl NamedAttribute for Named {}

pub(crate) mod visit {
    use super::{Named, Note};
    use oubliette::{envelope::Encrypted, keys::sealed_row};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "visits")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: Uuid,
        pub(crate) user_id: Uuid,
        pub(crate) note: Option<Encrypted<Note>>,
        pub(crate) name: String,
        pub(crate) value: Encrypted<Named>,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    sealed_row!(Model { subject: user_id in Column::UserId, sealed: [note, value by name], plain: [id, name] });
}

/// All tables with personal data, if the service had this one, too.
pub(crate) fn registry_with_visits() -> Registry {
    entity::registry().with::<visit::Model>()
}

pub(crate) async fn create_visits(db: &DatabaseConnection) {
    let backend = db.get_database_backend();
    let table = Schema::new(backend).create_table_from_entity(visit::Entity).if_not_exists().to_owned();
    db.execute(&table).await.unwrap();
}

/// Stores a visit, as any program does that seals for somebody who is there. `false` if they are not, or no longer.
pub(crate) async fn add_visit(
    db: &DatabaseConnection,
    keyring: &Keyring,
    subject: SubjectId,
    note: &str,
) -> bool {
    loop {
        let key = match keyring.open_newest(subject).await {
            Ok(key) => key,
            Err(error) if matches!(*error, KeyringError::NoDataKey(_)) => return false,
            Err(error) => panic!("{error}"),
        };
        let transaction = begin_write(db).await.unwrap();
        let locked = LockedSubject::to_seal(&transaction, subject).await.unwrap();
        // Rotated or forgotten meanwhile.
        let Some(sealer) = locked.sealer(&key) else { continue };
        let name = format!("visits.{}", &note[..4.min(note.len())]);
        let text = PersonalText::new(note.to_owned());
        let visit = visit::Model {
            id: Uuid::now_v7(),
            user_id: subject.into(),
            note: Some(sealer.seal(&Personal::parse(note).unwrap()).unwrap()),
            value: sealer.seal_named(&name, &text).unwrap(),
            name,
        };
        visit.into_active_model().reset_all().insert(&transaction).await.unwrap();
        transaction.commit().await.unwrap();
        return true;
    }
}

/// The visits' notes; `None` if somebody was rotating or forgetting each time that they were read.
pub(crate) async fn notes(
    db: &DatabaseConnection,
    keyring: &Keyring,
    subject: SubjectId,
) -> Option<Vec<String>> {
    for _ in 0..20 {
        let own = visit::Column::UserId.eq(Uuid::from(subject));
        let rows = visit::Entity::find().filter(own).all(db).await.unwrap();
        if let Some(notes) = open_all(keyring, &rows).await {
            return Some(notes);
        }
    }
    None
}

async fn open_all(keyring: &Keyring, rows: &[visit::Model]) -> Option<Vec<String>> {
    let mut notes = Vec::new();
    for row in rows {
        let mut values = Vec::new();
        row.each_sealed(&mut |field| {
            let value = field.value.unwrap();
            values.push((field.name.to_owned(), value.as_bytes().to_vec()));
        });
        let mut opened = Vec::new();
        for (name, bytes) in values {
            let value = Sealed::new(&name, &bytes);
            let id = DataKeyId { subject: row.subject(), version: value.header().unwrap().key_version };
            let key = match keyring.open(id).await {
                Ok(key) => key,
                Err(error) if matches!(*error, KeyringError::Missing(_)) => return None,
                Err(error) => panic!("{error}"),
            };
            opened.push(key.open_sealed(value).unwrap().expose().to_owned());
        }
        assert_eq!(opened[0], opened[1], "both columns hold the same");
        notes.push(opened.remove(0));
    }
    Some(notes)
}
