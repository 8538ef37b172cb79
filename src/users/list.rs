use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};

use super::{Reads, User, UserError, Users, values::users_with_values};
use crate::{entity::user, envelope::SubjectId};

/// Most users on one page.
pub const MAX_PAGE_SIZE: u64 = 100;

/// Which users: a page before or after one of them, by keyset (`WHERE id > …`), never by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPageRequest {
    /// At most this many, at most [`MAX_PAGE_SIZE`].
    pub size: u64,
    /// Only users after this one.
    pub after: Option<SubjectId>,
    /// Only users before this one.
    pub before: Option<SubjectId>,
    /// The last ones of those that fit, instead of the first.
    pub from_the_end: bool,
}

/// Some users in the order of their ids: of their creation, as far as the clocks of the servers agreed; those who were imported with an id of
/// their own stand anywhere.
#[derive(Clone, Debug)]
pub struct UserPage {
    /// The users. Their data keys are opened together.
    pub users: Vec<User>,
    /// Whether there are users before these.
    pub has_previous: bool,
    /// Whether there are users after these.
    pub has_next: bool,
}

impl Users {
    /// One page of all users.
    ///
    /// # Errors
    ///
    /// [`UserError::LedgerWentBack`], [`UserError::Database`].
    pub async fn list(&self, request: UserPageRequest) -> Result<UserPage, UserError> {
        self.list_with(request, &Reads::COLUMNS).await
    }

    /// The same, with what is read of them.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn list_with(&self, request: UserPageRequest, reads: &Reads) -> Result<UserPage, UserError> {
        self.require_trusted_ledger()?;
        let size = request.size.min(MAX_PAGE_SIZE);
        let mut select = reads.columns.select();
        if let Some(after) = request.after {
            select = select.filter(user::Column::Id.gt(*after.as_uuid()));
        }
        if let Some(before) = request.before {
            select = select.filter(user::Column::Id.lt(*before.as_uuid()));
        }
        select = if request.from_the_end {
            select.order_by_desc(user::Column::Id)
        } else {
            select.order_by_asc(user::Column::Id)
        };
        // One more than asked for tells whether there are more, without counting.
        let mut rows = users_with_values(&self.db, select, size + 1, &reads.declared).await?;
        rows.sort_unstable_by_key(|(row, _)| row.id);
        let more = rows.len() as u64 > size;
        // At the other end: a client that has a cursor has seen that user.
        let (has_previous, has_next) = if request.from_the_end {
            rows.drain(..usize::from(more));
            (more, request.before.is_some())
        } else {
            rows.truncate(rows.len() - usize::from(more));
            (request.after.is_some(), more)
        };
        let users = User::together(self, rows, &reads.declared, Vec::new());
        Ok(UserPage { users, has_previous, has_next })
    }
}
