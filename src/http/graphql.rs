//! `POST /graphql`, as the GraphQL over HTTP specification has it.
//!
//! One JSON request at a time: no batches, no GET, no multipart. Asked for
//! `application/graphql-response+json`, a request that cannot be executed answers 400; asked for
//! `application/json`, it answers 200, as that media type requires.

use std::{sync::Arc, time::Duration};

use async_graphql::Request;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    HttpState, limits,
    refusal::{internal, refuse, wait_for},
    request_id::RequestId,
};
use crate::{access::Caller, audit::AuditError, causes, errors::ErrorCode, graphql::Answer};

/// When somebody may ask again of whom too much waits to be recorded: it takes less, unless the database is slow.
const SOON: Duration = Duration::from_secs(1);
const JSON: &str = "application/json";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

pub(super) async fn execute(
    State(state): State<Arc<HttpState>>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: axum::extract::Request,
) -> Response {
    let Some(media_type) = accepted(request.headers()) else {
        return refuse(
            StatusCode::NOT_ACCEPTABLE,
            ErrorCode::BadRequest,
            "this server answers application/json or application/graphql-response+json",
        );
    };
    if !is_json(request.headers()) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::BadRequest,
            "the request's Content-Type must be application/json",
        );
    }
    let body = match limits::body(request).await {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(
                rejection.status(),
                ErrorCode::BadRequest,
                "the request body is larger than http.max_body_bytes allows",
            );
        }
        Err(rejection) => {
            return refuse(rejection.status(), ErrorCode::BadRequest, "the request body could not be read");
        }
    };
    let request = match parse(&body) {
        Ok(request) => request,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, ErrorCode::BadRequest, problem),
    };
    let session = state.api.session(caller, &request_id);
    match state.api.execute(session, request).await {
        Ok(answer) => respond(media_type, &answer),
        Err(error @ AuditError::Crowded) => {
            tracing::warn!("an answer is withheld: {}", causes::line(&error));
            wait_for(
                SOON,
                "what was read cannot be recorded yet, as too much that you read waits for that, so it is not \
                 answered; a change may have been made",
            )
        }
        Err(error) => {
            tracing::error!("an answer is withheld: {}", causes::line(&error));
            refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Unavailable,
                "what was read could not be recorded, so it is not answered; a change may have been made",
            )
        }
    }
}

fn parse(body: &[u8]) -> Result<Request, &'static str> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err("batches are not served: send one request at a time");
    }
    // The parser's own message may quote the input.
    serde_json::from_slice(body)
        .ok()
        .filter(|request: &Request| !request.query.trim().is_empty())
        .ok_or("the request body is not a GraphQL request: {\"query\": \"…\", \"variables\": {…}}")
}

fn respond(media_type: &'static str, answer: &Answer) -> Response {
    let status = if media_type == GRAPHQL_RESPONSE && !answer.was_executed() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    match answer.to_json() {
        Ok(json) => (status, [(header::CONTENT_TYPE, media_type)], json).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be serialised");
            internal()
        }
    }
}

/// The media type of the answer; `None` if the client accepts none that we have.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    if !headers.contains_key(header::ACCEPT) {
        return Some(JSON);
    }
    let mut json = false;
    // Several headers are one list (RFC 9110, 5.3).
    for accept in headers.get_all(header::ACCEPT) {
        for range in accept.to_str().ok()?.split(',').map(essence) {
            if range.eq_ignore_ascii_case(GRAPHQL_RESPONSE) {
                return Some(GRAPHQL_RESPONSE);
            }
            json |= [JSON, "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known));
        }
    }
    json.then_some(JSON)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| essence(value).eq_ignore_ascii_case(JSON))
}

/// A media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
