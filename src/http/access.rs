//! Who sends a request: asked before anything of it is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::{
    HttpState,
    client_address::ClientAddress,
    refusal::{internal, refuse, wait, wait_for},
};
use crate::{
    access::AuthError,
    errors::{ErrorCode, UNAUTHENTICATED},
};

/// Lets a request through if its address and its caller may send one more, and says who the caller is.
pub(super) async fn admit(State(state): State<Arc<HttpState>>, mut request: Request, next: Next) -> Response {
    let Some(&ClientAddress(address)) = request.extensions().get() else {
        tracing::error!("a request without an address");
        return internal();
    };
    if let Err(too_many) = state.rates.charge_address(address) {
        return wait(too_many.retry_after);
    }
    let Ok(credential) = bearer(request.headers()) else { return unauthenticated(true) };
    let caller = match state.authenticator.authenticate(credential).await {
        Ok(caller) => caller,
        Err(AuthError::Refused(why)) => {
            tracing::info!("not let in: {why}");
            return unauthenticated(credential.is_some());
        }
        Err(AuthError::Unavailable(_)) => {
            let message = "whether the token is valid cannot be told now; try again";
            return refuse(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message);
        }
    };
    if let Err(too_many) = state.refusals.admit(&caller.actor) {
        return wait_for(too_many.retry_after, "too much was refused to this token within a minute");
    }
    if let Err(too_many) = state.rates.charge_actor(&caller.actor) {
        return wait(too_many.retry_after);
    }
    request.extensions_mut().insert::<Arc<_>>(caller);
    next.run(request).await
}

/// The token of `Authorization: Bearer …` (RFC 6750, 2.1). Several headers, or another scheme, are no good.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, NotBearer> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, token) = value.to_str().map_err(|_| NotBearer)?.split_once(' ').ok_or(NotBearer)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NotBearer);
    }
    Ok(Some(token.trim()))
}

struct NotBearer;

/// The same whatever is wrong with a credential.
fn unauthenticated(sent_one: bool) -> Response {
    let mut response = refuse(StatusCode::UNAUTHORIZED, ErrorCode::Unauthenticated, UNAUTHENTICATED);
    // RFC 6750, 3.1: no error code for a request without a credential.
    let challenge = if sent_one { "Bearer error=\"invalid_token\"" } else { "Bearer" };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}
