use std::time::Duration;

use sea_orm::sqlx::{
    self, Executor,
    postgres::{PgListener, PgPoolOptions},
};
use tokio::{sync::Notify, time::timeout};

use super::PeerMetrics;
use crate::{
    causes,
    database::{PoolerError, Sessions, sessions},
    ledger::ERASURES_CHANNEL,
};

/// How long the database may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a listener that was lost stays away.
const PAUSE: Duration = Duration::from_secs(1);

/// The same, where it is a pooler that nothing can be heard through.
const LONG_PAUSE: Duration = Duration::from_mins(1);

/// A connection that brought nothing for this long is asked whether it still lives.
const SILENCE: Duration = Duration::from_secs(30);

/// Passes on that somebody has forgotten, for as long as the future is polled.
///
/// Over a connection of its own, beside the pool's: one of the pool's would be missing there for good, and a
/// pool may have a single one. While there is none, `heard` is quiet, and that is all.
pub(super) async fn listen(pool: &sqlx::PgPool, heard: &Notify, metrics: &PeerMetrics) {
    let mut complained = false;
    loop {
        let lost = match connect(pool).await {
            Ok(mut listener) => {
                tracing::info!("other servers' notifications of forgettings are heard");
                complained = false;
                metrics.listening.set(1);
                let lost = pass_on(&mut listener, heard).await;
                metrics.listening.set(0);
                lost
            }
            Err(refused) => refused,
        };
        if !complained {
            complained = true;
            tracing::warn!(
                "other servers' notifications of forgettings are not heard; the ledger is looked at every peers.poll_interval: {}",
                causes::line(&lost)
            );
        }
        tokio::time::sleep(if matches!(lost, NotHeard::Shared) { LONG_PAUSE } else { PAUSE }).await;
    }
}

async fn connect(pool: &sqlx::PgPool) -> Result<PgListener, NotHeard> {
    // Who listened in somebody else's session would hear nothing, and that one's answers would be disturbed.
    match sessions(pool).await {
        Ok(Sessions::Shared) | Err(PoolerError::Statements(_)) => return Err(NotHeard::Shared),
        // If it cannot be told, it is tried: mostly there is no pooler.
        Ok(Sessions::Own) | Err(PoolerError::Slow(_) | PoolerError::Database(_)) => {}
    }
    let options = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    in_time(async {
        let own = options.connect_with((*pool.connect_options()).clone()).await?;
        let mut listener = PgListener::connect_with(&own).await?;
        listener.eager_reconnect(false);
        listener.listen(ERASURES_CHANNEL).await?;
        Ok(listener)
    })
    .await
}

/// Gives why it ended.
async fn pass_on(listener: &mut PgListener, heard: &Notify) -> NotHeard {
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(_))) => heard.notify_one(),
            Ok(Ok(None)) => return NotHeard::Lost,
            Ok(Err(error)) => return error.into(),
            Err(_) => {
                if let Err(error) = in_time(listener.execute("SELECT 1")).await {
                    return error;
                }
            }
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, NotHeard> {
    Ok(timeout(TIMEOUT, answer).await.map_err(|_| NotHeard::Slow)??)
}

/// Why notifications are not heard.
#[derive(Debug, thiserror::Error)]
enum NotHeard {
    #[error("the connection was lost")]
    Lost,
    #[error("the database took too long")]
    Slow,
    #[error("the database is behind a pooler in transaction mode")]
    Shared,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}
