use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer, small_integer, text_null, uuid},
};

/// Events that concern several subjects, and several doings: which version of the text an event's digest is taken over,
/// how often it happened, whom it concerns if it is more than one; and `audit_event_subjects`, by which such an event is
/// found from each of them.
///
/// Whatever was there is of version 1, and happened once. So is what a server of the release before still appends.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column at a time.
        for mut column in [
            small_integer(AuditEvents::Version).default(1).take(),
            integer(AuditEvents::Count).default(1).take(),
            text_null(AuditEvents::SubjectIds),
        ] {
            let add = Table::alter().table(AuditEvents::Table).add_column(&mut column).to_owned();
            manager.alter_table(add).await?;
        }
        let subjects = Table::create()
            .table(AuditEventSubjects::Table)
            .col(uuid(AuditEventSubjects::SubjectId))
            .col(big_integer(AuditEventSubjects::Sequence))
            .primary_key(Index::create().col(AuditEventSubjects::SubjectId).col(AuditEventSubjects::Sequence))
            .to_owned();
        manager.create_table(subjects).await?;
        // Whoever verifies goes by the sequence.
        let by_sequence = Index::create()
            .name("audit_event_subjects_sequence")
            .table(AuditEventSubjects::Table)
            .col(AuditEventSubjects::Sequence)
            .to_owned();
        manager.create_index(by_sequence).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AuditEventSubjects::Table).to_owned()).await?;
        for column in [AuditEvents::SubjectIds, AuditEvents::Count, AuditEvents::Version] {
            manager
                .alter_table(Table::alter().table(AuditEvents::Table).drop_column(column).to_owned())
                .await?;
        }
        Ok(())
    }
}

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    Version,
    Count,
    SubjectIds,
}

#[derive(DeriveIden)]
enum AuditEventSubjects {
    Table,
    SubjectId,
    Sequence,
}
