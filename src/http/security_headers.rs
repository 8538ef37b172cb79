//! What every answer tells a browser, unless a handler has said otherwise: that it is data for the one who
//! asked, not a page, and not to be kept.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    // Whoever makes a browser show an answer as a page gets one that may load and run nothing.
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

/// How requests come to this listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

pub(super) async fn add(State(transport): State<Transport>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    complete(response.headers_mut(), transport);
    response
}

fn complete(headers: &mut HeaderMap, transport: Transport) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    // In an answer that came without TLS, browsers must ignore it (RFC 6797, 8.1).
    if transport == Transport::Tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS_FROM_NOW_ON);
    }
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, Transport, complete, header};

    #[test]
    fn only_an_answer_over_tls_asks_for_tls_from_now_on() {
        for (transport, expected) in [(Transport::Plain, None), (Transport::Tls, Some("max-age=31536000"))] {
            let mut headers = HeaderMap::new();
            complete(&mut headers, transport);
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
        complete(&mut headers, Transport::Plain);
        assert_eq!(headers.get_all(header::CACHE_CONTROL).iter().collect::<Vec<_>>(), [&own]);
    }
}
