//! Whether PostgreSQL may lose what it has acknowledged.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use crate::causes;

/// How long the answer may take. Nothing depends on it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Standbys that stream: rows are visible to every role, if not what is in them.
const SETTINGS: &str = "SELECT (SELECT count(*) FROM pg_stat_replication), \
    current_setting('synchronous_standby_names'), current_setting('synchronous_commit')";

/// Warns if PostgreSQL is set up so that an acknowledged erasure can be lost. Never fails.
pub async fn warn_of_loss(db: &DatabaseConnection) {
    if db.get_database_backend() != DbBackend::Postgres {
        return;
    }
    match tokio::time::timeout(TIMEOUT, ask(db)).await {
        Ok(Ok(Some(danger))) => {
            tracing::warn!("an acknowledged erasure can be undone: {danger}; see docs/erasure.md");
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => {
            tracing::debug!("it is not known how the database replicates: {}", causes::line(&error));
        }
        Err(_) => tracing::debug!("it is not known how the database replicates: no answer in time"),
    }
}

async fn ask(db: &DatabaseConnection) -> Result<Option<&'static str>, DbErr> {
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, SETTINGS)).await?;
    let Some(row) = row else { return Ok(None) };
    let (standbys, names, commit): (i64, String, String) =
        (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    Ok(danger(standbys > 0, &names, &commit))
}

fn danger(
    has_standbys: bool,
    synchronous_standby_names: &str,
    synchronous_commit: &str,
) -> Option<&'static str> {
    match synchronous_commit {
        "off" => {
            Some("synchronous_commit is off, so that a crash of the database loses what was just committed")
        }
        _ if !has_standbys => None,
        _ if synchronous_standby_names.trim().is_empty() => Some(
            "the database's standbys are asynchronous (synchronous_standby_names is empty), so that one that takes over may lack what was just committed",
        ),
        "local" => Some(
            "synchronous_commit is local, so that a standby that takes over may lack what was just committed",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_lose_an_erasure_is_told() {
        for (has_standbys, names, commit, is_dangerous) in [
            (false, "", "on", false),
            (false, "", "local", false),
            (false, "", "off", true),
            (true, "", "on", true),
            (true, "*", "on", false),
            (true, "*", "remote_apply", false),
            (true, "*", "local", true),
            (true, "*", "off", true),
        ] {
            assert_eq!(danger(has_standbys, names, commit).is_some(), is_dangerous, "{names} {commit}");
        }
    }
}
