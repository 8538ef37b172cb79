use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use tokio::time::timeout;

use crate::causes;

/// The channel of PostgreSQL on which a server that has forgotten somebody says so. The message is empty: the ledger has
/// all there is to know.
pub const ERASURES_CHANNEL: &str = "oubliette_erasures";

/// How long a notification may take. Nothing depends on it.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Tells other servers that the ledger has grown, where the database can pass it on.
///
/// In a statement of its own, after the commit: within the transaction, a database that speaks
/// PostgreSQL's protocol and knows no `NOTIFY` would refuse to forget.
pub(crate) async fn announce(db: &DatabaseConnection) {
    if db.get_database_backend() != DbBackend::Postgres {
        return;
    }
    let statement = format!("NOTIFY {ERASURES_CHANNEL}");
    match timeout(TIMEOUT, db.execute_unprepared(&statement)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!("other servers are not notified: {}", causes::line(&error)),
        Err(_) => tracing::debug!("other servers are not notified: the database took too long"),
    }
}
