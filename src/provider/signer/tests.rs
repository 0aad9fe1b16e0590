use jsonwebtoken::{DecodingKey, Validation, decode};
use serde_json::Value;

use super::*;

/// The key of RFC 7515, appendix A.3.
const P256: &str = r#"{"kty":"EC","crv":"P-256",
    "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI","kid":"a"}"#;

#[test]
fn a_jwk_signs_and_names_itself() {
    let PrivateKey { key, is_rsa, id } = private_key(P256).ok().unwrap();
    assert_eq!((is_rsa, id.as_deref()), (false, Some("a")));
    let signer = Signer { key, header: Header { kid: id, ..Header::new(Algorithm::ES256) } };
    let jwt = signer.sign(&json!({ "sub": "u" })).ok().unwrap();
    let public = DecodingKey::from_ec_components(
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    let decoded = decode::<Value>(jwt.as_str(), &public.unwrap(), &validation).unwrap();
    assert_eq!((decoded.claims["sub"].as_str(), decoded.header.kid.as_deref()), (Some("u"), Some("a")));
}

#[test]
fn what_is_no_private_key_is_refused_and_not_told() {
    let without_d = P256.replace("\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\",", "");
    let other_point = P256.replace("\"x\":\"f83", "\"x\":\"f84");
    let rows = [
        "canary",
        "{\"canary\":1}",
        "{\"kty\":\"oct\",\"k\":\"canary\"}",
        "{\"kty\":\"RSA\",\"n\":\"canary\",\"e\":\"AQAB\",\"d\":\"!\"}",
        "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
        &without_d,
        &other_point,
    ];
    for text in rows {
        let problem = private_key(text).err().unwrap();
        assert!(!problem.contains("canary"), "{problem}");
    }
}
