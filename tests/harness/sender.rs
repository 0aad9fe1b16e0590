//! An issuer that signs what a test wants signed, and publishes its keys.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use reqwest::{Client, Response};
use revocation_sandbox::Port;
use serde_json::{Value, json};

use super::{Setup, free_port};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// The member of `events` that makes a token one of logout.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A key of P-256.
pub(crate) struct Signer(EncodingKey);

/// An issuer on loopback, with one key whose id is `k1`.
pub(crate) struct Issuer {
    pub(crate) signer: Signer,
    keys: ScriptedIdp,
    /// Where `receive` listens.
    pub(crate) address: String,
    _port: Port,
    client: Client,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self(EncodingKey::from_ec_der(key.expect("a key").as_ref()))
    }

    /// Its public key.
    pub(crate) fn public(&self, kid: &str) -> Value {
        let mut key = Jwk::from_encoding_key(&self.0, Algorithm::ES256).expect("a public key");
        key.common.key_id = Some(kid.to_owned());
        serde_json::to_value(key).expect("JSON")
    }

    /// A token of this header and payload, whatever they are.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = format!("{header}.{payload}");
        let signature = crypto::sign(signed.as_bytes(), &self.0, Algorithm::ES256).expect("a signature");
        format!("{signed}.{signature}")
    }
}

impl Issuer {
    /// One that serves its keys.
    pub(crate) async fn start() -> Self {
        let signer = Signer::new();
        let set = json!({ "keys": [signer.public("k1")] }).to_string();
        let keys = ScriptedIdp::start(move |request| match request.path.as_str() {
            "/jwks" => Reply::json(200, set.clone()),
            _ => Reply::status(404),
        });
        let port = free_port();
        Self { signer, keys: keys.await, address: port.address(), _port: port, client: Client::new() }
    }

    /// Its `iss`.
    pub(crate) fn issuer(&self) -> &str {
        self.keys.url()
    }

    /// How often its keys were asked for.
    pub(crate) fn fetches(&self) -> usize {
        self.keys.ledger().len()
    }

    /// A receiver's settings with this issuer as the sender `op`, whose client we are as `shop`.
    pub(crate) fn known_to(&self, setup: Setup) -> Setup {
        let name = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__OP__{key}");
        setup
            .set(&name("ISSUER"), self.issuer())
            .set(&name("CLIENT_ID"), "shop")
            .set(&name("JWKS_URI"), &format!("{}/jwks", self.issuer()))
    }

    /// The claims of a good logout token.
    pub(crate) fn claims(&self, jti: &str, sub: &str) -> Value {
        let now = now_s();
        json!({
            "iss": self.issuer(), "aud": "shop", "iat": now, "exp": now + 120, "jti": jti, "sub": sub,
            "events": { LOGOUT: {} },
        })
    }

    /// A token of these claims.
    pub(crate) fn token(&self, typ: &str, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": "k1", "typ": typ });
        self.signer.sign(&header.to_string(), &claims.to_string())
    }

    /// A good logout token.
    pub(crate) fn logout_token(&self, jti: &str, sub: &str) -> String {
        self.token("logout+jwt", &self.claims(jti, sub))
    }

    /// Sends a form with this token to the receiver; fails where nothing answers.
    pub(crate) async fn send(&self, token: &str) -> Result<Response, reqwest::Error> {
        let url = format!("http://{}/backchannel-logout/op", self.address);
        self.client.post(url).form(&[("logout_token", token)]).send().await
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("not for long")
}
