//! A rewrap asks the kinds of nothing: the plan and the run are made of what the backends say.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use sea_orm::{DatabaseConnection, EntityTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use tokio_util::sync::CancellationToken;

use super::{super::*, fake, nobody};
use crate::{
    DataKeyIdentity, KekId, KeyContext, NoJournal, WrappedKey,
    config::KeysConfig,
    database::begin_write,
    entity,
    envelope::{DataKeyId, KeyMaterial, KeyVersion, SubjectId},
    rewrap::{PlanError, Rewrap, Route, Selection},
    store::{self, StoredKey},
    sweep::{Controls, RunOutcome, SweepOptions, Tally},
};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

/// A database with one data key under each of these, as their own backend wraps it.
async fn database(backend: &dyn KeyBackend, under: &[KekId]) -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new("sqlite::memory:");
    options.max_connections(1);
    let db = sea_orm::Database::connect(options).await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    for kek_id in under {
        let id = DataKeyId { subject: SubjectId::generate(), version: KeyVersion::FIRST };
        let made = backend.generate(&id.into()).await.unwrap();
        let wrapped = backend.wrap(&made.material, &id.into(), kek_id).await.unwrap();
        let transaction = begin_write(&db).await.unwrap();
        let key = StoredKey { identity: DataKeyIdentity::generate(), wrapped, commitment: None };
        store::insert(&transaction, id, key)
            .await
            .unwrap()
            .confirm(&transaction, backend.name())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    }
    db
}

fn engine(db: &DatabaseConnection, active: Arc<dyn KeyBackend>, others: Vec<Arc<dyn KeyBackend>>) -> Rewrap {
    Rewrap::new(db.clone(), Backends::new(active, others, &KeysConfig::default(), nobody()))
}

fn options() -> SweepOptions {
    SweepOptions {
        batch_size: NonZeroU32::new(3).unwrap(),
        concurrency: 2.try_into().unwrap(),
        max_rate: None,
        limit: None,
        patience: Duration::ZERO,
    }
}

fn controls() -> Controls {
    Controls {
        stop: CancellationToken::new(),
        tally: Arc::new(Tally::default()),
        on_failure: Arc::new(|_| {}),
        on_wait: Arc::new(|_| {}),
    }
}

#[tokio::test]
async fn data_keys_move_within_a_backend_and_between_two() {
    let of_vault = |name, vault| Arc::new(super::FakeBackend::new(name, vault, NonZeroU32::MIN));
    let (old, new) = (of_vault("old", "w2"), of_vault("new", "w"));
    let retired = old.kek_id(7);
    let db = database(&*old, &[retired.clone(), old.kek_id(0), retired.clone()]).await;
    let within = engine(&db, old.clone(), vec![new.clone()]);
    let plan = within.plan(Selection::default()).await.unwrap();
    assert_eq!((&plan.to, plan.data_keys()), (&old.kek_id(0), 2));
    assert_eq!((plan.sources.len(), plan.sources[0].route), (1, Route::Rewrap));
    let report = within.run(&plan, &NoJournal::new("a test"), &options(), &controls()).await.unwrap();
    assert_eq!((report.outcome, report.left), (RunOutcome::Completed, 0));

    // The new one could be asked, but nobody says that it opens what the other wrapped.
    assert_eq!(new.owns(&retired), Ownership::Likely);
    let between = engine(&db, new.clone(), vec![old]);
    let plan = between.plan(Selection::default()).await.unwrap();
    assert_eq!((plan.data_keys(), plan.sources[0].route), (3, Route::UnwrapAndWrap));
    between.run(&plan, &NoJournal::new("a test"), &options(), &controls()).await.unwrap();
    let keks = store::count_by_kek(&db, sea_orm::Condition::all()).await.unwrap();
    assert_eq!((keks.len(), &*keks[0].kek_id, keks[0].data_keys), (1, "fake:w/0", 3));

    let alone = engine(&db, of_vault("old", "w2"), Vec::new()).plan(Selection::default()).await;
    assert!(matches!(&alone, Err(PlanError::NoBackend(kek_id)) if kek_id.as_str() == "fake:w/0"));
    assert!(alone.unwrap_err().to_string().contains("kind = \"fake\" and vault = \"w\""));
}

#[tokio::test]
async fn each_data_key_moves_to_its_own_target_and_what_is_there_stays() {
    let backend = Arc::new(fake("one", 3));
    let old = backend.kek_id(9);
    let db = database(&*backend, &vec![old.clone(); 12]).await;
    let rewrap = engine(&db, backend.clone(), Vec::new());
    let plan = rewrap.plan(Selection::default()).await.unwrap();
    assert_eq!((plan.targets.len(), plan.data_keys()), (3, 12));
    let report = rewrap.run(&plan, &NoJournal::new("a test"), &options(), &controls()).await.unwrap();
    assert_eq!((report.outcome, report.left), (RunOutcome::Completed, 0));
    let rows = entity::data_key::Entity::find().all(&db).await.unwrap();
    let keys: Vec<_> = rows.into_iter().map(|row| store::parse(row).unwrap()).collect();
    for (id, wrapped) in &keys {
        assert_eq!(wrapped.kek_id, backend.current(&(*id).into()).await.unwrap());
        backend.unwrap(wrapped, &(*id).into()).await.unwrap();
    }
    assert_eq!(keys.len(), 12);
    let again = rewrap.plan(Selection::default()).await.unwrap();
    assert_eq!(again.data_keys(), 0, "{again:?}");
}

/// Wraps under the replica of a wrapping key, and names the primary, as KMS may.
#[derive(Debug)]
struct Replica(super::FakeBackend);

fn primary(kek_id: &KekId) -> KekId {
    KekId::new(kek_id.as_str().replace("/replica-", "/"))
}

#[async_trait]
impl KeyBackend for Replica {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn owns(&self, kek_id: &KekId) -> Ownership {
        self.0.owns(kek_id)
    }

    async fn current(&self, _: &KeyContext) -> Result<KekId, BackendError> {
        Ok(KekId::new("fake:v/replica-0"))
    }

    async fn all_current(&self) -> Result<Vec<KekId>, BackendError> {
        Ok(vec![KekId::new("fake:v/replica-0")])
    }

    async fn wrap(
        &self,
        material: &KeyMaterial,
        context: &KeyContext,
        to: &KekId,
    ) -> Result<WrappedKey, BackendError> {
        self.0.wrap(material, context, &primary(to)).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, context: &KeyContext) -> Result<KeyMaterial, BackendError> {
        let wrapped = WrappedKey { kek_id: primary(&wrapped.kek_id), bytes: wrapped.bytes.clone() };
        self.0.unwrap(&wrapped, context).await
    }
}

/// Else the run would never end: what it moved would still be to be moved.
#[tokio::test]
async fn a_data_key_is_stored_under_the_target_of_the_plan_however_the_backend_calls_it() {
    let replica = Arc::new(Replica(fake("one", 1)));
    let db = database(&*replica, &[replica.0.kek_id(4), replica.0.kek_id(4)]).await;
    let rewrap = engine(&db, replica.clone(), Vec::new());
    let plan = rewrap.plan(Selection::default()).await.unwrap();
    let report = rewrap.run(&plan, &NoJournal::new("a test"), &options(), &controls()).await.unwrap();
    assert_eq!((report.outcome, report.left), (RunOutcome::Completed, 0));
    for row in entity::data_key::Entity::find().all(&db).await.unwrap() {
        let (id, wrapped) = store::parse(row).unwrap();
        assert_eq!(wrapped.kek_id.as_str(), "fake:v/replica-0");
        replica.unwrap(&wrapped, &id.into()).await.unwrap();
    }
}
