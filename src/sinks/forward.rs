use super::{SinkError, watch::Watch};
use crate::{
    access::revocation,
    audit::{self, Action, NewEvent, Origin},
    chain::Head,
    database::begin_write,
    ledger::{self, ForwardError, Told, rollbacks::BROUGHT_FORWARD},
};

/// Most entries that come in together, if none has to move.
const TOGETHER: i64 = 10_000;

impl Watch {
    /// Forgets again whom the sink says were forgotten, and brings these entries in: in this order, so that a database that is whole
    /// has nobody who is in them.
    pub(super) async fn bring_forward(&mut self, found: &Head, common: &Head) -> Result<(), SinkError> {
        let db = &self.context.db;
        let newest = self.mirror.head().sequence;
        // If own entries have to move, all come at once: nobody finds a ledger without them.
        let last = if found == common { newest.min(common.sequence + TOGETHER) } else { newest };
        let texts = self.mirror.entries(common.sequence + 1, last).await?;
        let Told { subjects, tokens, rotations } = ledger::told(&texts).map_err(ForwardError::from)?;
        let origin = Origin::new(BROUGHT_FORWARD);
        let mut returned = self.context.users.forget_again(&subjects, &origin).await?;
        let revoked = revocation::revoke_again(db, &tokens, &origin).await?;
        let transaction = begin_write(db).await?;
        let Some(forwarded) = ledger::bring_forward(&transaction, found, common, &texts).await? else {
            transaction.rollback().await?;
            return Ok(());
        };
        let event =
            NewEvent::new(&origin, Action::LedgerReplay).target(format!("{}-{last}", common.sequence + 1));
        audit::append(&transaction, [&event]).await?;
        transaction.commit().await?;
        // Whoever was imported meanwhile.
        returned += self.context.users.forget_again(&subjects, &origin).await?;
        self.context.metrics.replayed(texts.len());
        tracing::warn!(
            sink = self.name,
            entries = texts.len(),
            forgotten_again = returned,
            moved = forwarded.moved,
            revoked_again = revoked,
            "the database was behind the ledger outside, as after a restored backup or a failover; it was brought forward to {}",
            forwarded.head
        );
        self.to_settle.upgrade |= forwarded.upgraded;
        self.to_settle.rotations |= rotations > 0;
        Ok(())
    }
}
