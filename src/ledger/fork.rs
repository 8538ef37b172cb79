use sea_orm::{DatabaseConnection, DbErr};

use super::{publication, verify::Erasures};
use crate::{
    audit::{self, Action, NewEvent, Origin},
    chain::{self, Head},
    database::{begin_write, on_the_primary},
};

/// Adopts the history of a sink in place of the database's, where both were signed: from now on, the entries that the database has of its own
/// after the common one are like entries that were never signed. Servers bring the sink's in, and append these again behind. Leaves an event in the
/// audit trail. Whether the database still ended where it was found.
///
/// # Errors
///
/// The database's error; then nothing is adopted.
pub async fn adopt_fork(
    db: &DatabaseConnection,
    common: &Head,
    found: &Head,
    sink: &str,
    origin: &Origin,
) -> Result<bool, DbErr> {
    on_the_primary(db, || async {
        let transaction = begin_write(db).await?;
        if chain::lock::<Erasures>(&transaction).await? != *found {
            transaction.rollback().await?;
            return Ok(false);
        }
        publication::unsign(&transaction, common.sequence).await?;
        let event = NewEvent::new(origin, Action::LedgerAdopt);
        let event = event.target(format!("{sink}: entries after {}, instead of {found}", common.sequence));
        audit::append(&transaction, [&event]).await?;
        transaction.commit().await?;
        Ok(true)
    })
    .await
}
