//! GraphQL documents that are deep, broad, or larger than they look.

use serde_json::{Value, json};

use super::{Attack, INVALID, LARGEST_BODY, bodies};

/// What a document is refused with that is too large to be parsed.
pub(super) const TOO_LONG: &str = "more than 15000 tokens";
pub(super) const TOO_DEEP: &str = "too deep";
const TOO_COMPLEX: &str = "too complex";

/// A name, a document, and a piece of the message.
pub(super) type Case = (&'static str, String, &'static str);

/// Bytes of the largest document of characters that JSON does not escape: all but the rest of the body.
pub(super) const LARGEST: usize = LARGEST_BODY - 256;

/// `text` as often as a request can hold it.
fn as_often_as_fits(text: &str) -> String {
    text.repeat(LARGEST / text.len())
}

/// Numbered pieces, after one another.
pub(super) fn numbered(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

pub(super) fn nested(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

/// Fragments that each spread the next one so many times, down to `leaf`.
fn fragments(levels: usize, spreads: usize, leaf: &str) -> String {
    let each = |n: usize| {
        let next = format!("...F{} ", n + 1).repeat(spreads);
        format!("fragment F{n} on Query {{ {next} }} ")
    };
    format!("{} fragment F{levels} on Query {{ {leaf} }}", numbered(levels, each))
}

/// The request for a document.
pub(super) fn document(token: &str, (name, query, says): Case) -> Attack {
    asking(token, name, &query, &json!({}), says)
}

/// The request for a document with variables.
pub(super) fn asking(token: &str, name: &str, query: &str, variables: &Value, says: &'static str) -> Attack {
    let body = json!({ "query": query, "variables": variables }).to_string();
    assert!(body.len() <= LARGEST_BODY, "{name} has {} bytes", body.len());
    bodies::post(token, name, body, 400, INVALID, says)
}

pub(super) fn attacks(token: &str) -> Vec<Attack> {
    let cases = [depth(), breadth(), directives(), laughs()].into_iter().flatten();
    cases.map(|case| document(token, case)).collect()
}

fn depth() -> Vec<Case> {
    let users = "{ nodes { id } }";
    vec![
        ("20 levels", nested("{ users ", users, "}", 20), TOO_DEEP),
        ("40 levels", nested("{ users ", users, "}", 40), "recursion depth"),
        ("100 levels", nested("{ users ", users, "}", 100), TOO_DEEP),
        ("as many levels as tokens", nested("{ a ", "{ a }", "}", 4_990), TOO_DEEP),
        ("100,000 levels", "{a".repeat(100_000), TOO_DEEP),
        ("100,000 brackets", "{".repeat(100_000), TOO_DEEP),
        ("100 inline fragments", nested("{ ... ", "{ a }", "}", 100), TOO_DEEP),
        ("as many inline fragments as tokens", nested("{ ... ", "{ a }", "}", 4_990), TOO_DEEP),
    ]
}

fn breadth() -> Vec<Case> {
    let set = |fields: String| format!("{{ {fields} }}");
    let operations = numbered(1000, |n| format!("query Q{n} {{ __typename }} "));
    let pages = "users(first: 100) { nodes { email } } ".repeat(1000);
    vec![
        ("1,000 pages", set(pages), TOO_COMPLEX),
        (
            "1,000 aliases",
            set(numbered(1000, |n| format!("a{n}: users {{ nodes {{ email }} }} "))),
            TOO_COMPLEX,
        ),
        ("4,001 aliases", set(numbered(4001, |n| format!("a{n}: __typename "))), TOO_COMPLEX),
        ("100,000 type names", set("__typename ".repeat(23_000)), TOO_LONG),
        ("3,000 unknown fields", set(numbered(3000, |n| format!("f{n} "))), "Unknown field \"f0\""),
        ("10,000 unknown fields", set(numbered(10_000, |n| format!("f{n} "))), TOO_COMPLEX),
        ("as many fields as fit", set(as_often_as_fits("a ")), TOO_LONG),
        (
            "4,900 unknown arguments",
            set(format!("user({}) {{ id }}", "a: 1 ".repeat(4900))),
            "\"id\" of type",
        ),
        ("as many arguments as fit", set(format!("user({}) {{ id }}", "a:1 ".repeat(65_000))), TOO_LONG),
        ("1,000 operations", operations.clone(), "Operation name required"),
        ("1,000 operations and one without a name", operations + "{ a }", "multiple operations"),
        (
            "a subscription",
            "subscription { users { nodes { id } } }".to_owned(),
            "not configured for subscriptions",
        ),
        ("introspection", "{ __schema { types { name } } }".to_owned(), "Introspection is switched off"),
    ]
}

fn directives() -> Vec<Case> {
    let skip = "@skip(if: false) ".repeat(1000);
    vec![
        ("1,000 directives", format!("{{ __typename {skip} }}"), "number of directives"),
        (
            "1,000 unknown directives",
            format!("query {} {{ a }}", "@a ".repeat(1000)),
            "Unknown directive \"a\"",
        ),
        (
            "1,000 directives on a spread",
            format!("{{ ...F0 {skip} }} {}", fragments(0, 0, "__typename")),
            "Duplicate directive",
        ),
        ("as many directives as fit", format!("query {} {{ a }}", as_often_as_fits("@a ")), TOO_LONG),
    ]
}

fn laughs() -> Vec<Case> {
    let used = |fragments: &str| format!("{{ ...F0 }} {fragments}");
    let unused = |fragments: &str| format!("{{ __typename }} {fragments}");
    let [chain, long_chain] = [1800, 6000].map(|levels| fragments(levels, 1, "__typename"));
    let cycle = "fragment F0 on Query { ...F1 } fragment F1 on Query { __typename ...F0 ...F0 }";
    let operations = numbered(900, |n| format!("query Q{n} {{ ...F0 }} "));
    vec![
        ("a cycle", used(cycle), "recursion depth"),
        ("a cycle that nobody uses", unused(cycle), "Fragment \"F"),
        ("a billion laughs", used(&fragments(30, 2, "__typename")), TOO_COMPLEX),
        ("a billion laughs at users", used(&fragments(30, 2, "users { nodes { email } }")), TOO_COMPLEX),
        ("a billion laughs at nothing", used(&fragments(30, 2, "...Nothing")), TOO_COMPLEX),
        ("a billion laughs in a cycle", used(&fragments(30, 2, "...F0")), TOO_COMPLEX),
        ("a billion laughs that nobody uses", unused(&fragments(30, 2, "__typename")), TOO_COMPLEX),
        ("three levels of a thousand", used(&fragments(3, 1000, "__typename")), TOO_COMPLEX),
        ("a long chain", used(&chain), TOO_DEEP),
        ("a long chain that nobody uses", unused(&chain), TOO_DEEP),
        ("as long a chain as fits", unused(&long_chain), TOO_LONG),
        ("900 operations with the same fragments", operations + &fragments(20, 1, "__typename"), TOO_COMPLEX),
    ]
}
