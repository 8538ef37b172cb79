use async_graphql::{Error, ID};
use uuid::Uuid;

use super::errors::bad_input;
use crate::envelope::SubjectId;

/// Reads an id argument.
pub(super) fn subject_id(field: &'static str, id: &str) -> Result<SubjectId, Error> {
    Uuid::try_parse(id)
        .map(SubjectId::from)
        .map_err(|_| bad_input(field, "is not an id such as 01890a5d-ac96-774b-bcce-b302099a8057"))
}

/// Writes a subject id as a GraphQL id.
pub(super) fn id(subject: SubjectId) -> ID {
    ID(subject.to_string())
}
