//! Bodies that are no GraphQL request, or are one in a form that is not taken.

use super::{Attack, BAD, LARGEST_BODY};

const CREATE: &str = r#"{"query":"mutation { createUser(input: { username: \"x\" }) { id } }"}"#;

/// The head of `POST /graphql`, with more lines in it.
pub(super) fn head(token: &str, more: &str) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Accept: application/graphql-response+json\r\n{more}\r\n"
    )
}

/// A whole request with JSON, or what claims to be.
pub(super) fn post(
    token: &str,
    name: &str,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
    says: &'static str,
) -> Attack {
    typed(token, name, "Content-Type: application/json\r\n", body, status, code, says)
}

fn typed(
    token: &str,
    name: &str,
    lines: &str,
    body: impl Into<Vec<u8>>,
    status: u16,
    code: &'static str,
    says: &'static str,
) -> Attack {
    let body = body.into();
    let mut request = head(token, &format!("{lines}Content-Length: {}\r\n", body.len())).into_bytes();
    request.extend(body);
    Attack { name: name.to_owned(), request, endless: None, status, code: Some(code), says }
}

pub(super) fn attacks(token: &str) -> Vec<Attack> {
    let no_request = |name: &str, body: &[u8]| post(token, name, body, 400, BAD, "not a GraphQL request");
    let wrong_type = |lines: &str, body: &str| {
        typed(
            token,
            &format!("of type [{}]", lines.trim_end()),
            lines,
            body,
            415,
            BAD,
            "must be application/json",
        )
    };
    let json = "Content-Type: application/json\r\n";
    let mut attacks = vec![
        // JSON.
        no_request("nested arrays", "[".repeat(100_000).replacen('[', "{\"query\":[", 1).as_bytes()),
        no_request("nested objects", "{\"a\":".repeat(50_000).as_bytes()),
        no_request(
            "nested variables",
            format!(
                r#"{{"query":"{{ __typename }}","variables":{{"a":{}1{}}}}}"#,
                "[".repeat(100_000),
                "]".repeat(100_000)
            )
            .as_bytes(),
        ),
        no_request("a number out of range", br#"{"query":"{ __typename }","variables":{"a":1e999}}"#),
        no_request("invalid UTF-8", b"{\"query\":\"{ __typename \xff\xfe }\"}"),
        no_request("half a character", b"{\"query\":\"{ __typename } # \xe2\x82\"}"),
        no_request("half a surrogate pair", br#"{"query":"{ __typename } # \ud800"}"#),
        no_request(
            "UTF-16",
            &"{\"query\":\"{ __typename }\"}".bytes().flat_map(|byte| [byte, 0]).collect::<Vec<_>>(),
        ),
        no_request("a byte order mark", "\u{feff}{\"query\":\"{ __typename }\"}".as_bytes()),
        no_request("NUL", b"\0"),
        no_request("NUL in a string", b"{\"query\":\"{ __typename }\0\"}"),
        no_request("nothing but NUL", &vec![0; LARGEST_BODY]),
        no_request("nothing", b""),
        no_request("spaces", &vec![b' '; LARGEST_BODY]),
        no_request("a query that is no text", br#"{"query":["{ __typename }"]}"#),
        no_request("the same key twice", br#"{"query":"{ __typename }","query":"{ __typename }"}"#),
        no_request("two requests", br#"{"query":"{ __typename }"}{"query":"{ __typename }"}"#),
        // A gzip of what would be a request: it is read as it is.
        typed(
            token,
            "gzip",
            &format!("{json}Content-Encoding: gzip\r\n"),
            *b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x2a\x2c\x4d\x2d\xaa\x54\xb2\x52\xaa",
            400,
            BAD,
            "not a GraphQL request",
        ),
        // Batches.
        post(token, "a batch", format!("[{CREATE},{CREATE}]"), 400, BAD, "batches"),
        post(
            token,
            "a batch of 10,000",
            format!("[{}0]", "{\"query\":\"{a}\"},".repeat(10_000)),
            400,
            BAD,
            "batches",
        ),
        // Other types.
        wrong_type("Content-Type: text/plain\r\n", CREATE),
        wrong_type("Content-Type: application/x-www-form-urlencoded\r\n", "query=%7B__typename%7D"),
        wrong_type("Content-Type: application/graphql\r\n", "{ __typename }"),
        wrong_type(
            "Content-Type: multipart/form-data; boundary=x\r\n",
            "--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{ __typename }\"}\r\n--x--\r\n",
        ),
        wrong_type("", CREATE),
        // Too large.
        post(token, "a body over the limit", vec![b' '; LARGEST_BODY + 1], 413, BAD, "max_body_bytes"),
        post(token, "a body far over the limit", vec![b' '; 16 * LARGEST_BODY], 413, BAD, "max_body_bytes"),
    ];
    let announced = |lines: &str| head(token, &format!("{json}{lines}")).into_bytes();
    let endless = |name: &str, request, piece: &[u8]| Attack {
        name: name.to_owned(),
        request,
        endless: Some(piece.to_vec()),
        status: 413,
        code: Some(BAD),
        says: "max_body_bytes",
    };
    attacks.extend([
        endless("a body of a terabyte", announced("Content-Length: 1099511627776\r\n"), &[b' '; 4096]),
        endless(
            "chunks without end",
            announced("Transfer-Encoding: chunked\r\n"),
            b"10\r\n                \r\n",
        ),
        endless(
            "large chunks without end",
            announced("Transfer-Encoding: chunked\r\n"),
            &[b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat(),
        ),
    ]);
    attacks
}
