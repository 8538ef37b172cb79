//! `GET /playground`: GraphiQL, the maintained heir of GraphQL Playground, with the tour in its tabs.
//!
//! A build that found `web/dist` has all of GraphiQL, and its page loads nothing from elsewhere. Any other serves
//! a page that loads GraphiQL from a CDN, in versions pinned by hash. Release builds hold the files; debug builds
//! read them from the disk. Why two, and why GraphiQL 4: `docs/decisions/0023-playground.md`.

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` in `web/` makes.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Built;

/// The page that needs no build, and what it shares with the other.
#[derive(RustEmbed)]
#[folder = "web/page"]
struct Page;

/// Which of the two pages is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edition {
    Built,
    FromCdn,
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/playground") }))
        .route("/playground", get(page))
        .route("/playground/assets/{name}", get(asset))
        .with_state(Edition::of_this_build())
}

async fn page(State(edition): State<Edition>, asked: HeaderMap) -> Response {
    let policy = HeaderValue::from_static(edition.content_security_policy());
    ([(header::CONTENT_SECURITY_POLICY, policy)], answer(edition.page(), REVALIDATED, &asked)).into_response()
}

async fn asset(State(edition): State<Edition>, Path(name): Path<String>, asked: HeaderMap) -> Response {
    answer(edition.asset(&name), edition.kept(), &asked)
}

const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

impl Edition {
    fn of_this_build() -> Self {
        if Self::Built.page().is_some() { Self::Built } else { Self::FromCdn }
    }

    fn page(self) -> Option<EmbeddedFile> {
        match self {
            Self::Built => Built::get("index.html"),
            Self::FromCdn => Page::get("cdn.html"),
        }
    }

    fn asset(self, name: &str) -> Option<EmbeddedFile> {
        match self {
            Self::Built => Built::get(&format!("assets/{name}")),
            Self::FromCdn => Page::get(name),
        }
    }

    /// For how long a browser may keep an asset. Vite puts a hash of the content into each name.
    fn kept(self) -> HeaderValue {
        match self {
            Self::Built => IMMUTABLE,
            Self::FromCdn => REVALIDATED,
        }
    }

    /// The least that the page works with: no inline script, no inline style, no `eval`, no other origin. Fonts
    /// and two small pictures are part of GraphiQL's stylesheet (`data:`).
    fn content_security_policy(self) -> &'static str {
        match self {
            Self::Built => {
                "default-src 'none'; script-src 'self'; style-src 'self'; font-src data:; \
                 img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'"
            }
            Self::FromCdn => {
                "default-src 'none'; \
                 script-src 'self' \
                 https://cdn.jsdelivr.net/npm/react@18.3.1/umd/react.production.min.js \
                 https://cdn.jsdelivr.net/npm/react-dom@18.3.1/umd/react-dom.production.min.js \
                 https://cdn.jsdelivr.net/npm/graphiql@4.1.2/graphiql.min.js; \
                 style-src 'self' https://cdn.jsdelivr.net/npm/graphiql@4.1.2/graphiql.min.css; \
                 font-src data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            }
        }
    }
}

/// The file, or 304 to a browser that has it.
fn answer(file: Option<EmbeddedFile>, kept: HeaderValue, asked: &HeaderMap) -> Response {
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag) {
        return (StatusCode::NOT_MODIFIED, [(header::CACHE_CONTROL, kept)], [(header::ETAG, tag)])
            .into_response();
    }
    let media_type = match file.metadata.mimetype() {
        "text/html" => "text/html; charset=utf-8".to_owned(),
        other => other.to_owned(),
    };
    (
        [(header::CACHE_CONTROL, kept)],
        [(header::ETAG, tag), (header::CONTENT_TYPE, media_type)],
        file.data.into_owned(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::{Edition, HeaderMap, IMMUTABLE, REVALIDATED, StatusCode, answer, header};

    #[test]
    fn the_page_of_the_cdn_names_what_its_policy_permits() {
        let page = Edition::FromCdn.page().unwrap().data.into_owned();
        let page = String::from_utf8(page).unwrap();
        let policy = Edition::FromCdn.content_security_policy();
        let permitted: Vec<_> =
            policy.split([' ', ';']).filter(|source| source.starts_with("https://")).collect();
        assert_eq!(permitted.len(), page.matches("integrity=\"sha384-").count());
        for source in permitted {
            assert!(page.contains(&format!("\"{source}\"")), "{source}");
        }
    }

    #[test]
    fn the_page_of_the_cdn_has_its_own_files() {
        for name in ["cdn.js", "playground.js", "examples.js", "page.css", "icon.svg"] {
            let file = Edition::FromCdn.asset(name);
            let response = answer(file, Edition::FromCdn.kept(), &HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(
                response.headers()[header::CACHE_CONTROL],
                REVALIDATED,
                "{name} has no hash in its name"
            );
        }
    }

    #[test]
    fn files_named_by_their_content_never_change() {
        let file = Edition::FromCdn.asset("icon.svg");
        let response = answer(file, Edition::Built.kept(), &HeaderMap::new());
        assert_eq!(response.headers()[header::CACHE_CONTROL], IMMUTABLE);
    }
}
