//! The playground's page and files, in whichever of its two forms this build has. `tests/playground` opens both in
//! a browser.

use reqwest::{
    Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH, LOCATION,
    },
    redirect::Policy,
};

use super::started;
use crate::harness::{TestApp, TestStack};

/// Answers as they are, without following redirects.
async fn get(app: &TestApp, path: &str) -> Response {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    client.execute(app.get(path).build().unwrap()).await.unwrap()
}

fn text(headers: &HeaderMap, name: impl reqwest::header::AsHeaderName) -> &str {
    headers.get(name).unwrap().to_str().unwrap()
}

/// The page's headers, and its text.
async fn page(app: &TestApp) -> (HeaderMap, String) {
    let response = get(app, "/playground").await;
    assert_eq!(response.status(), StatusCode::OK);
    (response.headers().clone(), response.text().await.unwrap())
}

/// What the page's tags load: each tag, and the address in it.
fn loaded(page: &str) -> Vec<(&str, &str)> {
    let tags = page.split('<').filter(|tag| tag.starts_with("script") || tag.starts_with("link"));
    tags.map(|tag| {
        let start = tag.find("src=\"").map_or_else(|| tag.find("href=\"").unwrap() + 6, |start| start + 5);
        (tag, tag[start..].split('"').next().unwrap())
    })
    .collect()
}

#[tokio::test]
async fn the_page_is_served() {
    let app = started().await;
    let response = get(&app, "/").await;
    assert!(response.status().is_redirection());
    assert_eq!(response.headers()[LOCATION], "/playground");

    let (headers, page) = page(&app).await;
    assert_eq!(text(&headers, CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(text(&headers, CACHE_CONTROL), "no-cache");
    assert!(page.starts_with("<!doctype html>") && page.contains("id=\"graphiql\""), "{page}");
}

#[tokio::test]
async fn the_page_runs_scripts_from_files_only() {
    let app = started().await;
    let (headers, page) = page(&app).await;
    let policy = text(&headers, CONTENT_SECURITY_POLICY);
    for directive in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.split("; ").any(|part| part == directive), "{directive}: {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onload="), "{page}");
    for tag in page.split('<').filter(|tag| tag.starts_with("script")) {
        assert!(tag.trim_end().ends_with('>') && tag.contains("src=\""), "an inline script: {tag}");
    }
}

#[tokio::test]
async fn what_the_page_loads_is_served_or_pinned() {
    let app = started().await;
    let (headers, page) = page(&app).await;
    let policy = text(&headers, CONTENT_SECURITY_POLICY);
    let loaded = loaded(&page);
    assert!(loaded.len() >= 3, "{page}");
    for (tag, address) in loaded {
        if address.starts_with("https://") {
            assert!(tag.contains("integrity=\"sha384-"), "not pinned: {tag}");
            assert!(policy.contains(address), "{address} is not in {policy}");
            continue;
        }
        let response = get(&app, address).await;
        assert_eq!(response.status(), StatusCode::OK, "{address}");
        let media_type = match address.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            other => panic!("{other} in {address}"),
        };
        assert_eq!(text(response.headers(), CONTENT_TYPE).split(';').next(), Some(media_type), "{address}");
        assert_eq!(text(response.headers(), "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let app = started().await;
    let (_, page) = page(&app).await;
    let own = loaded(&page).into_iter().map(|(_, address)| address).find(|address| address.starts_with('/'));
    for path in ["/playground", own.unwrap()] {
        let tag = get(&app, path).await.headers()[ETAG].to_str().unwrap().to_owned();
        for known in [tag.clone(), format!("\"other\", W/{tag}")] {
            let response = app.get(path).header(IF_NONE_MATCH, known).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path}");
            assert_eq!(text(response.headers(), ETAG), tag);
            assert!(response.bytes().await.unwrap().is_empty());
        }
        let response = app.get(path).header(IF_NONE_MATCH, "\"other\"").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn only_the_playgrounds_files_are_served() {
    let app = started().await;
    for name in
        ["", "nothing.js", "..%2fpackage.json", "..%2f..%2fCargo.toml", "%2fetc%2fpasswd", "%00", "a/b.js"]
    {
        let response = get(&app, &format!("/playground/assets/{name}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{name}");
    }
}

#[tokio::test]
async fn without_playground_there_is_no_page() {
    let app = TestApp::start_with(TestStack::sqlite(), |config| config.http.playground = false).await;
    for path in ["/", "/playground", "/playground/assets/page.css", "/playground/assets/playground.js"] {
        assert_eq!(get(&app, path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}
