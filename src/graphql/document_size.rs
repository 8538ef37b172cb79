//! How large a document may be: counted in its text, before anything is made of it.
//!
//! A token of two bytes becomes several hundred when it is parsed, and each may be wrong in several ways that the
//! library tells, with the names it stands under. So few bytes could cost gigabytes and minutes. Other servers
//! for GraphQL count tokens for the same reason.
//!
//! And the parser calls itself for each bracket within a bracket: some 1,500 of two bytes each overflow a thread's stack of
//! 2 MiB in an optimised build, which ends the process, whatever other clients it serves.

use async_graphql::ServerError;

/// Most names, numbers, strings and punctuators: more than the fields that `graphql.max_complexity` allows by
/// default need, each with an alias and an argument.
const MAX_TOKENS: usize = 15_000;
/// Most brackets that are open at the same time, of whatever kinds: two for each level of fields that
/// `graphql.max_depth` allows by default, and as many for values.
const MAX_NESTING: usize = 64;
/// Longest name, in bytes. Errors and answers repeat names many times.
const MAX_NAME: usize = 256;

/// The tokens of a document, whether it parses or not; an error if there are too many of them, one is too long, or brackets
/// are nested too deep to be parsed.
pub(super) fn tokens(document: &str) -> Result<usize, ServerError> {
    let mut rest = document.as_bytes();
    let (mut tokens, mut open) = (0, 0_usize);
    while let Some(&first) = rest.first() {
        let length = match first {
            b' ' | b',' | b'\t' | b'\n' | b'\r' => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[run(rest, |byte| !matches!(byte, b'\n' | b'\r'))..];
                continue;
            }
            b'"' => string(rest).ok_or_else(|| refused("A string does not end."))?,
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => name(rest)?,
            // To the parser, zeros in front are numbers of their own.
            b'1'..=b'9' => run(rest, u8::is_ascii_digit),
            b'.' => run(rest, |byte| *byte == b'.').min(3),
            b'(' | b'[' | b'{' => {
                open += 1;
                if open > MAX_NESTING {
                    return Err(refused(&format!(
                        "Query is nested too deep: more than {MAX_NESTING} brackets are open at once."
                    )));
                }
                1
            }
            b')' | b']' | b'}' => {
                // Whether it fits what was opened is the parser's to say; it goes no deeper than this counts.
                open = open.saturating_sub(1);
                1
            }
            _ => 1,
        };
        tokens += 1;
        if tokens > MAX_TOKENS {
            return Err(refused(&format!("Query is too long: it has more than {MAX_TOKENS} tokens.")));
        }
        rest = &rest[length..];
    }
    Ok(tokens)
}

fn name(text: &[u8]) -> Result<usize, ServerError> {
    let length = run(text, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if length > MAX_NAME {
        return Err(refused(&format!("A name is longer than {MAX_NAME} bytes.")));
    }
    Ok(length)
}

/// How many bytes at the beginning are of a kind.
fn run(text: &[u8], kind: impl Fn(&u8) -> bool) -> usize {
    text.iter().position(|byte| !kind(byte)).unwrap_or(text.len())
}

/// The length of the string that the text begins with, quotes included; `None` if it does not end. Strings are
/// told apart as the parser does it: one that it would read as shorter could hide tokens.
fn string(text: &[u8]) -> Option<usize> {
    let block = text.starts_with(br#"""""#);
    let mut at = if block { 3 } else { 1 };
    loop {
        let rest = text.get(at..)?;
        at += match (block, *rest.first()?) {
            (true, b'"') if rest.starts_with(br#"""""#) => return Some(at + 3),
            (true, b'\\') if rest.starts_with(br#"\""""#) => 4,
            (false, b'"') => return Some(at + 1),
            (false, b'\\') => 2,
            (false, b'\n' | b'\r') => return None,
            _ => 1,
        };
    }
}

fn refused(problem: &str) -> ServerError {
    ServerError::new(problem, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(document: &str) -> Option<String> {
        tokens(document).err().map(|error| error.message)
    }

    #[test]
    fn tokens_are_those_of_the_specification() {
        for (document, count) in [
            ("", 0),
            ("query($id: ID!) { user(id: $id) { id, email } }", 21),
            ("{ ...F } # { not { these\r\n fragment F on Query { a }", 11),
            (r#"{ a(b: "c \" d { e", f: -10) }"#, 12),
            (r#"{ a(b: """ { " \""" { """) }"#, 8),
            (r#"[ "" """""" "" ]"#, 5),
            ("[0000]", 6),
            ("......", 2),
        ] {
            assert_eq!(tokens(document).unwrap(), count, "{document}");
        }
    }

    #[test]
    fn a_document_may_have_15_000_tokens() {
        assert_eq!(says(&"a ".repeat(15_000)), None);
        assert!(says(&"a ".repeat(15_001)).is_some());
    }

    #[test]
    fn a_document_may_have_64_brackets_in_one_another() {
        for (open, close) in [("(", ")"), ("[", "]"), ("{", "}")] {
            let nested = |levels| open.repeat(levels) + &close.repeat(levels);
            assert_eq!(says(&nested(64)), None);
            assert_eq!(says(&nested(64).repeat(100)), None);
            assert!(says(&nested(65)).is_some_and(|message| message.contains("too deep")));
        }
        assert!(says(&"([{".repeat(22)).is_some());
        assert_eq!(says(&format!("{}\"{}\"", "{".repeat(64), "{".repeat(1_000))), None);
        // What is closed before it was opened opens no more than it did.
        assert!(says(&format!("{}{}", ")]}".repeat(100), "[".repeat(65))).is_some());
    }

    #[test]
    fn a_string_that_does_not_end_hides_nothing() {
        for document in ["\"", "\"a\\\"", "\"a\n\"", "\"\"\"", "\"\"\"a\"\n b", "\"\"\"a\\\"\"\"", "\"\\"] {
            assert_eq!(says(document).as_deref(), Some("A string does not end."), "{document}");
        }
    }

    #[test]
    fn a_name_may_have_256_bytes() {
        assert_eq!(says(&format!("{{ {} }}", "a".repeat(256))), None);
        assert!(says(&format!("{{ {} }}", "a".repeat(257))).is_some());
    }
}
