//! Parsed documents, kept: clients send the same few again and again, and parsing one takes a quarter of the
//! time of a small request.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use async_graphql::{Request, ServerError, parser::types::ExecutableDocument};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::document_size;

/// All kept documents together, in tokens: some 16 MiB.
const MAX_TOKENS: u64 = 64 * 1024;
/// Largest document, in bytes, that is parsed at once. To parse a larger one keeps a core busy for milliseconds, so
/// they take turns, on half of the cores: whoever sends many of them does not keep the others waiting.
const SMALL: usize = 4 * 1024;
/// A document that nobody sent for this long is dropped.
const TIME_TO_IDLE: Duration = Duration::from_hours(1);

/// The documents that were parsed lately.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    kept: Cache<String, Kept>,
    turns: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Kept {
    document: Arc<ExecutableDocument>,
    tokens: u32,
}

impl Documents {
    pub(super) fn new() -> Self {
        let weigh = |_: &String, kept: &Kept| kept.tokens;
        let kept =
            Cache::builder().max_capacity(MAX_TOKENS).weigher(weigh).time_to_idle(TIME_TO_IDLE).build();
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self { kept, turns: Arc::new(Semaphore::new(cores.div_ceil(2))) }
    }

    /// Sees to it that the request's document is parsed, unless it is too large for that.
    pub(super) async fn parse(&self, request: &mut Request) -> Result<(), ServerError> {
        if let Some(Kept { document, .. }) = self.kept.get(&request.query) {
            request.set_parsed_query(ExecutableDocument::clone(&document));
            return Ok(());
        }
        let tokens = document_size::tokens(&request.query)?;
        // The semaphore is never closed; if it were, all would be parsed at once.
        let turn = if request.query.len() > SMALL { self.turns.acquire().await.ok() } else { None };
        let document = request.parsed_query()?.clone();
        drop(turn);
        if !may_hold_a_value(&request.query) {
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
            self.kept.insert(request.query.clone(), Kept { document: Arc::new(document), tokens });
        }
        Ok(())
    }
}

/// Whether somebody's value may stand in the document itself, instead of in the variables: a string, a
/// comment, a long number. Such a document is not kept, so that nothing personal is.
fn may_hold_a_value(text: &str) -> bool {
    let long_number = text.as_bytes().windows(5).any(|window| window.iter().all(u8::is_ascii_digit));
    text.contains(['"', '#']) || long_number
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Parses a document that nothing has to be waited for.
    fn parsed(documents: &Documents, query: &str) -> Request {
        let mut request = Request::new(query);
        documents.parse(&mut request).now_or_never().unwrap().unwrap();
        request
    }

    fn is_kept(query: &str) -> bool {
        let documents = Documents::new();
        parsed(&documents, query);
        documents.kept.contains_key(query)
    }

    #[test]
    fn a_document_without_values_is_kept() {
        assert!(is_kept("query($id: ID!) { user(id: $id) { id } }"));
        assert!(is_kept("{ users(first: 100) { edges { node { email } } } }"));
    }

    #[test]
    fn a_document_that_may_hold_a_value_is_not_kept() {
        assert!(!is_kept(r#"{ userByUsername(username: "ada") { id } }"#));
        assert!(!is_kept("{ users { nodes { id } } } # ada"));
        assert!(!is_kept("{ users(first: 442079460958) { nodes { id } } }"));
    }

    #[test]
    fn a_kept_document_is_the_same_again() {
        let documents = Documents::new();
        let query = "query($id: ID!) { user(id: $id) { id ...F } } fragment F on User { email }";
        let parse = || format!("{:?}", parsed(&documents, query).parsed_query().unwrap());
        assert_eq!(parse(), parse());
    }

    #[test]
    fn large_documents_take_turns_and_small_ones_do_not_wait() {
        let documents = Documents::new();
        let large = format!("{{ users {{ nodes {{ {} }} }} }}", "id ".repeat(SMALL));
        let turns = documents.turns.available_permits();
        assert!(turns > 0);
        let taken = documents.turns.try_acquire_many(u32::try_from(turns).unwrap()).unwrap();
        parsed(&documents, "{ users { nodes { id } } }");
        assert!(documents.parse(&mut Request::new(&large)).now_or_never().is_none());
        drop(taken);
        parsed(&documents, &large);
        assert_eq!(documents.turns.available_permits(), turns);
    }
}
