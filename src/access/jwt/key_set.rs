use std::fmt;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

/// The public keys of an issuer: those of a JSON Web Key Set (RFC 7517) that can check signatures.
pub(super) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// The algorithm that the issuer made the key for, if it says so.
    algorithm: Option<Algorithm>,
    decoding: DecodingKey,
}

impl KeySet {
    /// Reads a key set. Keys of kinds that are not accepted here, such as symmetric ones, are left out.
    ///
    /// # Errors
    ///
    /// A set without any key that can be used.
    pub(super) fn parse(json: &[u8]) -> Result<Self, NoKeys> {
        let set: Value = serde_json::from_slice(json).map_err(|_| NoKeys)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(NoKeys)?;
        let keys: Vec<_> = keys.iter().filter_map(Key::parse).collect();
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self(keys)) }
    }

    /// The keys for this algorithm that may have signed a token: those with the id that it names, or all if it names
    /// none.
    pub(super) fn fitting(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        self.0
            .iter()
            .filter(move |key| key.fits(algorithm) && (id.is_none() || key.id.as_deref() == id))
            .map(|key| &key.decoding)
    }
}

impl Key {
    fn parse(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let known = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => true,
            AlgorithmParameters::EllipticCurve(key) => key.curve == EllipticCurve::P256,
            AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        if !known || !is_for_signatures(&jwk.common) {
            return None;
        }
        let algorithm = match jwk.common.key_algorithm {
            Some(algorithm) => Some(algorithm.to_string().parse().ok()?),
            None => None,
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithm, decoding: DecodingKey::from_jwk(&jwk).ok()? })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        self.decoding.family() == algorithm.family()
            && self.decoding.family() != AlgorithmFamily::Hmac
            && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// As far as the issuer says what a key is for, which it may do in two ways (RFC 7517, 4.2 and 4.3).
fn is_for_signatures(key: &CommonParameters) -> bool {
    matches!(key.public_key_use, None | Some(PublicKeyUse::Signature))
        && key.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

/// Not a key set, or one that cannot check any signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set with an RSA, EC or Ed25519 key for signatures")]
pub struct NoKeys;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ed25519(id: &str) -> Value {
        // RFC 8037, A.2.
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
    }

    fn parse(keys: &[Value]) -> Result<KeySet, NoKeys> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_are_found_by_the_id_or_all_that_fit() {
        let set = parse(&[ed25519("a"), ed25519("b"), ed25519("b")]).unwrap();
        let count = |id, algorithm| set.fitting(id, algorithm).count();
        assert_eq!(count(Some("a"), Algorithm::EdDSA), 1);
        assert_eq!(count(Some("b"), Algorithm::EdDSA), 2);
        assert_eq!(count(Some("c"), Algorithm::EdDSA), 0);
        assert_eq!(count(None, Algorithm::EdDSA), 3);
        for id in [Some("a"), None] {
            assert_eq!(count(id, Algorithm::ES256), 0);
        }
    }

    #[test]
    fn a_key_of_another_curve_or_for_other_operations_is_left_out() {
        let with = |name: &str, value: Value| {
            let mut key = ed25519("x");
            key[name] = value;
            key
        };
        // RFC 7518, appendix C, says that it is on P-256.
        let p384 = json!({
            "kty": "EC", "crv": "P-384", "kid": "x",
            "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0", "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
        });
        for key in [
            p384,
            with("crv", json!("X25519")),
            with("crv", json!("Ed448")),
            with("use", json!("enc")),
            with("key_ops", json!([])),
            with("key_ops", json!(["encrypt", "wrapKey"])),
            with("alg", json!("RSA-OAEP")),
        ] {
            assert_eq!(parse(std::slice::from_ref(&key)).unwrap_err(), NoKeys, "{key}");
        }
        for key in
            [with("key_ops", json!(["verify"])), with("use", json!("sig")), with("alg", json!("EdDSA"))]
        {
            assert_eq!(parse(&[key]).unwrap().fitting(None, Algorithm::EdDSA).count(), 1);
        }
    }

    #[test]
    fn what_cannot_check_signatures_is_left_out() {
        let mut encryption = ed25519("enc");
        encryption["use"] = json!("enc");
        let symmetric = json!({ "kty": "oct", "kid": "s", "k": "AAAA" });
        let strange = json!({ "kty": "strange", "kid": "x" });
        let set = parse(&[encryption.clone(), symmetric.clone(), strange, ed25519("a")]).unwrap();
        assert_eq!(format!("{set:?}"), r#"[Some("a")]"#);
        assert_eq!(set.fitting(Some("s"), Algorithm::HS256).count(), 0);
        assert_eq!(parse(&[symmetric]).unwrap_err(), NoKeys);
        assert_eq!(parse(&[encryption]).unwrap_err(), NoKeys);
        for json in ["", "{}", "[]", r#"{"keys": 7}"#] {
            assert_eq!(KeySet::parse(json.as_bytes()).unwrap_err(), NoKeys);
        }
    }
}
