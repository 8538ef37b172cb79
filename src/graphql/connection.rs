use async_graphql::{
    Error,
    connection::{Connection, CursorType, Edge, EmptyFields},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{errors::bad_input, user::UserObject};
use crate::{
    envelope::SubjectId,
    users::{MAX_PAGE_SIZE, UserPage, UserPageRequest},
};

/// Users on one page if the query does not say how many.
pub(super) const DEFAULT_PAGE_SIZE: u64 = 20;

/// `UserConnection`, as Relay's cursor connections specification has it.
pub(super) type UserConnection = Connection<UserCursor, UserObject, EmptyFields, EmptyFields>;

/// A place in the list of users. Opaque to clients.
pub(super) struct UserCursor(pub(super) SubjectId);

impl CursorType for UserCursor {
    type Error = &'static str;

    fn decode_cursor(text: &str) -> Result<Self, Self::Error> {
        let id = Uuid::from_slice(&decode(text)?).map_err(|_| NOT_A_CURSOR)?;
        Ok(Self(id.into()))
    }

    fn encode_cursor(&self) -> String {
        encode(self.0.as_uuid().as_bytes())
    }
}

/// What is wrong with a cursor of somebody's own.
pub(super) const NOT_A_CURSOR: &str = "is not a cursor that this server gave out";

/// The bytes of a cursor.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| NOT_A_CURSOR)
}

/// A cursor of these bytes.
pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Checks the four arguments of a connection.
pub(super) fn page_request(
    first: Option<i32>,
    after: Option<&str>,
    last: Option<i32>,
    before: Option<&str>,
) -> Result<UserPageRequest, Error> {
    let size = match (first, last) {
        (Some(_), Some(_)) => return Err(bad_input("last", "cannot be used together with first")),
        (Some(first), None) => page_size("first", first)?,
        (None, Some(last)) => page_size("last", last)?,
        (None, None) => DEFAULT_PAGE_SIZE,
    };
    Ok(UserPageRequest {
        size,
        after: cursor("after", after)?,
        before: cursor("before", before)?,
        from_the_end: last.is_some(),
    })
}

/// A page as a connection.
pub(super) fn connection(page: UserPage) -> UserConnection {
    let mut connection = Connection::new(page.has_previous, page.has_next);
    connection.edges.extend(page.users.into_iter().map(|user| {
        let cursor = UserCursor(user.id());
        Edge::new(cursor, UserObject(user))
    }));
    connection
}

/// Checks the size of a page.
pub(super) fn page_size(field: &'static str, size: i32) -> Result<u64, Error> {
    u64::try_from(size)
        .ok()
        .filter(|size| *size <= MAX_PAGE_SIZE)
        .ok_or_else(|| bad_input(field, &format!("must be from 0 to {MAX_PAGE_SIZE}")))
}

fn cursor(field: &'static str, text: Option<&str>) -> Result<Option<SubjectId>, Error> {
    let parsed = text.map(UserCursor::decode_cursor).transpose();
    parsed.map(|cursor| cursor.map(|UserCursor(id)| id)).map_err(|problem| bad_input(field, problem))
}
