//! Parsed documents, kept: clients send the same few again and again, and parsing one takes a quarter of the
//! time of a small request.
//!
//! Only small ones that were answered without an error, and only as many as fit into a bound in bytes: what a client
//! makes up to fill the memory is not worth keeping.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use async_graphql::{Request, ServerError, parser::types::ExecutableDocument};
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::document_size;

/// All kept documents together, in bytes: 16 MiB.
const MAX_KEPT: u64 = 16 * 1024 * 1024;
/// What a kept document takes at most for each of its tokens, in bytes, and what it takes beside.
const BYTES_PER_TOKEN: usize = 256;
const BYTES_BESIDE: usize = 2 * 1024;
/// Largest document, in bytes, that is kept, and that is parsed at once. Parsing a larger one keeps a core busy for
/// milliseconds, so at most half of the cores parse them at a time, and small requests are not delayed.
const SMALL: usize = 4 * 1024;
/// A document that nobody sent for this long is dropped.
const TIME_TO_IDLE: Duration = Duration::from_hours(1);

/// The documents that were parsed lately.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    kept: Cache<TextDigest, Kept>,
    turns: Arc<Semaphore>,
}

/// SHA-256 of a document's text: of the same length for all, and nobody finds two texts with the same.
type TextDigest = [u8; 32];

#[derive(Clone, Debug)]
struct Kept {
    document: Arc<ExecutableDocument>,
    bytes: u32,
}

/// A document that was parsed just now, and may be kept if it proves worth it.
#[derive(Debug)]
pub(super) struct Newcomer {
    digest: TextDigest,
    kept: Kept,
}

impl Documents {
    pub(super) fn new() -> Self {
        let weigh = |_: &TextDigest, kept: &Kept| kept.bytes;
        let kept = Cache::builder().max_capacity(MAX_KEPT).weigher(weigh).time_to_idle(TIME_TO_IDLE).build();
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        Self { kept, turns: Arc::new(Semaphore::new(cores.div_ceil(2))) }
    }

    /// Parses the request's document, unless it is known or too large. Gives it if it may be [kept](Self::keep).
    pub(super) async fn parse(&self, request: &mut Request) -> Result<Option<Newcomer>, ServerError> {
        let small = request.query.len() <= SMALL;
        let digest = if small { Some(Sha256::digest(&request.query).into()) } else { None };
        if let Some(Kept { document, .. }) = digest.and_then(|digest| self.kept.get(&digest)) {
            request.set_parsed_query(ExecutableDocument::clone(&document));
            return Ok(None);
        }
        let tokens = document_size::tokens(&request.query)?;
        // The semaphore is never closed; if it were, all would be parsed at once.
        let turn = if small { None } else { self.turns.acquire().await.ok() };
        request.parsed_query()?;
        drop(turn);
        let Some(digest) = digest.filter(|_| !may_hold_a_value(&request.query)) else { return Ok(None) };
        let document = request.parsed_query()?.clone();
        Ok(Some(Newcomer { digest, kept: Kept::new(document, tokens) }))
    }

    /// Keeps a document that passed validation.
    pub(super) fn keep(&self, newcomer: Newcomer) {
        self.kept.insert(newcomer.digest, newcomer.kept);
    }
}

impl Kept {
    fn new(document: ExecutableDocument, tokens: usize) -> Self {
        let bytes = u32::try_from(BYTES_BESIDE + tokens * BYTES_PER_TOKEN).unwrap_or(u32::MAX);
        Self { document: Arc::new(document), bytes }
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
    fn parse(documents: &Documents, query: &str) -> Result<(Request, Option<Newcomer>), ServerError> {
        let mut request = Request::new(query);
        let newcomer = documents.parse(&mut request).now_or_never().unwrap()?;
        Ok((request, newcomer))
    }

    fn may_be_kept(query: &str) -> bool {
        parse(&Documents::new(), query).unwrap().1.is_some()
    }

    #[test]
    fn a_document_without_values_may_be_kept() {
        assert!(may_be_kept("query($id: ID!) { user(id: $id) { id } }"));
        assert!(may_be_kept("{ users(first: 100) { edges { node { email } } } }"));
    }

    #[test]
    fn a_document_that_may_hold_a_value_is_not_kept() {
        assert!(!may_be_kept(r#"{ userByUsername(username: "ada") { id } }"#));
        assert!(!may_be_kept("{ users { nodes { id } } } # ada"));
        assert!(!may_be_kept("{ users(first: 442079460958) { nodes { id } } }"));
    }

    #[test]
    fn a_large_document_is_not_kept() {
        let padded = |length: usize| format!("{{ a }}{}", " ".repeat(length - 5));
        assert!(may_be_kept(&padded(SMALL)));
        assert!(!may_be_kept(&padded(SMALL + 1)));
    }

    #[test]
    fn a_kept_document_is_the_same_again() {
        let documents = Documents::new();
        let query = "query($id: ID!) { user(id: $id) { id ...F } } fragment F on User { email }";
        let (mut first, newcomer) = parse(&documents, query).unwrap();
        documents.keep(newcomer.unwrap());
        let (mut second, newcomer) = parse(&documents, query).unwrap();
        assert!(newcomer.is_none(), "it is known");
        let shown = |request: &mut Request| format!("{:?}", request.parsed_query().unwrap());
        assert_eq!(shown(&mut first), shown(&mut second));
    }

    #[test]
    fn a_document_takes_no_more_memory_than_it_weighs() {
        let wide = |piece: &str| format!("{{ {} }}", piece.repeat((SMALL - 8) / piece.len()));
        for query in [
            "{ a }".to_owned(),
            wide("a "),
            wide("a{a}"),
            wide("a:a "),
            wide("...A "),
            wide("...{a}"),
            wide("a@a "),
            wide("a(a:1)"),
            wide("a(a:{a:a})"),
            wide("...on A{a}"),
            format!("{{ a(a: [{}]) }}", "1 ".repeat(2000)),
            format!("{{ a(a: [{}]) }}", "[]".repeat(2000)),
            format!("{{ a(a: [{}]) }}", "{}".repeat(2000)),
            format!("query({}) {{ a }}", "$a:A ".repeat(800)),
            (0..200).map(|n| format!("fragment F{n} on A{{a}}")).collect::<String>() + "{a}",
        ] {
            let parsed =
                parse(&Documents::new(), &query).unwrap_or_else(|error| panic!("{error}: {query:.50}"));
            let kept = parsed.1.expect("it holds no value").kept;
            let mut copy = None;
            let used = allocation_counter::measure(|| copy = Some(kept.document.as_ref().clone()));
            assert!(used.bytes_current <= i64::from(kept.bytes), "{used:?}: {} {query:.50}", kept.bytes);
        }
    }

    #[test]
    fn large_documents_take_turns_and_small_ones_do_not_wait() {
        let documents = Documents::new();
        let large = format!("{{ users {{ nodes {{ {} }} }} }}", "id ".repeat(SMALL));
        let turns = documents.turns.available_permits();
        assert!(turns > 0);
        let taken = documents.turns.try_acquire_many(u32::try_from(turns).unwrap()).unwrap();
        parse(&documents, "{ users { nodes { id } } }").unwrap();
        assert!(documents.parse(&mut Request::new(&large)).now_or_never().is_none());
        drop(taken);
        parse(&documents, &large).unwrap();
        assert_eq!(documents.turns.available_permits(), turns);
    }

    /// On a stack as a thread of the server has it. The parser is optimised here, as it is in a release: that is where
    /// more levels fit, and another number of them overflows.
    #[test]
    fn no_depth_of_brackets_overflows_the_stack() {
        let depths = (60..=70).chain((6..=16).flat_map(|power| (-1..=1).map(move |by| (1 << power) + by)));
        let mut depths: Vec<usize> = depths.map(|depth| usize::try_from(depth).unwrap()).collect();
        depths.push(128 * 1024);
        let parse_all = move || {
            for depth in depths {
                for (before, open, inner, close, after) in [
                    ("{ user(id: ", "[", "1", "]", ") { id } }"),
                    ("{ user(id: ", "{a:", "1", "}", ") { id } }"),
                    ("query($a: ", "[", "A", "]", ") { a }"),
                    ("query($a: A = ", "[", "1", "]", ") { a }"),
                    ("query($a: A = ", "{a:", "1", "}", ") { a }"),
                    ("{ a @a(a: ", "[", "1", "]", ") }"),
                    ("", "{a", "{a}", "}", ""),
                    ("{", "...{", "a", "}", "}"),
                    ("", "(", "", ")", ""),
                ] {
                    let query =
                        format!("{before}{}{inner}{}{after}", open.repeat(depth), close.repeat(depth));
                    let refused = parse(&Documents::new(), &query).is_err();
                    assert!(refused || depth <= 64, "{depth} times {open}");
                }
            }
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(parse_all).unwrap().join().unwrap();
    }
}
