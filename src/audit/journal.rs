use async_trait::async_trait;
use sea_orm::DbErr;

use super::{Action, NewEvent, Origin, append};
use crate::{
    database::WriteTransaction,
    envelope::DataKeyId,
    keys::{Journal, KekId, wrapping_keys::Transition},
};

/// What is done with keys comes into the audit trail.
#[async_trait]
impl Journal for Origin {
    fn actor(&self) -> &str {
        Self::actor(self)
    }

    async fn rotated(&self, transaction: &WriteTransaction, fresh: DataKeyId) -> Result<(), DbErr> {
        let event = NewEvent::new(self, Action::KeyRotate).about(fresh.subject);
        let event = event.target(format!("data key {}", fresh.version));
        append(transaction, [&event]).await
    }

    async fn changes_state(
        &self,
        transaction: &WriteTransaction,
        kek_id: &KekId,
        transition: Transition,
    ) -> Result<(), DbErr> {
        let action = match transition {
            Transition::BeginRetirement => Action::KeyRetiring,
            Transition::EndRetirement => Action::KeyRetired,
            Transition::UndoRetirement | Transition::Activate => Action::KeyReactivated,
        };
        append(transaction, [&NewEvent::new(self, action).target(kek_id)]).await
    }
}
