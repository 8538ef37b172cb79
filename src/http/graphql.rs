//! `POST /graphql`, as the GraphQL over HTTP specification has it.
//!
//! One JSON request at a time: no batches, no GET, no multipart. Asked for
//! `application/graphql-response+json`, a request that cannot be executed answers 400; asked for
//! `application/json`, it answers 200, as that media type requires.

use std::{sync::Arc, time::Duration};

use async_graphql::{PathSegment, Request, Response, ServerError, Value};
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde::{Serialize, ser::SerializeMap};

use super::{
    HttpState,
    limits::{self, refuse},
    request_id::RequestId,
};
use crate::{access::Caller, audit::AuditError, causes, graphql::errors::ErrorCode};

/// When somebody may ask again of whom too much waits to be recorded: it takes less, unless the database is slow.
const SOON: Duration = Duration::from_secs(1);
const JSON: &str = "application/json";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

pub(super) async fn execute(
    State(state): State<Arc<HttpState>>,
    Extension(caller): Extension<Arc<Caller>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: axum::extract::Request,
) -> axum::response::Response {
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
        Ok(response) => answer(media_type, with_null_propagated(with_codes(response))),
        Err(error @ AuditError::Crowded) => {
            tracing::warn!("an answer is withheld: {}", causes::line(&error));
            limits::wait_for(
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

/// An error of the library itself, before or beside our resolvers, has no code yet.
fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            let code = if error.path.is_empty() {
                ErrorCode::GraphqlValidationFailed
            } else {
                ErrorCode::BadUserInput
            };
            extensions.set("code", code.as_str());
        }
    }
    response
}

/// The library leaves a root field that failed out of `data`. The specification (6.4.4) has the null of a
/// non-nullable field become that of its parent, which is `data` itself.
fn with_null_propagated(mut response: Response) -> Response {
    let Value::Object(data) = &response.data else { return response };
    let is_missing = |error: &ServerError| match error.path.as_slice() {
        [PathSegment::Field(name)] => !data.contains_key(name.as_str()),
        _ => false,
    };
    if response.errors.iter().any(is_missing) {
        response.data = Value::Null;
    }
    response
}

fn answer(media_type: &'static str, response: Response) -> axum::response::Response {
    let response = Body(response);
    let status = if media_type == GRAPHQL_RESPONSE && !response.was_executed() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    match serde_json::to_vec(&response) {
        Ok(json) => (status, [(header::CONTENT_TYPE, media_type)], json).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be serialised");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "an internal error occurred")
        }
    }
}

/// A response as the specification writes it: without `data` if nothing was executed, errors first.
struct Body(Response);

impl Body {
    fn was_executed(&self) -> bool {
        self.0.data != Value::Null || self.0.errors.iter().any(|error| !error.path.is_empty())
    }
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.0.errors.is_empty() {
            map.serialize_entry("errors", &self.0.errors)?;
        }
        if self.was_executed() {
            map.serialize_entry("data", &self.0.data)?;
        }
        map.end()
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
