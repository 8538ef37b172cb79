//! Putting the rooms together: from a configuration to something that can be served.

use std::sync::Arc;

use futures::future::join_all;
use prometheus_client::registry::Registry;
use sea_orm::{DatabaseConnection, DbErr};

use crate::{
    access::{Authenticator, Budget, KeySourceError, Refusals, RequestRates, revocation},
    attributes::{DeclarationError, Declarations},
    audit::{AuditMetrics, Origin, Trail},
    causes,
    config::{Config, PeersConfig},
    database::{self, DatabaseError},
    entity,
    graphql::Api,
    http::{self, Checks, HttpState},
    key_metrics::KeyMetrics,
    keys::{Backends, Keyring, OpenBackendError, open_backends, subjects},
    peers::{PeerMetrics, PeerWatch},
    secret_file,
    sinks::{OpenSinksError, Receipts, SinkHealth, SinkMetrics, Sinks},
    users::{UserError, Users},
};

/// The part of a request's time that it may wait for the audit trail: a third, so that the client still learns what
/// happened.
const AUDIT_SHARE: u32 = 3;

/// Who forgets again at a start, in the audit trail.
const AT_START: &str = "system:start";

/// A whole Oubliette, ready to serve.
#[derive(Debug)]
pub struct App {
    /// All routes of the main listener.
    pub router: axum::Router,
    /// All routes of the listener for metrics.
    pub metrics_router: axum::Router,
    /// The users behind them.
    pub users: Users,
    /// The keyring behind them.
    pub keyring: Keyring,
    /// Who may call them.
    pub authenticator: Authenticator,
    /// How often.
    pub rates: RequestRates,
    /// How often they are refused something. To be finished before the trail is closed.
    pub refusals: Refusals,
    /// The audit trail's batch writer. To be closed before the process ends.
    pub trail: Trail,
    /// The database behind them.
    pub db: DatabaseConnection,
    /// Where the erasure ledger is kept outside the database. To be watched while the router serves.
    pub sinks: Sinks,
    sink_health: SinkHealth,
    sink_metrics: SinkMetrics,
    receipts: Receipts,
    peers: PeersConfig,
    peer_metrics: PeerMetrics,
}

impl App {
    /// Connects to the database, sees to its schema, and opens the key backends.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what to do.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let db = database::connect(&config.database).await?;
        if let Some(file) = &config.database.url_file {
            secret_file::warn_if_open("database.url_file", file);
        }
        if config.database.migrate_on_start {
            database::migrate(&db).await?;
        } else {
            database::require_current_schema(&db).await?;
        }
        database::warn_of_loss(&db).await;
        // A process that ended before it could may have left the log full.
        database::scrub(&db).await;
        let metrics = KeyMetrics::default();
        let backends = open_backends(&config.keys, &db, &metrics.clone().into()).await?;
        let authenticator = Authenticator::open(&config.auth, &config.limits, &db).await?;
        let declarations = Declarations::of(&config.attributes)?;
        let mut app =
            Self::assemble(config, db, backends, entity::registry(), declarations, authenticator, metrics);
        app.sinks = app.open_sinks(config).await?;
        app.check_backends().await;
        app.sinks.begin().await;
        app.warn_of_orphans().await;
        let returned =
            app.users.forget_the_returned(&Origin::new(AT_START)).await.map_err(StartError::Forget)?;
        if returned > 0 {
            tracing::warn!(
                returned,
                "users who had been forgotten were back, as after a restored backup; they are forgotten again"
            );
        }
        let returned = revocation::revoke_the_returned(&app.db, &Origin::new(AT_START))
            .await
            .map_err(StartError::Revoke)?;
        if returned > 0 {
            tracing::warn!(
                returned,
                "access tokens that had been revoked were good again, as after a restored backup; they are revoked again"
            );
        }
        app.prepare_search(config.search.build_at_start).await;
        Ok(app)
    }

    /// Opens the sinks.
    ///
    /// # Errors
    ///
    /// [`OpenSinksError`].
    pub async fn open_sinks(&self, config: &Config) -> Result<Sinks, OpenSinksError> {
        if config.ledger.sinks.is_empty() {
            tracing::warn!(
                "the erasure ledger is kept in the database only: a restored backup does not know whom to forget again; [ledger.sinks.NAME] keeps it outside, too"
            );
        }
        let Self { db, users, keyring, sink_health, sink_metrics, receipts, .. } = self;
        Sinks::open(
            &config.ledger,
            db.clone(),
            users.clone(),
            keyring.clone(),
            sink_health.clone(),
            sink_metrics.clone(),
            receipts,
        )
        .await
    }

    /// Sees to it that people can be found, or says why they cannot.
    async fn prepare_search(&self, build: bool) {
        match self.users.prepare_search(build).await {
            Ok(missing) => {
                for name in missing {
                    tracing::warn!(
                        "nobody can be found by `{name}` yet: `oubliette-admin index build` builds what is missing; a database without users needs none"
                    );
                }
            }
            Err(error) => {
                tracing::error!("people cannot be found by what they have: {}", causes::line(&error));
            }
        }
    }

    /// Says which values are there and not answered, since nobody declares them here.
    async fn warn_of_orphans(&self) {
        match self.users.orphaned_attributes().await {
            Ok(names) => {
                for name in names {
                    tracing::warn!(
                        "there are values of `{name}`, which is not declared under [attributes]: they are kept, rotated and \
                         forgotten, and answered to nobody; `oubliette-admin attributes purge {name}` removes them"
                    );
                }
            }
            Err(error) => {
                tracing::warn!("it is not known which attributes have values: {}", causes::line(&error));
            }
        }
    }

    /// Puts an app together over parts that are ready. `tables` hold personal data, and `metrics` are those that the backends
    /// count in.
    /// Starts the audit trail's batch writer, a task: so there must be a runtime.
    #[must_use]
    pub fn assemble(
        config: &Config,
        db: DatabaseConnection,
        backends: Backends,
        tables: subjects::Registry,
        declarations: Declarations,
        authenticator: Authenticator,
        metrics: KeyMetrics,
    ) -> Self {
        let mut registry = Registry::with_prefix("oubliette");
        metrics.register(&mut registry);
        let audit_metrics = AuditMetrics::default();
        audit_metrics.register(&mut registry);
        let patience = config.http.request_timeout / AUDIT_SHARE;
        let trail = Trail::start(db.clone(), config.audit.reads, patience, audit_metrics);
        let peer_metrics = PeerMetrics::default();
        peer_metrics.register(&mut registry);
        let sink_metrics = SinkMetrics::default();
        sink_metrics.register(&mut registry);
        let sink_health = SinkHealth::new(&config.ledger);
        let keyring = Keyring::new(db.clone(), backends, &config.keys, metrics);
        let users = Users::new(db.clone(), keyring.clone())
            .with_registry(tables)
            .with_declarations(declarations)
            .announcing(config.peers.notify);
        let rates = RequestRates::new(&config.limits);
        let refusals = Refusals::new(config.limits.refusals_per_minute_per_token);
        let budget = Budget::new(&config.limits);
        let receipts = Receipts::default();
        let api = Api::new(
            users.clone(),
            receipts.clone(),
            budget,
            refusals.clone(),
            trail.clone(),
            &config.graphql,
        );
        let state = Arc::new(HttpState {
            api,
            db: db.clone(),
            keyring: keyring.clone(),
            users: users.clone(),
            sinks: sink_health.clone(),
            authenticator: authenticator.clone(),
            rates: rates.clone(),
            refusals: refusals.clone(),
            metrics: Arc::new(registry),
            checks: Checks::default(),
        });
        let router = http::router(state.clone(), &config.http);
        let metrics_router = http::metrics_router(state, config);
        let peers = config.peers.clone();
        Self {
            router,
            metrics_router,
            users,
            keyring,
            authenticator,
            rates,
            refusals,
            trail,
            db,
            sinks: Sinks::default(),
            sink_health,
            sink_metrics,
            receipts,
            peers,
            peer_metrics,
        }
    }

    /// What follows the forgettings of other servers. Call before the router serves.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn watch_peers(&self) -> Result<PeerWatch, DbErr> {
        let Self { users, keyring, db, peers, peer_metrics, .. } = self;
        PeerWatch::begin(db.clone(), users.clone(), keyring.clone(), peers.clone(), peer_metrics.clone())
            .await
    }

    /// Says in the log which backends can be used. A server starts without them, too: who is not personal
    /// can be read, and who is to be forgotten can be forgotten.
    async fn check_backends(&self) {
        let checks =
            self.keyring.backends().iter().map(async |backend| (backend.name(), backend.check().await));
        for (backend, checked) in join_all(checks).await {
            match checked {
                Ok(_) => tracing::info!(backend, "the key backend is ready"),
                Err(error) => {
                    tracing::error!(backend, "the key backend cannot be used: {}", causes::line(&error));
                }
            }
        }
    }
}

/// The app cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A key backend.
    #[error(transparent)]
    Keys(#[from] OpenBackendError),
    /// The keys of an issuer of tokens.
    #[error(transparent)]
    Auth(#[from] KeySourceError),
    /// A declared attribute.
    #[error(transparent)]
    Attributes(#[from] DeclarationError),
    /// The ledger outside the database.
    #[error(transparent)]
    Sinks(#[from] OpenSinksError),
    /// Users who were forgotten are back, and could not be forgotten again.
    #[error("the erasure ledger cannot be compared with the users")]
    Forget(#[source] UserError),
    /// Access tokens that were revoked are good again, and could not be revoked again.
    #[error("the erasure ledger cannot be compared with the access tokens")]
    Revoke(#[source] DbErr),
}
