use std::fmt;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
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

    /// The key with this id for this algorithm. A token without an id is checked with the only key that fits.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)).map(|key| &key.decoding),
            None => fitting.next().filter(|_| fitting.next().is_none()).map(|key| &key.decoding),
        }
    }
}

impl Key {
    fn parse(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let asymmetric = matches!(
            jwk.algorithm,
            AlgorithmParameters::RSA(_)
                | AlgorithmParameters::EllipticCurve(_)
                | AlgorithmParameters::OctetKeyPair(_)
        );
        let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        if !asymmetric || !for_signatures {
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
    fn a_key_is_found_by_its_id_or_if_it_is_the_only_one() {
        let one = parse(&[ed25519("a")]).unwrap();
        assert!(one.find(Some("a"), Algorithm::EdDSA).is_some());
        assert!(one.find(None, Algorithm::EdDSA).is_some());
        assert!(one.find(Some("b"), Algorithm::EdDSA).is_none());
        assert!(one.find(Some("a"), Algorithm::ES256).is_none());
        let two = parse(&[ed25519("a"), ed25519("b")]).unwrap();
        assert!(two.find(Some("b"), Algorithm::EdDSA).is_some());
        assert!(two.find(None, Algorithm::EdDSA).is_none());
    }

    #[test]
    fn what_cannot_check_signatures_is_left_out() {
        let mut encryption = ed25519("enc");
        encryption["use"] = json!("enc");
        let symmetric = json!({ "kty": "oct", "kid": "s", "k": "AAAA" });
        let strange = json!({ "kty": "strange", "kid": "x" });
        let set = parse(&[encryption.clone(), symmetric.clone(), strange, ed25519("a")]).unwrap();
        assert_eq!(format!("{set:?}"), r#"[Some("a")]"#);
        assert!(set.find(Some("s"), Algorithm::HS256).is_none());
        assert_eq!(parse(&[symmetric]).unwrap_err(), NoKeys);
        assert_eq!(parse(&[encryption]).unwrap_err(), NoKeys);
        for json in ["", "{}", "[]", r#"{"keys": 7}"#] {
            assert_eq!(KeySet::parse(json.as_bytes()).unwrap_err(), NoKeys);
        }
    }
}
