//! Literals, names and variables that are huge, many, or nested.

use serde_json::{Map, Value, json};

use super::{
    Attack,
    documents::{Case, LARGEST, TOO_LONG, asking, document, nested, numbered},
};

const LONG_NAME: &str = "name is longer than 256 bytes";

pub(super) fn attacks(token: &str) -> Vec<Attack> {
    let mut attacks: Vec<_> =
        [literals(), names(), nesting()].into_iter().flatten().map(|case| document(token, case)).collect();
    let page = "query($n: Int) { users(first: $n) { nodes { email } } }";
    let one = "query($id: ID!) { user(id: $id) { email } }";
    let number = "expected type \"Int\"";
    attacks.extend([
        asking(token, "a huge variable", page, &json!({ "n": "9".repeat(LARGEST) }), number),
        asking(token, "a list for a number", page, &json!({ "n": vec![0; 100_000] }), number),
        asking(token, "an object for a number", page, &json!({ "n": many_entries() }), number),
        asking(
            token,
            "15,000 variables that nobody declared",
            one,
            &many_entries(),
            "\"$id\" of required type",
        ),
    ]);
    attacks
}

fn many_entries() -> Value {
    (0..15_000).map(|n| (format!("v{n}"), json!(n))).collect::<Map<_, _>>().into()
}

fn literals() -> Vec<Case> {
    let huge = "a".repeat(LARGEST - 64);
    let page = |first: &str| format!("{{ users(first: {first}) {{ nodes {{ email }} }} }}");
    let digits = "9".repeat(LARGEST - 64);
    vec![
        ("a huge string", format!("{{ user(id: \"{huge}\") {{ id }}"), "expected"),
        ("a huge block string", format!("{{ user(id: \"\"\"{huge}\"\"\") {{ id }}"), "expected"),
        ("a huge string for a number", page(&format!("\"{}\"", &huge[64..])), "expected type \"Int\""),
        ("a string that does not end", format!("{{ user(id: \"{huge}"), "string does not end"),
        ("a block string that does not end", format!("{{ user(id: \"\"\"{huge}"), "string does not end"),
        ("a huge number", page(&digits), "invalid number"),
        ("a number with many decimals", page(&format!("0.{}", &digits[64..])), "expected type \"Int\""),
        ("a number with a huge exponent", page("1e99999"), "invalid number"),
        ("as many zeros as fit", page(&format!("[{}]", "0".repeat(200_000))), TOO_LONG),
        ("a huge comment", format!("# {huge}\n{{ nothing }}"), "Unknown field \"nothing\""),
        ("nothing but spaces", " ".repeat(LARGEST - 64) + "{ nothing }", "Unknown field \"nothing\""),
        ("one long line that is wrong", format!("{{ {} ) }}", "nothing ".repeat(14_000)), "expected"),
        ("a byte order mark and nothing else", "\u{feff}".to_owned(), "expected executable_definition"),
        ("NUL", "{ __type\0name }".to_owned(), "expected"),
        ("half a surrogate pair", r#"{ user(id: "\ud800") { id } }"#.to_owned(), "expected"),
    ]
}

fn names() -> Vec<Case> {
    let huge = "a".repeat(100_000);
    let long = "a".repeat(256);
    let declared = |count| numbered(count, |n| format!("$a{n}: ID "));
    let used = |count| numbered(count, |n| format!("id: $a{n} "));
    vec![
        ("a huge name", format!("{{ {huge} }}"), LONG_NAME),
        ("a huge alias", format!("{{ {huge}: users {{ nodes {{ id }} }} }}"), LONG_NAME),
        (
            "unused variables under a huge name",
            format!("query {huge}({}) {{ a }}", declared(3000)),
            LONG_NAME,
        ),
        ("unused variables under a long name", format!("query {long}({}) {{ a }}", declared(3700)), ""),
        (
            "undefined variables under a huge name",
            format!("query {huge} {{ user({}) }}", used(3000)),
            LONG_NAME,
        ),
        ("undefined variables under a long name", format!("query {long} {{ user({}) }}", used(3700)), ""),
        (
            "variables compared with variables",
            format!("query({}) {{ user({}) }}", declared(1850), used(1850)),
            "",
        ),
        ("as many variables as fit", format!("query({}) {{ a }}", declared(20_000)), TOO_LONG),
    ]
}

fn nesting() -> Vec<Case> {
    let user = |id: String| format!("{{ user(id: {id}) {{ id }} }}");
    let variable = |of_type: String| format!("query($a: {of_type}) {{ a }}");
    vec![
        ("62 lists", user(nested("[", "1", "]", 62)), ""),
        ("62 lists of lists", variable(nested("[", "ID", "]", 62)), ""),
        ("a default of an unknown type", variable("[Nothing!] = [1]".to_owned()), "Unknown type \"Nothing\""),
        ("a default that is no list", variable("[[[Nothing]]]! = 1".to_owned()), "Unknown type \"Nothing\""),
    ]
}
