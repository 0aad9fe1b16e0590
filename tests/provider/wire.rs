//! What each kind and authentication method puts on the wire. The GenAuth rows equal what its official SDKs
//! send.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use revocation_worker::config::{
    BasicEncoding, ClientAuth, GenauthProtocol, KindConfig, ProviderConfig, Rfc7009Config, Verify,
};
use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::target::{Selector, Target, TokenTypeHint};

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{
    TOKEN, baanx, client, config, genauth, oauth_server, provider, rfc7009, target, token,
};

/// The one request that an attempt at `target` makes; `kind` gets the provider's URL.
async fn request(kind: impl Fn(&str) -> ProviderConfig, target: &Target) -> Request {
    let idp = ScriptedIdp::start(|request| match request.header("x-client-key") {
        Some(_) => Reply::json(200, r#"{"success":true}"#),
        None => Reply::status(200),
    })
    .await;
    let answer = provider(&kind(idp.url())).revoke(target).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted));
    let mut ledger = idp.ledger();
    assert_eq!(ledger.len(), 1);
    ledger.remove(0)
}

fn server(base: &str, auth: ClientAuth, basic_encoding: BasicEncoding) -> ProviderConfig {
    let revocation_endpoint = Some(format!("{base}/oauth2/revoke?tenant=a"));
    config(KindConfig::Rfc7009(Rfc7009Config {
        revocation_endpoint,
        client: client(auth),
        basic_encoding,
        ..oauth_server()
    }))
}

const POST_FORM: &str = "client_id=APP%2FID&client_secret=s%25c%3A%2B%2F%3D&token=tok%2B%2F%3D1";
const BASIC_FORM: &str = "token=tok%2B%2F%3D1";
const NONE_FORM: &str = "client_id=APP%2FID&token=tok%2B%2F%3D1";
/// base64 of `APP/ID:s%c:+/=`
const BASIC_RAW: &str = "Basic QVBQL0lEOnMlYzorLz0=";
/// base64 of `APP%2FID:s%25c%3A%2B%2F%3D`
const BASIC_ENCODED: &str = "Basic QVBQJTJGSUQ6cyUyNWMlM0ElMkIlMkYlM0Q=";

#[tokio::test]
async fn rfc7009_authenticates_in_exactly_one_way() {
    let rows = [
        (ClientAuth::SecretBasic, BasicEncoding::Rfc6749, BASIC_FORM, Some(BASIC_ENCODED)),
        (ClientAuth::SecretBasic, BasicEncoding::Raw, BASIC_FORM, Some(BASIC_RAW)),
        (ClientAuth::SecretPost, BasicEncoding::Rfc6749, POST_FORM, None),
        (ClientAuth::None, BasicEncoding::Rfc6749, NONE_FORM, None),
    ];
    for (auth, encoding, form, authorization) in rows {
        let sent = request(|base| server(base, auth, encoding), &token(TOKEN, None)).await;
        assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/oauth2/revoke?tenant=a"));
        assert_eq!((sent.body.as_str(), sent.header("authorization")), (form, authorization));
    }
}

#[tokio::test]
async fn rfc7009_sends_the_hint_it_was_given() {
    for hint in [TokenTypeHint::AccessToken, TokenTypeHint::RefreshToken] {
        let sent = request(rfc7009, &token(TOKEN, Some(hint))).await;
        assert_eq!(sent.body, format!("token=tok%2B%2F%3D1&token_type_hint={}", hint.as_str()));
    }
}

#[tokio::test]
async fn a_request_carries_these_headers_and_no_others() {
    let sent = request(rfc7009, &token(TOKEN, None)).await;
    let mut names: Vec<_> = sent.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    // No accept-encoding: a compressed body could grow without bound. No cookie, no referer.
    assert_eq!(names, ["accept", "authorization", "content-length", "content-type", "host", "user-agent"]);
    assert_eq!(sent.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn genauth_sends_what_its_sdks_send() {
    let auths = [
        (ClientAuth::SecretPost, POST_FORM, None),
        (ClientAuth::SecretBasic, BASIC_FORM, Some(BASIC_RAW)),
        (ClientAuth::None, NONE_FORM, None),
    ];
    for (protocol, path) in [
        (GenauthProtocol::Oidc, "/oidc/token/revocation"),
        (GenauthProtocol::Oauth, "/oauth/token/revocation"),
    ] {
        for (auth, form, authorization) in auths {
            let sent = request(
                |base| genauth(base, protocol, auth),
                &token(TOKEN, Some(TokenTypeHint::RefreshToken)),
            )
            .await;
            assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", path));
            assert_eq!((sent.body.as_str(), sent.header("authorization")), (form, authorization));
        }
    }
}

#[tokio::test]
async fn a_slash_at_the_end_of_a_base_url_changes_nothing() {
    let sent = request(
        |base| genauth(&format!("{base}/"), GenauthProtocol::Oidc, ClientAuth::None),
        &token(TOKEN, None),
    )
    .await;
    assert_eq!(sent.path, "/oidc/token/revocation");
}

#[tokio::test]
async fn baanx_bears_the_token_to_the_call_that_ends_its_kind() {
    let (access, refresh) = (Some(TokenTypeHint::AccessToken), Some(TokenTypeHint::RefreshToken));
    let rows = [
        ("access_token_1", access, "POST", "/v1/auth/logout"),
        ("refresh_token_1", refresh, "DELETE", "/v1/auth/oauth/revoke"),
        ("refresh_token_1", None, "DELETE", "/v1/auth/oauth/revoke"),
        ("anything", None, "POST", "/v1/auth/logout"),
        ("refresh_token_1", access, "POST", "/v1/auth/logout"),
    ];
    for (raw, hint, method, path) in rows {
        let sent = request(baanx, &token(raw, hint)).await;
        assert_eq!((sent.method.as_str(), sent.path.as_str(), sent.body.as_str()), (method, path, ""));
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {raw}").as_str()));
        assert_eq!((sent.header("x-client-key"), sent.header("x-us-env")), (Some("public-key-1"), None));
    }
}

#[tokio::test]
async fn baanx_names_the_us_backend_where_it_is_set() {
    for (us_env, value) in [(true, "true"), (false, "false")] {
        let kind = |base: &str| {
            let mut config = baanx(base);
            if let KindConfig::Baanx(kind) = &mut config.kind {
                kind.us_env = Some(us_env);
            }
            config
        };
        assert_eq!(request(kind, &token("t", None)).await.header("x-us-env"), Some(value));
    }
}

#[tokio::test]
async fn a_token_that_cannot_stand_in_a_header_is_never_sent() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let answer = provider(&baanx(idp.url())).revoke(&token("a\r\nx-client-key: b", None)).await;
    assert_eq!(answer.verdict, Verdict::Refused);
    assert_eq!(idp.ledger().len(), 0);
}

#[tokio::test]
async fn other_kinds_of_targets_are_unsupported_without_a_call() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    for config in
        [rfc7009(idp.url()), genauth(idp.url(), GenauthProtocol::Oidc, ClientAuth::None), baanx(idp.url())]
    {
        let provider = provider(&config);
        assert!(provider.supports(&token(TOKEN, None)));
        for selector in [Selector::Session, Selector::Subject, Selector::Client, Selector::Issuer] {
            let target = target(selector);
            assert!(!provider.supports(&target));
            assert_eq!(provider.revoke(&target).await.verdict, Verdict::Unsupported);
        }
    }
    assert_eq!(idp.ledger().len(), 0);
}

#[tokio::test]
async fn introspection_gets_the_same_client_authentication() {
    let revoked = AtomicBool::new(false);
    let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
        "/oauth/token/introspection" => {
            Reply::json(200, format!(r#"{{"active":{}}}"#, !revoked.load(SeqCst)))
        }
        _ => {
            revoked.store(true, SeqCst);
            Reply::status(200)
        }
    })
    .await;
    let config = ProviderConfig {
        verify: Verify::Introspect,
        ..genauth(idp.url(), GenauthProtocol::Oauth, ClientAuth::SecretBasic)
    };
    let answer = provider(&config).revoke(&token(TOKEN, Some(TokenTypeHint::AccessToken))).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Verified));
    let ledger = idp.ledger();
    assert_eq!(ledger.len(), 3);
    for look in [&ledger[0], &ledger[2]] {
        assert_eq!((look.method.as_str(), look.path.as_str()), ("POST", "/oauth/token/introspection"));
        let sent = ("token=tok%2B%2F%3D1&token_type_hint=access_token", Some(BASIC_RAW));
        assert_eq!((look.body.as_str(), look.header("authorization")), sent);
    }
}
