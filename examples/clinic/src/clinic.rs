use std::path::Path;

use oubliette_envelope::{Personal, SubjectId};
use oubliette_keys::{
    Keyring,
    database::{DatabaseConfig, connect, migrate},
    rotate::Rotate,
    subjects::{Registry, SealingError, SealingTransaction, forget, read_again_if_rotated},
    sweep::{Controls, SweepOptions},
    verify::Verify,
};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

use crate::{ClinicError, error::parse, migrations::Migrator, patient, visit};

/// The patients and their visits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clinic {
    /// What opens the patients' data keys.
    pub keyring: Keyring,
    /// All tables with sealed values.
    pub registry: Registry,
}

/// A patient, opened.
pub(crate) struct Patient {
    pub(crate) id: SubjectId,
    pub(crate) ward: String,
    pub(crate) name: Personal<patient::Name>,
}

impl Clinic {
    /// Opens the database and the key file of a folder; makes what is missing.
    ///
    /// # Errors
    ///
    /// [`ClinicError::Connect`], [`ClinicError::KeyFile`].
    pub async fn open(folder: &Path) -> Result<Self, ClinicError> {
        let db = connect(&DatabaseConfig::sqlite(folder.join("clinic.db"))).await?;
        migrate::<Migrator>(&db).await?;
        let keyring = Keyring::over_key_file(db, folder.join("keys.toml")).await?;
        let registry = Registry::new().with::<patient::Model>().with::<visit::Model>();
        Ok(Self { keyring, registry })
    }

    pub(crate) async fn admit(&self, ward: String, name: &str) -> Result<SubjectId, ClinicError> {
        let (id, name) = (SubjectId::generate(), parse(name)?);
        let transaction = SealingTransaction::begin_new(&self.keyring, id).await?;
        let name = transaction.sealer().seal(&name)?;
        let row = patient::Model { id: id.into(), ward, name };
        row.into_active_model().insert(&*transaction).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// `false` if there is no such patient, or not any more.
    pub(crate) async fn add_visit(&self, id: SubjectId, note: &str) -> Result<bool, ClinicError> {
        let note = parse(note)?;
        let transaction = match SealingTransaction::begin(&self.keyring, id).await {
            Err(SealingError::NoDataKey(_)) => return Ok(false),
            begun => begun?,
        };
        let note = transaction.sealer().seal(&note)?;
        let row = visit::Model { id: SubjectId::generate().into(), patient_id: id.into(), note };
        row.into_active_model().insert(&*transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub(crate) async fn patient(&self, id: SubjectId) -> Result<Option<Patient>, ClinicError> {
        read_again_if_rotated(|| async {
            let row = patient::Entity::find_by_id(*id.as_uuid()).one(self.keyring.db()).await?;
            let Some(row) = row else { return Ok(None) };
            let name = self.keyring.open_value(id, &row.name).await?;
            Ok(Some(Patient { id, ward: row.ward, name }))
        })
        .await
    }

    /// The notes of a patient's visits, the oldest first.
    pub(crate) async fn visits(&self, id: SubjectId) -> Result<Vec<Personal<visit::Note>>, ClinicError> {
        read_again_if_rotated(|| async {
            let own = visit::Column::PatientId.eq(*id.as_uuid());
            let rows = visit::Entity::find().filter(own).order_by_asc(visit::Column::Id);
            let mut notes = Vec::new();
            for row in rows.all(self.keyring.db()).await? {
                notes.push(self.keyring.open_value(id, &row.note).await?);
            }
            Ok(notes)
        })
        .await
    }

    /// Whether there was anything to forget.
    pub(crate) async fn forget(&self, id: SubjectId) -> Result<bool, ClinicError> {
        Ok(!forget(&self.keyring, &self.registry, id).await?.is_nothing())
    }

    /// Gives every patient a fresh data key. How many this call replaced.
    pub(crate) async fn rotate(&self) -> Result<u64, ClinicError> {
        let rotate = Rotate::everybody(self.keyring.clone(), self.registry.clone(), "clinic").await?;
        let controls = Controls::logging();
        match rotate.run(&SweepOptions::default(), &controls).await?.left {
            0 => Ok(controls.tally.counts().done),
            left => Err(ClinicError::Unrotated(left)),
        }
    }

    /// Opens everything. What does not open, whose it is, and why not.
    pub(crate) async fn verify(&self) -> Result<Vec<String>, ClinicError> {
        let verified = Verify::new(self.keyring.clone(), self.registry.clone()).everything().await?;
        Ok(verified.faults.iter().map(ToString::to_string).collect())
    }
}
