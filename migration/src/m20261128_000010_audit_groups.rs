use sea_orm_migration::{
    prelude::*,
    schema::{uuid, uuid_null},
};

/// Groups of subjects whom an event concerns together, each stored once: who goes through pages of users again leaves events, and
/// no rows for each user of a page.
///
/// Events of the release before have no group, and are found by `audit_event_subjects` as before. So is what a server of that
/// release still appends.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let add =
            Table::alter().table(AuditEvents::Table).add_column(uuid_null(AuditEvents::GroupId)).to_owned();
        manager.alter_table(add).await?;
        // Most events have none. SeaQuery does not know partial indexes of both databases.
        let by_group =
            "CREATE INDEX audit_events_group ON audit_events (group_id, sequence) WHERE group_id IS NOT NULL";
        manager.get_connection().execute_unprepared(by_group).await?;
        let subjects = Table::create()
            .table(AuditGroupSubjects::Table)
            .col(uuid(AuditGroupSubjects::SubjectId))
            .col(uuid(AuditGroupSubjects::GroupId))
            .primary_key(Index::create().col(AuditGroupSubjects::SubjectId).col(AuditGroupSubjects::GroupId))
            .to_owned();
        manager.create_table(subjects).await?;
        // Whoever verifies goes by the group.
        let by_group = Index::create()
            .name("audit_group_subjects_group")
            .table(AuditGroupSubjects::Table)
            .col(AuditGroupSubjects::GroupId)
            .to_owned();
        manager.create_index(by_group).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The release before finds events by nothing else.
        let older = "INSERT INTO audit_event_subjects (subject_id, sequence) SELECT s.subject_id, e.sequence \
            FROM audit_events e JOIN audit_group_subjects s ON s.group_id = e.group_id WHERE true ON CONFLICT DO NOTHING";
        manager.get_connection().execute_unprepared(older).await?;
        manager.drop_table(Table::drop().table(AuditGroupSubjects::Table).to_owned()).await?;
        manager
            .drop_index(Index::drop().name("audit_events_group").table(AuditEvents::Table).to_owned())
            .await?;
        let drop = Table::alter().table(AuditEvents::Table).drop_column(AuditEvents::GroupId).to_owned();
        manager.alter_table(drop).await
    }
}

#[derive(DeriveIden)]
enum AuditEvents {
    Table,
    GroupId,
}

#[derive(DeriveIden)]
enum AuditGroupSubjects {
    Table,
    SubjectId,
    GroupId,
}
