use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    access::{AuthError, Caller, Scopes},
    audit::MAX_ACTOR,
    characters::is_line,
    config::JwtConfig,
};

/// What an actor in a record begins with, whom an issuer vouches for.
const PREFIX: &str = "jwt:";

/// Longest `sub`, in characters: with the prefix, as much as a record has room for.
const MAX_SUB_LENGTH: usize = MAX_ACTOR - PREFIX.len();

/// Who the claims of a token that was checked speak of.
pub(super) fn caller(
    claims: &Map<String, Value>,
    config: &JwtConfig,
    meanings: &BTreeMap<String, Scopes>,
    subjects_per_minute: Option<u32>,
) -> Result<Caller, AuthError> {
    let own = match claim(claims, &config.subject_claim) {
        None => None,
        // Not a user's id: not a token that is bound to nobody.
        Some(value) => {
            let id = value.as_str().and_then(|text| Uuid::try_parse(text).ok());
            let id =
                id.ok_or(AuthError::Refused("the claim that binds the token to a user is no user's id"))?;
            Some(id.into())
        }
    };
    let actor = match own {
        Some(subject) => format!("self:{subject}"),
        None => actor(claims)?,
    };
    Ok(Caller {
        actor,
        scopes: scopes(claims, &config.scopes_claim, meanings),
        own,
        subjects_per_minute,
        expires_at: Some(expiry(claims, config)?),
    })
}

/// Whether the token is for us.
///
/// # Errors
///
/// [`AuthError::Refused`] if it is for others, or does not say whom it is for (RFC 8725, 3.9). An `aud` beside the
/// configured claim has its say, too: who is not in it must refuse the token (RFC 7519, 4.1.3).
pub(super) fn check_audience(claims: &Map<String, Value>, config: &JwtConfig) -> Result<(), AuthError> {
    let holds_us = |value: &Value| match value {
        Value::String(audience) => *audience == config.audience,
        Value::Array(audiences) => audiences.iter().any(|audience| *audience == config.audience),
        _ => false,
    };
    let configured = claim(claims, &config.audience_claim).ok_or(AuthError::Refused(
        "the token lacks the claim that tells whom it is for (auth.jwt.audience_claim)",
    ))?;
    if holds_us(configured) && claims.get("aud").is_none_or(holds_us) {
        return Ok(());
    }
    Err(AuthError::Refused("the token is for another audience"))
}

/// The claim with this name, or at this JSON pointer (RFC 6901).
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let within = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    rest.map_or(Some(within), |rest| within.pointer(&format!("/{rest}")))
}

/// A stranger chose the text. It stays as it is, so that two of them stay two: what people could not tell apart in a record is refused.
fn actor(claims: &Map<String, Value>) -> Result<String, AuthError> {
    let sub =
        claims.get("sub").and_then(Value::as_str).ok_or(AuthError::Refused("the claim sub is no text"))?;
    if !is_line(sub) {
        return Err(AuthError::Refused(
            "the claim sub is empty, begins or ends with a space, or has characters that are not printed",
        ));
    }
    if sub.chars().count() > MAX_SUB_LENGTH {
        return Err(AuthError::Refused("the claim sub is longer than 251 characters"));
    }
    Ok(format!("{PREFIX}{sub}"))
}

/// When the token ends for us: as late as the check of a fresh one would let it.
fn expiry(claims: &Map<String, Value>, config: &JwtConfig) -> Result<DateTime<Utc>, AuthError> {
    // Whole seconds are enough; a fraction is cut off.
    let seconds = claims
        .get("exp")
        .and_then(|exp| exp.as_i64().or_else(|| exp.to_string().split('.').next()?.parse().ok()));
    let end = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let leeway = TimeDelta::from_std(config.leeway).unwrap_or_default();
    end.and_then(|end| end.checked_add_signed(leeway)).ok_or(AuthError::Refused("the claim exp is no time"))
}

/// Values that mean nothing here are the issuer's for somebody else.
fn scopes(claims: &Map<String, Value>, name: &str, meanings: &BTreeMap<String, Scopes>) -> Scopes {
    let names: Vec<&str> = match claim(claims, name) {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let meaning = |name: &str| match meanings.get(name) {
        Some(scopes) => scopes.clone(),
        None if meanings.is_empty() => name.parse().unwrap_or_default(),
        None => Scopes::default(),
    };
    names.into_iter().fold(Scopes::default(), |all, name| all.and(&meaning(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::Scope;

    fn read(claims: &Value, claim: &str, meanings: &[(&str, &[Scope])]) -> String {
        let meanings =
            meanings.iter().map(|(name, scopes)| ((*name).to_owned(), scopes.iter().copied().collect()));
        scopes(claims.as_object().unwrap(), claim, &meanings.collect()).to_string()
    }

    #[test]
    fn scopes_are_found_wherever_issuers_put_them() {
        for (claims, claim) in [
            (json!({ "scope": "openid users:read pii:read" }), "scope"),
            (json!({ "roles": ["users:read", "pii:read", 7] }), "roles"),
            (json!({ "realm_access": { "roles": ["pii:read", "users:read"] } }), "/realm_access/roles"),
            (json!({ "https://example.com/scope": "users:read pii:read" }), "https://example.com/scope"),
            (json!({ "a/b": "users:read pii:read" }), "/a~1b"),
        ] {
            assert_eq!(read(&claims, claim, &[]), "users:read pii:read", "{claims}");
        }
        for claims in [json!({}), json!({ "scope": 7 }), json!({ "scope": null }), json!({ "scope": "" })] {
            assert_eq!(read(&claims, "scope", &[]), "");
        }
    }

    #[test]
    fn with_meanings_only_those_count() {
        let meanings: &[(&str, &[Scope])] = &[("support", &[Scope::UsersRead])];
        assert_eq!(read(&json!({ "scope": "support pii:read" }), "scope", meanings), "users:read");
    }

    #[test]
    fn an_actor_is_told_from_every_other_one() {
        let actor = |sub: &Value| actor(json!({ "sub": sub }).as_object().unwrap());
        let long = "a".repeat(MAX_SUB_LENGTH);
        for sub in [
            "ada",
            "ada lovelace",
            "ada  lovelace",
            "ada_lovelace",
            "EXAMPLE\\ada",
            "संपर्क",
            "jose\u{301}",
            &long,
        ] {
            assert_eq!(actor(&json!(sub)).unwrap(), format!("jwt:{sub}"));
        }
        for sub in [
            "",
            " ",
            " ada",
            "ada ",
            "ada\nforged line",
            "ada\tlovelace",
            "ada\u{a0}lovelace",
            "ada\u{2003}lovelace",
            "ada\u{2028}lovelace",
            "ada\u{200b}",
            "\u{202e}ada",
            "a\u{ad}da",
            "ada\u{feff}",
            "ada\u{0}",
            "ada\u{85}",
            "ad\u{200d}a",
            "ada\u{e000}",
            &format!("{long}a"),
        ] {
            assert!(actor(&json!(sub)).is_err(), "{sub:?}");
        }
        for sub in [json!(7), json!(null), json!(["ada"])] {
            assert!(actor(&sub).is_err(), "{sub}");
        }
        assert_eq!(PREFIX.len() + MAX_SUB_LENGTH, 255);
        assert_eq!(MAX_SUB_LENGTH, 251, "the error says so");
    }
}
