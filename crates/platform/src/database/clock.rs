//! The clock that all processes share: the database's. What one machine writes down and another one compares goes by it.
//!
//! SQLite has none. All processes that use its file are on one machine.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    Condition, ConnectionTrait, DbBackend, DbErr, Statement,
    sea_query::{Expr, ExprTrait},
};

/// This machine's time, as precisely as both databases keep it.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The database's time, within a statement: that of the moment in which the expression is evaluated.
#[must_use]
pub fn clock(backend: DbBackend) -> Expr {
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
pub async fn read_clock(db: &impl ConnectionTrait) -> Result<DateTime<Utc>, DbErr> {
    let backend = db.get_database_backend();
    if backend != DbBackend::Postgres {
        return Ok(now());
    }
    let row = db.query_one_raw(Statement::from_string(backend, "SELECT clock_timestamp()")).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the database's time".to_owned()))?.try_get_by_index(0)
}

/// "Made before a moment", by the time that things have. What has a time later than the clock said when this was asked was written by a
/// machine whose clock was ahead: nobody knows when, so it counts as made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    moment: DateTime<Utc>,
    asked_at: DateTime<Utc>,
}

impl Before {
    /// The moment that is given, or now.
    ///
    /// # Errors
    ///
    /// The database's error.
    pub async fn ask(db: &impl ConnectionTrait, moment: Option<DateTime<Utc>>) -> Result<Self, DbErr> {
        let asked_at = read_clock(db).await?;
        Ok(Self { moment: moment.unwrap_or(asked_at), asked_at })
    }

    /// The moment.
    #[must_use]
    pub fn moment(&self) -> DateTime<Utc> {
        self.moment
    }

    /// What the database's clock said.
    #[must_use]
    pub fn asked_at(&self) -> DateTime<Utc> {
        self.asked_at
    }

    /// Whether it holds of something with this time.
    #[must_use]
    pub fn holds(&self, made_at: Expr) -> Condition {
        Condition::any().add(made_at.clone().lt(self.moment)).add(self.is_ahead(made_at))
    }

    /// Whether a clock was ahead that something has its time from.
    #[must_use]
    pub fn is_ahead(&self, made_at: Expr) -> Expr {
        made_at.gt(self.asked_at)
    }

    /// A time for what has one that is ahead: with it, it is found by the moment alone, also by a later run.
    #[must_use]
    pub fn just_before(&self) -> DateTime<Utc> {
        self.moment - TimeDelta::microseconds(1)
    }
}
