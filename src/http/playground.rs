//! `GET /playground`: GraphiQL, the maintained heir of GraphQL Playground, with the tour in its tabs.

use axum::response::Html;

pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("playground.html"))
}
