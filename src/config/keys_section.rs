//! What `[keys]` must fulfil to be used by this program.

use super::{
    AwsKmsConfig, AwsKmsConfigError, BackendConfig, DEFAULT_PROFILE, KeysConfig, LocalBackendConfig,
    section::{Context, Invalid, Section},
};
use crate::redaction;

/// The profile in which an unencrypted endpoint need not be on this machine.
const LOCALSTACK_PROFILE: &str = "localstack";

impl Section for KeysConfig {
    fn validate(&self, context: &Context<'_>) -> Result<(), Invalid> {
        if !self.backends.contains_key(&self.active) {
            let active = redaction::text(&self.active);
            let names: Vec<_> = self.backends.keys().map(String::as_str).collect();
            let names = names.join(", ");
            let problem = format!("\"{active}\" names no backend; configured under [keys.backends]: {names}");
            return Err(Invalid::new("keys.active", problem));
        }
        for (name, backend) in &self.backends {
            match backend {
                BackendConfig::Local(local) => validate_local(local, name, context)?,
                BackendConfig::AwsKms(aws) => validate_aws_kms(aws, name, context)?,
            }
        }
        // Otherwise a client would learn nothing but that the request took too long.
        if self.call_timeout >= context.config.http.request_timeout {
            return Err(Invalid::new("keys.call_timeout", "must be shorter than http.request_timeout")
                .beside("http.request_timeout"));
        }
        // Otherwise keys would be unwrapped again and again.
        if self.cache.refresh_ahead > self.cache.time_to_live / 2 {
            let problem = "must be at most half of keys.cache.time_to_live; 0s switches it off";
            return Err(Invalid::new("keys.cache.refresh_ahead", problem).beside("keys.cache.time_to_live"));
        }
        Ok(())
    }
}

fn validate_local(local: &LocalBackendConfig, name: &str, context: &Context<'_>) -> Result<(), Invalid> {
    if local.create_if_missing && context.profile != DEFAULT_PROFILE {
        return Err(Invalid::new(
            format!("keys.backends.{name}.create_if_missing"),
            "works in the profile `local` only: elsewhere, a missing key file is a lost one",
        ));
    }
    Ok(())
}

fn validate_aws_kms(aws: &AwsKmsConfig, name: &str, context: &Context<'_>) -> Result<(), Invalid> {
    aws.check(context.profile == LOCALSTACK_PROFILE).map_err(|error| {
        let key = match &error {
            AwsKmsConfigError::OwnName(pair) => format!("context.{pair}"),
            AwsKmsConfigError::PlainHttp(_) => "endpoint_url".to_owned(),
        };
        Invalid::new(format!("keys.backends.{name}.{key}"), error.to_string())
    })
}
