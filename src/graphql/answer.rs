//! What a client gets of the library's response: as the GraphQL specification has it, where the library does not, and each
//! error with a code.

use crate::errors::ErrorCode;
use async_graphql::{PathSegment, Response, ServerError, Value};

/// Most request errors that are told. A client with more of them corrects these first; graphql-js, too, stops at as many.
const MAX_REQUEST_ERRORS: usize = 100;
/// Longest message of a request error, in characters: a syntax error repeats the line, which may be the whole
/// document.
const MAX_MESSAGE: usize = 1_000;
/// Room for what was not written before, in bytes: it grows.
const SHORT: usize = 128;

/// The answer to a request.
#[derive(Debug)]
pub struct Answer(Response);

impl Answer {
    pub(super) fn of(response: Response) -> Self {
        Self(with_null_propagated(with_codes(shortened(response))))
    }

    /// Whether anything was executed; if not, the request itself was refused.
    #[must_use]
    pub fn was_executed(&self) -> bool {
        self.0.data != Value::Null || self.0.errors.iter().any(|error| !error.path.is_empty())
    }

    /// As the specification (7.1) writes it: without `data` if nothing was executed, errors first. A field that was
    /// written already (`Value::Binary`) goes in as it is.
    ///
    /// # Errors
    ///
    /// That of the serialiser.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = Vec::with_capacity(self.length());
        json.push(b'{');
        if !self.0.errors.is_empty() {
            json.extend_from_slice(b"\"errors\":");
            serde_json::to_writer(&mut json, &self.0.errors)?;
        }
        if self.was_executed() {
            if !self.0.errors.is_empty() {
                json.push(b',');
            }
            json.extend_from_slice(b"\"data\":");
            self.write_data(&mut json)?;
        }
        json.push(b'}');
        Ok(json)
    }

    fn write_data(&self, json: &mut Vec<u8>) -> serde_json::Result<()> {
        let Value::Object(fields) = &self.0.data else { return serde_json::to_writer(json, &self.0.data) };
        json.push(b'{');
        for (position, (name, value)) in fields.iter().enumerate() {
            if position > 0 {
                json.push(b',');
            }
            serde_json::to_writer(&mut *json, name)?;
            json.push(b':');
            match value {
                Value::Binary(written) => json.extend_from_slice(written),
                value => serde_json::to_writer(&mut *json, value)?,
            }
        }
        json.push(b'}');
        Ok(())
    }

    /// About how long it will be, in bytes.
    fn length(&self) -> usize {
        let Value::Object(fields) = &self.0.data else { return SHORT };
        let length = |value: &Value| if let Value::Binary(written) = value { written.len() } else { SHORT };
        SHORT + fields.iter().map(|(name, value)| name.len() + length(value)).sum::<usize>()
    }
}

/// Request errors, of which a document may cause as many as it has tokens, cut to what somebody would read. Errors
/// of fields that were executed are left as they are: each belongs to a null.
fn shortened(mut response: Response) -> Response {
    if response.errors.iter().all(|error| error.path.is_empty()) {
        response.errors.truncate(MAX_REQUEST_ERRORS);
        for error in &mut response.errors {
            // The end of a syntax error says what was expected.
            let length = error.message.chars().count();
            if length > MAX_MESSAGE {
                let half = MAX_MESSAGE / 2;
                let begin: String = error.message.chars().take(half).collect();
                let end: String = error.message.chars().skip(length - half).collect();
                error.message = format!("{begin} … {end}");
            }
        }
    }
    response
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

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    fn error(path: &[&str]) -> ServerError {
        let mut error = ServerError::new("no", None);
        error.path = path.iter().map(|name| PathSegment::Field((*name).to_owned())).collect();
        error
    }

    fn json(data: Value, errors: Vec<ServerError>) -> serde_json::Value {
        let mut response = Response::new(data);
        response.errors = errors;
        serde_json::from_slice(&Answer::of(response).to_json().unwrap()).unwrap()
    }

    #[test]
    fn a_request_of_which_nothing_was_executed_has_no_data() {
        let answer = json(Value::Null, vec![error(&[])]);
        assert!(answer.get("data").is_none(), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    }

    #[test]
    fn a_root_field_that_failed_leaves_no_data() {
        let answer = json(value!({ "other": 1 }), vec![error(&["users"])]);
        assert_eq!(answer["data"], serde_json::Value::Null);
        assert!(answer.get("data").is_some(), "{answer}");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }

    #[test]
    fn the_null_of_a_nullable_field_stays_where_it_is() {
        for errors in [vec![error(&["user"])], vec![error(&["user", "email"])]] {
            let answer = json(value!({ "user": null, "other": 1 }), errors);
            assert_eq!(answer["data"]["other"], 1);
        }
    }
}
