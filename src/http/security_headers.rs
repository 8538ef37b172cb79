//! What every answer tells a browser, unless a handler has said otherwise: that it is data for the one who
//! asked, not a page, and not to be kept.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    // A site that makes a browser show an answer as a page gets one that may load and run nothing.
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A year: what browsers and their preload lists ask for.
const ONLY_TLS_FROM_NOW_ON: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Whether requests come to this listener by TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverTls(pub(super) bool);

pub(super) async fn add(State(over_tls): State<OverTls>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    complete(response.headers_mut(), over_tls);
    response
}

fn complete(headers: &mut HeaderMap, OverTls(over_tls): OverTls) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    // In an answer that came without TLS, browsers must ignore it (RFC 6797, 8.1).
    if over_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS_FROM_NOW_ON);
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, OverTls, complete, header};

    #[test]
    fn only_an_answer_over_tls_asks_for_tls_from_now_on() {
        for (over_tls, expected) in [(false, None), (true, Some("max-age=31536000"))] {
            let mut headers = HeaderMap::new();
            complete(&mut headers, OverTls(over_tls));
            assert_eq!(
                headers.get(header::STRICT_TRANSPORT_SECURITY),
                expected.map(HeaderValue::from_static).as_ref()
            );
        }
    }

    #[test]
    fn what_a_handler_said_stays() {
        let own = HeaderValue::from_static("no-cache");
        let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, own.clone())]);
        complete(&mut headers, OverTls(false));
        assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().collect::<Vec<_>>(), [&own]);
    }
}
