use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn sha256(text: &str) -> String {
    Fingerprint::of(digest::digest(&digest::SHA256, text.as_bytes())).to_string()
}

fn digests(token: &str) -> (String, Option<String>) {
    let (whole, signed) = Token::new(token.to_owned()).fingerprints();
    (whole.to_string(), signed.map(|signed| signed.to_string()))
}

fn token(header: &str, rest: &str) -> String {
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

#[test]
fn the_digest_of_the_signed_parts_is_the_same_in_every_spelling_of_the_signature() {
    let signed = token(r#"{"alg":"ES256","typ":"JWT"}"#, "eyJzdWIiOiJ1In0");
    for signature in ["c2lnbmF0dXJl", "c2lnbmF0dXJm", "c2lnbmF0dXJl=", "b3RoZXI"] {
        let token = format!("{signed}.{signature}");
        assert_eq!(digests(&token), (sha256(&token), Some(sha256(&signed))), "{token}");
    }
    let padded = format!("{}=.eyJzdWIiOiJ1In0=.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#));
    assert_eq!(digests(&padded).1, Some(sha256(padded.rsplit_once('.').unwrap().0)), "as presented");
}

#[test]
fn what_is_no_compact_jws_has_its_own_digest_alone() {
    for token in [
        "opaque".to_owned(),
        "a.b.c".to_owned(),
        String::new(),
        token(r#"{"alg":"none"}"#, "eyJzdWIiOiJ1In0.c2ln"),
        token(r#"{"typ":"JWT"}"#, "eyJzdWIiOiJ1In0.c2ln"),
        token(r#"{"alg":"RS256"}"#, "eyJzdWIiOiJ1In0."),
        token(r#"{"alg":"RS256"}"#, "eyJzdWIiOiJ1In0"),
        token(r#"{"alg":"dir","enc":"A256GCM"}"#, ".aXY.Y2lwaGVy.dGFn"),
        token(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, "a2V5.aXY.Y2lwaGVy.dGFn"),
        "v4.public.eyJzdWIiOiJ1In0".to_owned(),
        "v4.local.c2VhbGVk.Zm9vdGVy".to_owned(),
        "v2.local.c2VhbGVk".to_owned(),
    ] {
        assert_eq!(digests(&token), (sha256(&token), None), "{token}");
        assert_eq!(Token::new(token.clone()).fingerprint().to_string(), sha256(&token));
    }
}
