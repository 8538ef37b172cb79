//! Data keys: where they are kept, what wraps them, and how they are opened.
//!
//! The [`Keyring`] is the one place that turns a subject into an open data key: store, cache, backends.
//! This crate knows nothing of users or GraphQL.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`backends`] | what wraps and unwraps: the trait [`KeyBackend`], its error classes, the kinds there are |
//! | [`local`] | wrapping keys in a file, for development |
//! | [`aws_kms`] | wrapping keys in AWS KMS, or in LocalStack |
//! | [`Backends`] | all open backends: one active, the others still unwrap |
//! | [`store`] | the table `data_keys` |
//! | [`wrapping_keys`] | the table of wrapping keys: whether anything may still come under one |
//! | [`index_keys`] | the table of index keys: what makes the tags by which values are found again |
//! | [`Keyring`] | all of it together |
//! | [`sweep`] | going through many data keys: shared, resumable, at a pace |
//! | [`rewrap`] | moving data keys to another wrapping key |
//! | [`Observer`] | what can be seen of it from outside |
//! | [`subjects`] | what belongs to a subject: rows, seals, locks, and the end of all that |
//! | [`Journal`] | what is recorded of it, in the transaction that does it |
//!
//! # Memory
//!
//! An open data key wipes itself when it is dropped, and so does what leaves the cache. Freed memory elsewhere (the buffers of SQL,
//! TLS and JSON), swap and core dumps are the program's business: see `src/memory.rs` of the service for how.
//!
//! # From a data key to a forgotten person
//!
//! A program says what it seals, in which tables, and whose it is; the rest is here. A whole program, with an API, is in
//! `examples/clinic`.
//!
//! ```
//! use oubliette_keys::{
//!     Keyring,
//!     database::{DatabaseConfig, connect, migrate},
//!     envelope::{Attribute, AttributeError, Encrypted, Personal, PersonalText, SubjectId},
//!     rotate::Rotate,
//!     sealed_model,
//!     subjects::{Registry, SealingTransaction, forget},
//!     sweep::{Controls, SweepOptions},
//! };
//! use sea_orm::{IntoActiveModel, entity::prelude::*};
//! use sea_orm_migration::{prelude::*, schema};
//!
//! // What is sealed: a kind of value, with a name that never changes.
//! pub enum Name {}
//!
//! impl Attribute for Name {
//!     const NAME: &'static str = "people.name";
//!     const FIELD: &'static str = "name";
//!
//!     fn parse(input: &str) -> Result<PersonalText, AttributeError> {
//!         Ok(PersonalText::new(input.trim().to_owned()))
//!     }
//! }
//!
//! // Where: in a SeaORM model. The type of a field says that it is sealed.
//! sealed_model! {
//!     subject: id in Column::Id;
//!
//!     #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
//!     #[sea_orm(table_name = "people")]
//!     pub struct Model {
//!         #[sea_orm(primary_key, auto_increment = false)]
//!         pub id: Uuid,
//!         pub name: Encrypted<Name>,
//!     }
//! }
//!
//! #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
//! pub enum Relation {}
//!
//! impl ActiveModelBehavior for ActiveModel {}
//!
//! // The schema: the tables of this crate and the program's own, in the order of their names.
//! struct Migrator;
//!
//! impl MigratorTrait for Migrator {
//!     fn migrations() -> Vec<Box<dyn MigrationTrait>> {
//!         oubliette_keys::migrations_and([Box::new(People) as _])
//!     }
//! }
//!
//! struct People;
//!
//! impl MigrationName for People {
//!     fn name(&self) -> &str {
//!         "m20261128_000001_people"
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl MigrationTrait for People {
//!     async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
//!         let (id, name) = (schema::uuid("id").primary_key().take(), schema::binary("name"));
//!         manager.create_table(Table::create().table("people").col(id).col(name).take()).await
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let folder = tempfile::tempdir()?;
//!     let db = connect(&DatabaseConfig::sqlite(folder.path().join("people.db"))).await?;
//!     migrate::<Migrator>(&db).await?;
//!     let keyring = Keyring::over_key_file(db.clone(), folder.path().join("keys.toml")).await?;
//!     let registry = Registry::new().with::<Model>();
//!
//!     // A new person: a data key, and a row whose value is sealed under it, in one transaction.
//!     let ada = SubjectId::generate();
//!     let transaction = SealingTransaction::begin_new(&keyring, ada).await?;
//!     let name = transaction.sealer().seal(&Personal::parse("Ada Lovelace")?)?;
//!     Model { id: ada.into(), name }.into_active_model().insert(&*transaction).await?;
//!     transaction.commit().await?;
//!
//!     // Read. A program that rotates while it serves does this within `subjects::read_again_if_rotated`.
//!     let find = || Entity::find_by_id(*ada.as_uuid()).one(&db);
//!     let row = find().await?.ok_or("Ada is there")?;
//!     assert_eq!(keyring.open_value(ada, &row.name).await?.expose(), "Ada Lovelace");
//!
//!     // A fresh data key for everybody; all values are sealed anew, and the old key is gone.
//!     let rotate = Rotate::everybody(keyring.clone(), registry.clone(), "the manual").await?;
//!     let report = rotate.run(&SweepOptions::default(), &Controls::default()).await?;
//!     assert_eq!(report.left, 0);
//!     let stale = keyring.open_value(ada, &row.name).await;
//!     assert!(stale.is_err_and(|error| error.is_key_gone()));
//!     let row = find().await?.ok_or("Ada is there")?;
//!     assert_eq!(keyring.open_value(ada, &row.name).await?.expose(), "Ada Lovelace");
//!
//!     // More values of somebody who is there are sealed the same way. Nobody rotates or forgets Ada meanwhile.
//!     let transaction = SealingTransaction::begin(&keyring, ada).await?;
//!     let name = transaction.sealer().seal(&Personal::parse("Ada King")?)?;
//!     let changed = Model { name, ..row.clone() }.into_active_model().reset_all();
//!     changed.update(&*transaction).await?;
//!     transaction.commit().await?;
//!
//!     // Forgotten: the rows and the data key, in one transaction; then the open key in memory, and SQLite's log.
//!     let erased = forget(&keyring, &registry, ada).await?;
//!     assert_eq!((erased.keys.len(), erased.rows), (1, 1));
//!     assert!(find().await?.is_none());
//!     let kept_elsewhere = row.name;
//!     assert!(keyring.open_value(ada, &kept_elsewhere).await.is_err());
//!     Ok(())
//! }
//! ```

#[cfg(feature = "aws-kms")]
pub mod aws_kms;
pub mod backends;
mod cache;
mod commitment;
/// The settings of this crate.
pub mod config;
mod context;
pub mod entity;
mod fence;
pub mod index_keys;
mod journal;
mod keyring;
#[cfg(feature = "local")]
pub mod local;
mod migrations;
mod observer;
mod open_data_key;
mod open_wrapping_key;
mod realm;
mod recent_misses;
pub mod rewrap;
pub mod rotate;
mod slot;
pub mod store;
pub mod subjects;
pub mod sweep;
pub mod verify;
mod wrapped_key;
pub mod wrapping_keys;

#[cfg(feature = "aws-kms")]
use oubliette_platform::loopback;
use oubliette_platform::redaction;
#[cfg(feature = "local")]
use oubliette_platform::secret_file;

pub use oubliette_envelope as envelope;
pub use oubliette_platform::{causes, database};
#[doc(hidden)]
pub use sea_orm;

pub use backends::{
    Allowances, BackendError, BackendKind, BackendSettings, Backends, Bound, Cost, ErrorClass, GeneratedKey,
    KINDS, KeyBackend, KeysInUse, OpenBackendError, Ownership, RawSettings, RawWrap, SettingError, advice,
    kind, open_backend, open_backends, open_what_can_be, owner, settings,
};
pub use commitment::{COMMITMENT_LENGTH, KeyCommitment};
pub use context::KeyContext;
use fence::{Fence, Ticket};
pub use journal::{Journal, NoJournal};
pub use keyring::{FoundKey, Keyring, KeyringError, NewDataKey, OpenedKey, WithKeys};
pub use migrations::{SealedColumn, migrations, migrations_and};
pub use observer::{
    CacheEvent, EvictionCause, Observer, Operation, RefreshOutcome, SharedObserver, unobserved,
};
pub use open_data_key::{DataKeyIdentity, OpenDataKey};
pub use realm::Realm;
use recent_misses::RecentMisses;
pub use wrapped_key::{KekId, WrappedKey};
pub use wrapping_keys::{Inactive, KekState, NotStored};
