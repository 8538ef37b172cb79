//! What KMS's failures mean. The codes: AWS KMS API Reference, "Common Error Types", and the errors of
//! `GenerateDataKey`, `Decrypt`, `ReEncrypt` and `DescribeKey`.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::{BackendError, ErrorClass};

/// A failed call. What KMS answered is not kept: it might hold a data key.
pub(super) fn backend_error<E>(backend: &str, error: SdkError<E, HttpResponse>) -> BackendError
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let class = class(&error);
    match error.into_source() {
        Ok(source) => BackendError::new(backend, class, source),
        Err(_) => BackendError { backend: backend.to_owned(), class, source: None },
    }
}

/// Whether a code says that there were too many calls.
pub(super) fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "SlowDown"
    )
}

fn class<E>(error: &SdkError<E, HttpResponse>) -> ErrorClass
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let answer = error.raw_response().map(|response| response.status().as_u16());
    match (error, answer) {
        (SdkError::ServiceError(service), _) if service.err().code().is_some() => {
            service.err().code().map_or(ErrorClass::BadAnswer, class_of_code)
        }
        (_, Some(500..)) => ErrorClass::Unavailable,
        (_, Some(429)) => ErrorClass::Throttled,
        (_, Some(401 | 403)) => ErrorClass::Denied,
        (_, Some(_)) => ErrorClass::BadAnswer,
        (_, None) => class_of_cause(error),
    }
}

fn class_of_code(code: &str) -> ErrorClass {
    match code {
        _ if is_throttle(code) => ErrorClass::Throttled,
        "DisabledException" | "KMSInvalidStateException" => ErrorClass::KeyDisabled,
        "NotFoundException" | "InvalidArnException" => ErrorClass::KeyNotFound,
        "InvalidKeyUsageException" => ErrorClass::KeyUnsuitable,
        // KMS does not tell which: another context, other bytes, another key.
        "InvalidCiphertextException" | "IncorrectKeyException" => ErrorClass::ContextMismatch,
        "AccessDeniedException"
        | "AccessDenied"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorClass::Denied,
        // Among them KeyUnavailableException, DependencyTimeoutException, KMSInternalException. What KMS
        // may say one day and nobody knows yet is tried again, too.
        _ => ErrorClass::Unavailable,
    }
}

/// No answer: the network, or no credentials to ask with.
fn class_of_cause(error: &(dyn Error + 'static)) -> ErrorClass {
    match error.downcast_ref() {
        Some(CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_)) => {
            ErrorClass::Denied
        }
        _ => error.source().map_or(ErrorClass::Unavailable, class_of_cause),
    }
}
