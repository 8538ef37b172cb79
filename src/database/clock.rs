//! The clock that all processes share: the database's. What one machine writes down and another one compares goes by it.
//!
//! SQLite has none. Whoever uses its file is on one machine.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    Condition, ConnectionTrait, DbBackend, DbErr, Statement,
    sea_query::{Expr, ExprTrait},
};

/// This machine's time, as precisely as both databases keep it.
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The database's time, within a statement: that of the moment in which the expression is evaluated.
pub(crate) fn clock(backend: DbBackend) -> Expr {
    match backend {
        DbBackend::Postgres => Expr::cust("clock_timestamp()"),
        _ => Expr::value(now()),
    }
}

/// The database's time.
///
/// # Errors
///
/// The database's error.
pub(crate) async fn read_clock(db: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
    let backend = db.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(now());
    }
    let row = db.query_one_raw(Statement::from_string(backend, "SELECT clock_timestamp()")).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?.try_get_by_index(0)
}

/// Whether something was made before a moment, by the time that it has. Also if that is still to come: a machine whose clock was ahead wrote
/// it, so nobody knows when.
pub(crate) fn is_before(backend: DbBackend, made_at: Expr, moment: DateTime<Utc>) -> Condition {
    Condition::any().add(made_at.clone().lt(moment)).add(is_ahead(backend, made_at))
}

/// Whether the time that something has is still to come.
pub(crate) fn is_ahead(backend: DbBackend, made_at: Expr) -> Expr {
    made_at.gt(clock(backend))
}
