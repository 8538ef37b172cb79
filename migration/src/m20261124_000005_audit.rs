use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, binary, small_integer, string_len, text, text_null, timestamp_with_time_zone, uuid_null,
    },
};

/// `audit_events`: who did what to whom, a hash chain; and `audit_head`, its newest event.
///
/// The head is one row, locked while events are appended, so that the chain has neither gaps nor forks; it
/// also shows a chain whose tail was cut off.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let events = Table::create()
            .table(AuditEvents::Table)
            .col(big_integer(AuditEvents::Sequence).primary_key())
            .col(timestamp_with_time_zone(AuditEvents::OccurredAt))
            .col(string_len(AuditEvents::Actor, 255))
            .col(string_len(AuditEvents::Action, 32))
            .col(uuid_null(AuditEvents::SubjectId))
            .col(text(AuditEvents::Attributes))
            .col(text_null(AuditEvents::Target))
            .col(text_null(AuditEvents::RequestId))
            .col(string_len(AuditEvents::Outcome, 16))
            .col(binary(AuditEvents::PreviousDigest))
            .col(binary(AuditEvents::Digest))
            .to_owned();
        manager.create_table(events).await?;
        // Pages of one subject's, or one actor's, events go by the sequence.
        for (name, column) in [
            ("audit_events_subject_id_sequence", AuditEvents::SubjectId),
            ("audit_events_actor_sequence", AuditEvents::Actor),
        ] {
            let index = Index::create()
                .name(name)
                .table(AuditEvents::Table)
                .col(column)
                .col(AuditEvents::Sequence)
                .to_owned();
            manager.create_index(index).await?;
        }
        let head = Table::create()
            .table(AuditHead::Table)
            .col(small_integer(AuditHead::Id).primary_key())
            .col(big_integer(AuditHead::Sequence))
            .col(binary(AuditHead::Digest))
            .to_owned();
        manager.create_table(head).await?;
        let genesis = Query::insert()
            .into_table(AuditHead::Table)
            .columns([AuditHead::Id, AuditHead::Sequence, AuditHead::Digest])
            .values_panic([1.into(), 0.into(), vec![0_u8; 32].into()])
            .to_owned();
        manager.execute(genesis).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AuditHead::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(AuditEvents::Table).to_owned()).await
    }
}

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    Sequence,
    OccurredAt,
    Actor,
    Action,
    SubjectId,
    Attributes,
    Target,
    RequestId,
    Outcome,
    PreviousDigest,
    Digest,
}

#[derive(DeriveIden)]
enum AuditHead {
    Table,
    Id,
    Sequence,
    Digest,
}
