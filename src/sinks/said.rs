//! What is said about a sink that knows something else than the database.

use crate::chain::Head;

pub(super) fn lost(newest: &Head, published: i64) -> String {
    format!(
        "the sink lacks entries: it ends at {newest}, and {published} were published to it; put it back, or give it another name in the configuration, and it is \
         filled anew"
    )
}

pub(super) fn shrunk(newest: &Head, known: &Head) -> String {
    format!(
        "sink and database both lack entries: the sink ended at {known}, and ends at {newest}; put the sink back as it was, or a newer backup of the database"
    )
}

pub(super) fn foreign(newest: &Head, found: &Head) -> String {
    format!(
        "the sink has another ledger than the database: it ends at {newest}, and the database at {found}, and nothing of the two is the same; see \
         docs/erasure.md#a-sink-with-another-history"
    )
}

pub(super) fn forked(newest: &Head, found: &Head, common: &Head) -> String {
    format!(
        "the ledger has two histories that were both signed: the sink's ends at {newest}, and the database's at {found}; they are the same up to entry {}; see \
         docs/erasure.md#a-sink-with-another-history",
        common.sequence
    )
}
