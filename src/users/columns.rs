use sea_orm::{EntityTrait, IdenStatic, Iterable, QuerySelect, Select, sea_query::Expr};

use crate::entity::user::{Column, Entity, PersonalAttribute};

/// Users, and of their sealed values those of some attributes: a query for usernames reads no sealed bytes. What is left out
/// is null in the row, so a reader of the row must not ask for it.
pub(super) fn select(attributes: &[PersonalAttribute]) -> Select<Entity> {
    let left_out = |attribute: &&PersonalAttribute| !attributes.contains(attribute);
    let left_out: Vec<_> = PersonalAttribute::ALL.iter().filter(left_out).map(|a| a.column()).collect();
    if left_out.is_empty() {
        return Entity::find();
    }
    let is_left_out = |column: Column| left_out.iter().any(|other| other.as_str() == column.as_str());
    Column::iter().fold(Entity::find().select_only(), |select, column| {
        if is_left_out(column) {
            select.expr_as(Expr::cust("NULL"), column.as_str())
        } else {
            select.column(column)
        }
    })
}
