//! A logout event as the system benchmark publishes it, and the rules that it is read by.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use revocation_worker::authorization::Authority;
use revocation_worker::event::{Origin, ProviderRule, Rules};
use serde_json::json;

const JWT_BYTES: usize = 800;
const REFRESH_TOKEN: &str = "Zm9vYmFyYmF6cXV4Y29ycGxlZ3JhdWx0Z2FycGx5";

/// A token of three parts with the claims that identity providers send; the signature is filler.
pub(crate) fn jwt() -> String {
    let claims = json!({
        "iss": "https://id.bench.example/realms/main", "sub": "7a1f1c1e-4be0-4c53-9d1b-3f2b8a1b9c55",
        "aud": ["shop-api", "account"], "azp": "shop", "client_id": "shop",
        "sid": "0f8fad5b-d9cb-469f-a165-70867728950e", "jti": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
        "iat": 1_700_000_000, "exp": 4_000_000_000_i64, "scope": "openid profile email offline_access",
    });
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"at+jwt","kid":"bench-2026"}"#);
    let signed = format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = "s".repeat(JWT_BYTES - signed.len());
    signed + &signature
}

/// The event's bytes.
pub(crate) fn body() -> Vec<u8> {
    let event = json!({
        "specversion": "1.0", "id": "4711", "source": "/bench", "type": "auth.logout.v1",
        "time": "2026-11-20T22:30:00.123Z",
        "data": { "provider": "main", "reason": "user_logout", "actor": "user-4711", "targets": [
            { "token": jwt(), "token_type_hint": "access_token" },
            { "token": REFRESH_TOKEN, "token_type_hint": "refresh_token" } ] } });
    event.to_string().into_bytes()
}

/// Where it came from.
pub(crate) fn origin() -> Origin {
    Origin {
        queue: "revocation.logout".into(),
        routing_key: "auth.logout".to_owned(),
        broker_user: Some("shop".to_owned()),
        content_type: Some("application/cloudevents+json".to_owned()),
        ..Origin::default()
    }
}

/// The default limits, and one provider.
pub(crate) fn rules() -> Rules {
    let main = ProviderRule {
        name: "main".into(),
        issuer: Some("https://id.bench.example/realms/main".to_owned()),
        token_ttl: Duration::from_secs(30 * 86_400),
    };
    Rules {
        max_message_bytes: 1 << 20,
        max_targets: 1000,
        max_token_bytes: 16 << 10,
        default_provider: None,
        providers: vec![main],
        authority: Authority::default(),
        realms: std::collections::BTreeMap::new(),
    }
}
