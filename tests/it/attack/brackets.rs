//! Brackets within brackets: the parser calls itself for each, and a thread's stack ends.

use serde_json::json;

use super::{
    Attack, INVALID, bodies,
    documents::{LARGEST, TOO_DEEP, nested},
};

/// Most brackets that may be open at the same time.
const MOST: usize = 64;

/// Brackets of a kind, as they can be nested within a document.
struct Kind {
    name: &'static str,
    before: &'static str,
    open: &'static str,
    inner: &'static str,
    close: &'static str,
    after: &'static str,
    /// Brackets that are open around all of them, and within the innermost.
    others: usize,
}

const KINDS: [Kind; 8] = [
    kind("lists", ["{ user(id: ", "[", "1", "]", ") { id } }"], 2),
    kind("objects", ["{ user(id: ", "{a:", "1", "}", ") { id } }"], 2),
    kind("lists of lists as a type", ["query($a: ", "[", "A", "]", ") { a }"], 1),
    kind("lists as a default", ["query($a: ID = ", "[", "1", "]", ") { a }"], 1),
    kind("lists in a directive", ["{ a @skip(if: ", "[", "1", "]", ") }"], 2),
    kind("selections", ["", "{a", "{a}", "}", ""], 1),
    kind("inline fragments", ["{", "...{", "a", "}", "}"], 1),
    kind("parentheses", ["", "(", "", ")", ""], 0),
];

const fn kind(
    name: &'static str,
    [before, open, inner, close, after]: [&'static str; 5],
    others: usize,
) -> Kind {
    Kind { name, before, open, inner, close, after, others }
}

impl Kind {
    fn document(&self, levels: usize) -> String {
        format!("{}{}{}", self.before, nested(self.open, self.inner, self.close, levels), self.after)
    }

    /// As many levels as a request can hold.
    fn most(&self) -> usize {
        (LARGEST - self.document(0).len()) / (self.open.len() + self.close.len())
    }
}

pub(super) fn attacks(token: &str) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for kind in &KINDS {
        let around_powers = (6..17).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
        let levels =
            (60..=70).chain(around_powers).filter(|levels| *levels < kind.most()).chain([kind.most()]);
        for levels in levels {
            let name = format!("{levels} {}", kind.name);
            let body = json!({ "query": kind.document(levels) }).to_string();
            let says = if levels + kind.others > MOST { TOO_DEEP } else { "" };
            attacks.push(bodies::post(token, &name, body, 400, INVALID, says));
        }
    }
    attacks
}
