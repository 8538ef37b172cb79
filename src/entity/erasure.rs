//! `erasures`: the ledger of forgotten subjects, revoked tokens and rotations, a hash chain.
#![expect(missing_docs, reason = "SeaORM's derive makes items without documentation")]

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// 1 for the first, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    /// What the first line of the entry's text is.
    pub form: String,
    /// Who was forgotten.
    #[sea_orm(unique)]
    pub subject_id: Option<Uuid>,
    /// The access token that was revoked; of a rotation, random.
    #[sea_orm(unique)]
    pub target_id: Option<Uuid>,
    /// When it happened.
    pub erased_at: DateTimeUtc,
    pub actor: String,
    /// The last line of the entry's text.
    pub destroyed_keys: String,
    pub previous_digest: Vec<u8>,
    pub digest: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
