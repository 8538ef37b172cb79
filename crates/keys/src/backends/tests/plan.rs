//! A rewrap asks the kinds of nothing: the plan and the run are made of what the backends say.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, EntityTrait};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use tokio_util::sync::CancellationToken;

use super::{super::*, fake, nobody};
use crate::{
    DataKeyIdentity, KekId, NoJournal,
    config::KeysConfig,
    database::begin_write,
    entity,
    envelope::{DataKeyId, KeyVersion, SubjectId},
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
        let key = StoredKey { identity: DataKeyIdentity::generate(), wrapped };
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
