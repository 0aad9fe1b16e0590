//! Every algorithm that counts, with a key that makes it.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Value, json};

use super::*;

/// A private key, and its public one.
type Pair = (EncodingKey, Value);

fn rsa() -> Pair {
    let key = RsaKey::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let mut public = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
    public.common.key_algorithm = None;
    (key, serde_json::to_value(public).unwrap())
}

fn ec(algorithm: Algorithm) -> Pair {
    let curve = match algorithm {
        Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
    };
    let key = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
    let key = EncodingKey::from_ec_der(key.as_ref());
    let public = Jwk::from_encoding_key(&key, algorithm).unwrap();
    (key, serde_json::to_value(public).unwrap())
}

fn ed() -> Pair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap();
    let x = URL_SAFE_NO_PAD.encode(public.public_key().as_ref());
    (EncodingKey::from_ed_der(key.as_ref()), json!({ "kty": "OKP", "crv": "Ed25519", "x": x }))
}

fn signed(name: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let [header, payload] = [json!({ "alg": name }), json!({ "sub": "u-1" })]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{payload}");
    let signature = crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn verdict(token: &str, public: &Value) -> Result<(), Code> {
    let keys = KeySet::read(&json!({ "keys": [public] })).unwrap();
    let verified = Compact::read(token, &[""]).and_then(|token| token.verified_by(&keys));
    verified.map(drop).map_err(|refused| refused.code)
}

#[test]
fn each_algorithm_is_verified_by_its_own_key_alone() {
    let keys = [rsa(), ec(Algorithm::ES256), ec(Algorithm::ES384), ed()];
    for (name, algorithm) in ALGORITHMS {
        let place = match algorithm {
            Algorithm::ES256 => 1,
            Algorithm::ES384 => 2,
            Algorithm::EdDSA => 3,
            _ => 0,
        };
        let token = signed(name, algorithm, &keys[place].0);
        for (other, (_, public)) in keys.iter().enumerate() {
            let wanted = if other == place { Ok(()) } else { Err(Code::UnknownKey) };
            assert_eq!(verdict(&token, public), wanted, "{name} by key {other}");
        }
    }
    let token = signed("RS256", Algorithm::RS256, &keys[0].0);
    assert_eq!(verdict(&token, &rsa().1), Err(Code::BadSignature));
    let mut only = keys[0].1.clone();
    only["alg"] = json!("RS512");
    assert_eq!(verdict(&token, &only), Err(Code::UnknownKey), "the key is for another algorithm");
}
