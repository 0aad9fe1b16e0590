//! Clients that sign: what they send verifies, is made anew for each request, and is told nobody.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use revocation_worker::config::{
    AssertionConfig, BearerConfig, CallerConfig, ClientAuth, ClientConfig, KeyAlgorithm, KindConfig,
    OktaServiceConfig, ProviderConfig, Rfc7009Config,
};
use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::provider::{Probed, Provider};
use revocation_worker::target::Scope;

use crate::keys::{Keys, verified};
use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{
    CLIENT_ID, TOKEN, config, global_token_revocation, keycloak, oauth_server, okta, provider, secret,
    subject, token,
};
use crate::written;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that signs with `key`.
fn signing(key: &str, algorithm: Option<KeyAlgorithm>) -> ClientConfig {
    ClientConfig {
        id: CLIENT_ID.to_owned(),
        secret: None,
        auth: ClientAuth::PrivateKeyJwt,
        assertion: AssertionConfig { key: Some(secret(key)), algorithm, ..AssertionConfig::default() },
    }
}

fn server(base: &str, client: ClientConfig) -> ProviderConfig {
    let revocation_endpoint = Some(format!("{base}/revoke"));
    config(KindConfig::Rfc7009(Rfc7009Config { revocation_endpoint, client, ..oauth_server() }))
}

/// The key in `pem` as a JWK called `k`, by Node's own cryptography.
fn jwk(pem: &str) -> String {
    const PROGRAM: &str = "const key = require('crypto').createPrivateKey(require('fs').readFileSync(0));
        console.log(JSON.stringify({ ...key.export({ format: 'jwk' }), kid: 'k' }, null, 2))";
    let mut node = Command::new("node");
    let node = node.args(["-e", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().expect("the node program");
    node.stdin.take().unwrap().write_all(pem.as_bytes()).unwrap();
    String::from_utf8(node.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn every_form_of_key_signs_by_every_algorithm() {
    let keys = Keys::new();
    let (rsa, p256) = (keys.rsa("rsa"), keys.p256("p256"));
    keys.openssl("rsa -in rsa -traditional -out pkcs1");
    keys.openssl("ec -in p256 -out sec1");
    let (rsa_public, p256_public) = (keys.public("rsa"), keys.public("p256"));
    use KeyAlgorithm::{Es256, Ps256, Rs256};
    let rows = [
        (rsa.clone(), None, Algorithm::RS256, None),
        (rsa.clone(), Some(Ps256), Algorithm::PS256, None),
        (keys.read("pkcs1"), Some(Rs256), Algorithm::RS256, None),
        (jwk(&rsa), Some(Ps256), Algorithm::PS256, Some("k")),
        (p256.clone(), None, Algorithm::ES256, None),
        (keys.read("sec1"), Some(Es256), Algorithm::ES256, None),
        (jwk(&p256), None, Algorithm::ES256, Some("k")),
    ];
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    for (key, algorithm, expected, id) in rows {
        let before = idp.ledger().len();
        let provider = provider(&server(idp.url(), signing(&key, algorithm)));
        for _ in 0..2 {
            assert_eq!(provider.revoke(&token(TOKEN, None)).await.verdict, Verdict::Done(Proof::Accepted));
        }
        let public = if expected == Algorithm::ES256 { &p256_public } else { &rsa_public };
        let sent = idp.ledger().split_off(before);
        let shown: Vec<_> = sent.iter().map(|request| assertion(request, public, expected)).collect();
        assert_eq!(shown[0].0["kid"].as_str(), id);
        assert_ne!(shown[0].1["jti"], shown[1].1["jti"], "a fresh name for each request");
    }
}

/// Header and claims of the assertion in a request that has nothing else to show.
fn assertion(request: &Request, key: &str, algorithm: Algorithm) -> (serde_json::Value, serde_json::Value) {
    assert_eq!(request.field("client_assertion_type").as_deref(), Some(TYPE));
    assert_eq!((request.header("authorization"), request.field("client_secret")), (None, None));
    let (header, claims) = verified(&request.field("client_assertion").unwrap(), key, algorithm);
    for claim in ["iss", "sub"] {
        assert_eq!(claims[claim].as_str(), request.field("client_id").as_deref(), "{claim}");
    }
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    (header, claims)
}

#[tokio::test]
async fn the_secret_signs_too() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let secret_text = "a secret of at least thirty-two bytes";
    let client = ClientConfig {
        secret: Some(secret(secret_text)),
        auth: ClientAuth::SecretJwt,
        ..signing("unused", None)
    };
    provider(&server(idp.url(), client)).revoke(&token(TOKEN, None)).await;
    assertion(&idp.ledger()[0], secret_text, Algorithm::HS256);
    assert!(!idp.ledger()[0].body.contains("thirty-two"));
}

#[tokio::test]
async fn an_assertion_is_for_whom_the_settings_say() {
    let keys = Keys::new();
    let (key, idp) = (keys.p256("key"), ScriptedIdp::start(grant).await);
    let public = keys.public("key");
    let base = idp.url().to_owned();
    let issuer = |config| ProviderConfig { issuer: Some(format!("{base}/issuer")), ..config };
    let mut said = signing(&key, None);
    said.assertion.audience = Some("https://id.example.com".to_owned());
    let with_client = |mut config: ProviderConfig| {
        match &mut config.kind {
            KindConfig::Keycloak(kind) => kind.client = signing(&key, None),
            KindConfig::Okta(kind) => kind.client = Some(signing(&key, None)),
            _ => {}
        }
        config
    };
    let rows = [
        (server(&base, signing(&key, None)), format!("{base}/revoke")),
        (issuer(server(&base, signing(&key, None))), format!("{base}/issuer")),
        (issuer(server(&base, said)), "https://id.example.com".to_owned()),
        (with_client(keycloak(&base)), format!("{base}/realms/shop")),
        (issuer(with_client(okta(&base))), format!("{base}/oauth2/v1/revoke")),
    ];
    for (config, audience) in rows {
        let before = idp.ledger().len();
        provider(&config).revoke(&token(TOKEN, None)).await;
        let sent = &idp.ledger()[before];
        assert_eq!(assertion(sent, &public, Algorithm::ES256).1["aud"].as_str(), Some(audience.as_str()));
    }
}

/// Grants bearers, and says yes to the rest.
fn grant(request: &Request) -> Reply {
    match request.path.as_str() {
        path if path.ends_with("/token") => Reply::json(200, r#"{"access_token":"t","expires_in":300}"#),
        path if path.ends_with("/consents") => Reply::json(200, "[]"),
        _ => Reply::status(204),
    }
}

#[tokio::test]
async fn okta_grants_a_service_application_what_logs_users_out() {
    let keys = Keys::new();
    let (idp, key) = (ScriptedIdp::start(grant).await, keys.rsa("key"));
    let mut config = okta(idp.url());
    if let KindConfig::Okta(kind) = &mut config.kind {
        let (client_id, key, key_id) = ("service".to_owned(), secret(&key), Some("k1".to_owned()));
        (kind.api_token, kind.service) = (None, Some(OktaServiceConfig { client_id, key, key_id }));
    }
    let provider = provider(&config);
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("u")).await.verdict, Verdict::Done(Proof::Accepted));
    }
    let sent = idp.ledger();
    let paths: Vec<_> = sent.iter().map(|request| request.path.as_str()).collect();
    let logout = "/api/v1/users/u/sessions?oauthTokens=true";
    assert_eq!(paths, ["/oauth2/v1/token", logout, logout], "the granted token is kept");
    assert_eq!(sent[0].field("scope").as_deref(), Some("okta.users.manage"));
    let (header, claims) = assertion(&sent[0], &keys.public("key"), Algorithm::RS256);
    assert_eq!(header["kid"], "k1");
    assert_eq!(claims["aud"].as_str(), Some(format!("{}/oauth2/v1/token", idp.url()).as_str()));
    assert_eq!(sent[1].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn entra_knows_a_key_by_its_certificate() {
    let keys = Keys::new();
    keys.openssl("req -x509 -newkey rsa:2048 -nodes -keyout rsa -out rsa.pem -days 2 -subj /CN=a");
    let (certificate, other) = (keys.file("rsa.pem"), keys.self_signed("other").0);
    keys.openssl("x509 -in rsa.pem -outform DER -out rsa.der");
    let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &std::fs::read(keys.file("rsa.der")).unwrap()));
    let idp = ScriptedIdp::start(grant).await;
    let base = idp.url();
    let lines = |file: &Path| {
        format!(
            "kind = 'entra'\nissuer = 'https://sts.windows.net/t/'\ntenant_id = 't'\nclient_id = 'a'
            login_url = '{base}'\ngraph_url = '{base}'\nclient_auth = 'private_key_jwt'
            client_private_key_file = '{}'\nclient_certificate_file = '{}'",
            keys.file("rsa").display(),
            file.display()
        )
    };
    let answer = provider(&written::provider(&lines(&certificate))).revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted), "{:?}", answer.error);
    let (header, claims) = assertion(&idp.ledger()[0], &keys.public("rsa"), Algorithm::PS256);
    assert_eq!(header["x5t#S256"].as_str(), Some(thumbprint.as_str()));
    assert_eq!(claims["aud"].as_str(), Some(format!("{base}/t/oauth2/v2.0/token").as_str()));
    for (file, why) in [
        (other, "is the certificate of another key"),
        (keys.file("rsa"), "gives no certificate"),
        (keys.file("nowhere.pem"), "gives no certificate"),
    ] {
        let refusal = Provider::new("main".into(), &written::provider(&lines(&file))).err().unwrap();
        assert_eq!(refusal.setting, "providers.main.client_certificate_file");
        assert!(refusal.problem.contains(why), "{refusal}");
    }
}

#[tokio::test]
async fn a_caller_of_global_token_revocation_signs_each_call() {
    let keys = Keys::new();
    let (idp, key) = (ScriptedIdp::start(|_| Reply::status(204)).await, keys.rsa("key"));
    let mut config = global_token_revocation(idp.url());
    if let KindConfig::GlobalTokenRevocation(kind) = &mut config.kind {
        kind.bearer = BearerConfig::Signed(CallerConfig {
            key: secret(&key),
            key_id: Some("k1".to_owned()),
            algorithm: None,
            issuer: "https://caller.example.com".to_owned(),
            subject: "us".to_owned(),
        });
    }
    let provider = provider(&config);
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("u")).await.verdict, Verdict::Done(Proof::Accepted));
    }
    let public = keys.public("key");
    let shown: Vec<_> = idp
        .ledger()
        .iter()
        .map(|request| {
            let jwt = request.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
            verified(&jwt, &public, Algorithm::RS256)
        })
        .collect();
    let (header, claims) = &shown[0];
    assert_eq!((&header["typ"], &header["kid"]), (&"global-token-revocation+jwt".into(), &"k1".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&"https://caller.example.com".into(), &"us".into()));
    let endpoint = format!("{}/global-token-revocation", idp.url());
    assert_eq!(claims["aud"].as_str(), Some(endpoint.as_str()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    assert_ne!(claims["jti"], shown[1].1["jti"]);
}

#[tokio::test]
async fn a_key_that_the_server_does_not_know_is_the_clients_fault() {
    let keys = Keys::new();
    let idp = ScriptedIdp::start(|_| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
    let provider = provider(&server(idp.url(), signing(&keys.p256("key"), None)));
    assert_eq!(
        provider.revoke(&token(TOKEN, None)).await.verdict,
        Verdict::Doubted,
        "never parked by itself"
    );
    let Some(Probed::Refused { answer, plainly }) = provider.try_credentials(Scope::Token).await else {
        panic!("the probe is refused");
    };
    assert_eq!((answer.verdict, plainly), (Verdict::Misconfigured, true));
}

#[tokio::test]
async fn what_is_signed_is_not_repeated() {
    let keys = Keys::new();
    let idp = ScriptedIdp::start(|request| {
        let assertion = request.field("client_assertion").unwrap_or_default();
        Reply::json(400, serde_json::json!({ "error": "x", "error_description": assertion }).to_string())
    })
    .await;
    let answer =
        provider(&server(idp.url(), signing(&keys.p256("key"), None))).revoke(&token(TOKEN, None)).await;
    let assertion = idp.ledger()[0].field("client_assertion").unwrap();
    let error = answer.error.unwrap();
    let parts: Vec<&str> = assertion.split('.').collect();
    assert!(parts.iter().all(|part| !error.contains(&part[..12])), "a part of the assertion is told");
}

#[test]
fn a_key_that_cannot_sign_stops_the_start_by_its_name() {
    let keys = Keys::new();
    let (rsa, p256) = (keys.rsa("rsa"), keys.p256("p256"));
    keys.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short");
    keys.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384");
    keys.openssl("genpkey -algorithm ed25519 -out ed25519");
    let rows = [
        (rsa.as_str(), Some(KeyAlgorithm::Es256)),
        (&p256, Some(KeyAlgorithm::Rs256)),
        (&keys.read("short"), None),
        (&keys.read("p384"), None),
        (&keys.read("ed25519"), None),
        (&keys.public("rsa"), None),
        ("no key at all", None),
    ];
    for (key, algorithm) in rows {
        let config = server("https://id.example.com", signing(key, algorithm));
        let refusal = Provider::new("main".into(), &config).err().expect("refused").to_string();
        assert!(refusal.starts_with("providers.main.client_private_key: "), "{refusal}");
        assert!(key.lines().nth(1).is_none_or(|line| !refusal.contains(line)));
    }
}
