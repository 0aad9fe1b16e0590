//! Private keys as JWKs (RFC 7518 sections 6.2 and 6.3).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// What a private key turned out to be.
pub(super) struct PrivateKey {
    pub(super) key: EncodingKey,
    pub(super) is_rsa: bool,
    /// The `kid` of a JWK.
    pub(super) id: Option<String>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(default, deserialize_with = "wiped")]
    d: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    p: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    q: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    dp: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    dq: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "wiped")]
    qi: Option<Zeroizing<String>>,
}

fn wiped<'de, D: Deserializer<'de>>(member: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Option::<String>::deserialize(member).map(|text| text.map(Zeroizing::new))
}

/// The key in `text`. The refusal never quotes it.
pub(super) fn private_key(text: &str) -> Result<PrivateKey, &'static str> {
    let jwk: Jwk = serde_json::from_str(text).map_err(|_| "is no JWK: its JSON has no kty")?;
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => rsa(&jwk),
        ("EC", Some("P-256")) => p256(&jwk),
        _ => Err("is a JWK of another kind than RSA and P-256"),
    }?;
    Ok(PrivateKey { id: jwk.kid, ..key })
}

fn rsa(jwk: &Jwk) -> Result<PrivateKey, &'static str> {
    let private = [&jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi];
    let [d, p, q, dp, dq, qi] = private.map(|member| decoded(member.as_deref().map(String::as_str)));
    let public_key = PublicKeyComponents { n: public(&jwk.n)?, e: public(&jwk.e)? };
    let components = KeyPairComponents { public_key, d: d?, p: p?, q: q?, dP: dp?, dQ: dq?, qInv: qi? };
    let wrong = "is a JWK whose members make no RSA key";
    let key = RsaKey::from_components(&components).map_err(|_| wrong)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| wrong)?;
    let pem = Zeroizing::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der.as_ref())
    ));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| wrong)?;
    Ok(PrivateKey { key, is_rsa: true, id: None })
}

fn p256(jwk: &Jwk) -> Result<PrivateKey, &'static str> {
    let point = [vec![4], public(&jwk.x)?, public(&jwk.y)?].concat();
    let d = decoded(jwk.d.as_deref().map(String::as_str))?;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &d, &point)
        .map_err(|_| "is a JWK whose members make no P-256 key")?;
    of_p256(&pair)
}

fn public(member: &Option<String>) -> Result<Vec<u8>, &'static str> {
    decoded(member.as_deref()).map(|bytes| bytes.to_vec())
}

fn decoded(member: Option<&str>) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = member.ok_or("is a JWK without the members of a private key")?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| "is a JWK with a member that is no base64url")
}

/// A key over P-256.
pub(super) fn of_p256(pair: &EcdsaKeyPair) -> Result<PrivateKey, &'static str> {
    let der = pair.to_pkcs8v1().map_err(|_| "is no P-256 key")?;
    Ok(PrivateKey { key: EncodingKey::from_ec_der(der.as_ref()), is_rsa: false, id: None })
}
