//! A sender's public keys, as it publishes them: a JWK Set (RFC 7517 section 5).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

/// Most keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// Most keys that are tried for a token that names none.
const MOST_TRIED: usize = 8;

/// The keys that can verify a signature; the others of the set are passed over.
pub struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// What signatures it makes.
    algorithms: &'static [Algorithm],
    /// The one that it is for alone, where the set says so.
    only: Option<KeyAlgorithm>,
    key: DecodingKey,
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// It is none, or has no key that can verify a signature.
    pub fn read(set: &Value) -> Result<Self, &'static str> {
        let keys = set.get("keys").and_then(Value::as_array).ok_or("is no JWK Set: it has no list `keys`")?;
        let keys: Vec<_> = keys.iter().take(MOST_KEYS).filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err("has no RSA, P-256, P-384 or Ed25519 key for signatures");
        }
        Ok(Self(keys))
    }

    /// The keys that may have made a signature of this algorithm: those of this id, where one is named, and
    /// else all.
    pub(super) fn fitting(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &DecodingKey> {
        let is_named = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let fitting = self.0.iter().filter(is_named).filter(move |key| key.makes(algorithm));
        fitting.take(MOST_TRIED).map(|key| &key.key)
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    /// `None` for what cannot verify, such as a secret, an encryption key or one of an unknown curve.
    fn read(value: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let verifies =
            jwk.common.key_operations.as_ref().is_none_or(|uses| uses.contains(&KeyOperations::Verify));
        let algorithms: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &RSA,
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures && verifies)?;
        Some(Self { id: jwk.common.key_id, algorithms, only: jwk.common.key_algorithm, key })
    }

    fn makes(&self, algorithm: Algorithm) -> bool {
        let is_the_one = |only: KeyAlgorithm| only.to_string() == format!("{algorithm:?}");
        self.algorithms.contains(&algorithm) && self.only.is_none_or(is_the_one)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn count(keys: Value) -> usize {
        KeySet::read(&json!({ "keys": keys })).map_or(0, |set| set.count())
    }

    #[test]
    fn keys_that_verify_nothing_are_passed_over() {
        let ed = |more: Value| {
            let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "1" });
            key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            key
        };
        assert_eq!(count(json!([ed(json!({}))])), 1);
        assert_eq!(count(json!([ed(json!({ "use": "sig", "key_ops": ["verify"], "alg": "EdDSA" }))])), 1);
        for useless in [
            ed(json!({ "use": "enc" })),
            ed(json!({ "key_ops": ["sign"] })),
            ed(json!({ "crv": "X25519" })),
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "EC", "crv": "secp256k1", "x": X, "y": X }),
            json!({ "kty": "RSA", "n": "not base64!", "e": "AQAB" }),
            json!({ "kty": "AKP" }),
            json!("key"),
        ] {
            assert_eq!(count(json!([useless, ed(json!({}))])), 1, "{useless}");
            assert_eq!(count(json!([useless])), 0, "{useless}");
        }
        for none in [json!({}), json!([]), json!({ "keys": {} }), json!(null)] {
            assert!(KeySet::read(&none).is_err());
        }
    }

    #[test]
    fn a_key_is_for_its_id_and_its_algorithm() {
        let set = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "1" },
            { "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "2", "alg": "ES256" },
            { "kty": "OKP", "crv": "Ed25519", "x": X },
        ]});
        let set = KeySet::read(&set).unwrap();
        let fitting = |id: Option<&str>, algorithm| set.fitting(id, algorithm).count();
        assert_eq!(fitting(Some("1"), Algorithm::EdDSA), 1);
        assert_eq!(fitting(Some("2"), Algorithm::EdDSA), 0, "it is for another algorithm");
        assert_eq!(fitting(Some("3"), Algorithm::EdDSA), 0, "nobody's");
        assert_eq!(fitting(None, Algorithm::EdDSA), 2);
        assert_eq!(fitting(Some("1"), Algorithm::RS256), 0);
    }
}
