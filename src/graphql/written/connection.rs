use async_graphql::{
    connection::CursorType,
    parser::types::{Field, SelectionSet},
};

use super::{
    json::{write_bool, write_list, write_null, write_text},
    selection::{Around, Selected},
    user::UserSelection,
};
use crate::{
    envelope::Opener,
    graphql::connection::UserCursor,
    users::{NotAtOnce, User, UserPage},
};

/// The fields of a page of users that a document selects.
#[derive(Debug)]
pub(super) struct ConnectionSelection(Selected<ConnectionField>);

/// A field of the type `UserConnection`.
#[derive(Debug)]
enum ConnectionField {
    Typename,
    PageInfo(Selected<PageInfoField>),
    Edges(Selected<EdgeField>),
    Nodes(UserSelection),
}

/// A field of the type `UserEdge`.
#[derive(Debug)]
enum EdgeField {
    Typename,
    Cursor,
    Node(UserSelection),
}

/// A field of the type `PageInfo`.
#[derive(Debug)]
enum PageInfoField {
    Typename,
    HasPreviousPage,
    HasNextPage,
    StartCursor,
    EndCursor,
}

/// The types' names in the schema.
const CONNECTION: &str = "UserConnection";
const EDGE: &str = "UserEdge";
const PAGE_INFO: &str = "PageInfo";
/// How long a page is beside its users, and each user beside the fields, in bytes.
const BESIDE: usize = 256;
const BESIDE_EACH: usize = 64;

impl ConnectionSelection {
    /// `None` if there is anything unusual about it.
    pub(super) fn of(set: &SelectionSet, around: &Around<'_>) -> Option<Self> {
        let read = |field: &Field| ConnectionField::of(field, around);
        Selected::of(set, CONNECTION, around, read).map(Self)
    }

    /// What is selected of the users.
    pub(super) fn users(&self) -> impl Iterator<Item = &UserSelection> {
        self.0.fields().flat_map(|field| {
            let (nodes, edges) = match field {
                ConnectionField::Nodes(users) => (Some(users), None),
                ConnectionField::Edges(edges) => (None, Some(edges)),
                ConnectionField::Typename | ConnectionField::PageInfo(_) => (None, None),
            };
            let of_edges = edges.into_iter().flat_map(Selected::fields).filter_map(|field| match field {
                EdgeField::Node(users) => Some(users),
                EdgeField::Typename | EdgeField::Cursor => None,
            });
            nodes.into_iter().chain(of_edges)
        })
    }

    /// About how long a page of so many users is when written, in bytes.
    pub(super) fn length(&self, users: usize) -> usize {
        BESIDE + users * (BESIDE_EACH + self.users().map(UserSelection::length).sum::<usize>())
    }

    /// Appends a page.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        page: &UserPage,
        opener: &mut Opener,
    ) -> Result<(), NotAtOnce> {
        self.0.write(out, |out, field| {
            match field {
                ConnectionField::Typename => write_text(out, CONNECTION),
                ConnectionField::PageInfo(fields) => write_page_info(out, fields, page)?,
                ConnectionField::Edges(fields) => {
                    write_list(out, &page.users, |out, user| write_edge(out, fields, user, opener))?;
                }
                ConnectionField::Nodes(users) => {
                    write_list(out, &page.users, |out, user| users.write(out, user, opener))?;
                }
            }
            Ok(())
        })
    }
}

fn write_edge(
    out: &mut Vec<u8>,
    fields: &Selected<EdgeField>,
    user: &User,
    opener: &mut Opener,
) -> Result<(), NotAtOnce> {
    fields.write(out, |out, field| {
        match field {
            EdgeField::Typename => write_text(out, EDGE),
            EdgeField::Cursor => write_cursor(out, Some(user)),
            EdgeField::Node(selection) => selection.write(out, user, opener)?,
        }
        Ok(())
    })
}

fn write_page_info(
    out: &mut Vec<u8>,
    fields: &Selected<PageInfoField>,
    page: &UserPage,
) -> Result<(), NotAtOnce> {
    fields.write(out, |out, field| {
        match field {
            PageInfoField::Typename => write_text(out, PAGE_INFO),
            PageInfoField::HasPreviousPage => write_bool(out, page.has_previous),
            PageInfoField::HasNextPage => write_bool(out, page.has_next),
            PageInfoField::StartCursor => write_cursor(out, page.users.first()),
            PageInfoField::EndCursor => write_cursor(out, page.users.last()),
        }
        Ok(())
    })
}

fn write_cursor(out: &mut Vec<u8>, user: Option<&User>) {
    match user {
        Some(user) => write_text(out, &UserCursor(user.id()).encode_cursor()),
        None => write_null(out),
    }
}

impl ConnectionField {
    fn of(field: &Field, around: &Around<'_>) -> Option<Self> {
        let below = &field.selection_set.node;
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "pageInfo" => {
                let read = |field: &Field| PageInfoField::named(&field.name.node);
                Selected::of(below, PAGE_INFO, around, read).map(Self::PageInfo)
            }
            "edges" => {
                let read = |field: &Field| EdgeField::of(field, around);
                Selected::of(below, EDGE, around, read).map(Self::Edges)
            }
            "nodes" => UserSelection::of(below, around).map(Self::Nodes),
            _ => None,
        }
    }
}

impl EdgeField {
    fn of(field: &Field, around: &Around<'_>) -> Option<Self> {
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "cursor" => Some(Self::Cursor),
            "node" => UserSelection::of(&field.selection_set.node, around).map(Self::Node),
            _ => None,
        }
    }
}

impl PageInfoField {
    fn named(name: &str) -> Option<Self> {
        match name {
            "__typename" => Some(Self::Typename),
            "hasPreviousPage" => Some(Self::HasPreviousPage),
            "hasNextPage" => Some(Self::HasNextPage),
            "startCursor" => Some(Self::StartCursor),
            "endCursor" => Some(Self::EndCursor),
            _ => None,
        }
    }
}
