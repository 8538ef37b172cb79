//! Heads of requests: what the HTTP library refuses by itself, and what comes to us.

use super::{Attack, bodies::head};

pub(super) fn attacks(token: &str) -> Vec<Attack> {
    let refused = |name: &str, request: String, status| Attack {
        name: name.to_owned(),
        request: request.into_bytes(),
        endless: None,
        status,
        code: None,
        says: "",
    };
    let with = |more: &str| head(token, more);
    let get = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
    };
    let long = "a".repeat(100 * 1024);
    let mut attacks = vec![
        refused("a huge header", with(&format!("X-Long: {long}\r\n")), 431),
        refused("1,000 headers", with(&(0..1000).map(|n| format!("X-{n}: x\r\n")).collect::<String>()), 431),
        refused("a huge path", get(&format!("/{long}")), 431),
        refused("NUL in a header", with("X: a\0b\r\n"), 400),
        refused("two lengths", with("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        refused("a length that is no number", with("Content-Length: -1\r\n"), 400),
        refused("no HTTP", "\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), 400),
        refused("a query over GET", get("/graphql?query=%7B__typename%7D"), 405),
        refused("a path that is not there", get("/graphql/"), 404),
    ];
    let endless = |name: &str, request: String, piece: &str| Attack {
        endless: Some(piece.as_bytes().to_vec()),
        ..refused(name, request, 431)
    };
    let begun = with("");
    attacks.extend([
        endless("headers without end", begun.trim_end().to_owned() + "\r\n", "X: x\r\n"),
        endless("a header without end", begun.trim_end().to_owned() + "\r\nX: ", "xxxx"),
    ]);
    attacks
}
