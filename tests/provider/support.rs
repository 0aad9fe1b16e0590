//! Which kinds of targets each kind of provider has a call for, and how many requests an attempt makes.

use revocation_worker::config::{ClientAuth, GenauthProtocol, KindConfig, ProviderConfig, Verify};
use revocation_worker::outcome::Verdict;
use revocation_worker::target::{Selector, Target};

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{
    TOKEN, baanx, genauth, global_token_revocation, hydra, keycloak, kicking, okta, provider, rfc7009,
    session, subject, target, token,
};

/// One target of each kind: token, session, subject, client, issuer.
fn targets() -> [Target; 5] {
    [token(TOKEN, None), session("s"), subject("u"), target(Selector::Client), target(Selector::Issuer)]
}

/// Says yes in every dialect.
fn yes(request: &Request) -> Reply {
    match request.path.as_str() {
        path if path.ends_with("/consents") => Reply::json(200, "[]"),
        path if path.ends_with("introspect") || path.ends_with("introspection") => {
            Reply::json(200, r#"{"active":false}"#)
        }
        _ => Reply::json(
            200,
            r#"{"success":true,"statusCode":200,"access_token":"t",
                "data":{"success":true,"access_token":"t","expires_in":300}}"#,
        ),
    }
}

fn verifying(config: ProviderConfig) -> ProviderConfig {
    ProviderConfig { verify: Verify::Introspect, ..config }
}

fn kinds(base: &str) -> [(ProviderConfig, [u32; 5]); 12] {
    let genauth = || genauth(base, GenauthProtocol::Oidc, ClientAuth::None);
    [
        (rfc7009(base), [1, 0, 0, 0, 0]),
        (verifying(rfc7009(base)), [3, 0, 0, 0, 0]),
        (genauth(), [1, 0, 0, 0, 0]),
        (verifying(genauth()), [3, 0, 0, 0, 0]),
        (verifying(kicking(base)), [3, 0, 1, 0, 0]),
        (baanx(base), [1, 0, 0, 0, 0]),
        (global_token_revocation(base), [0, 0, 1, 0, 0]),
        (keycloak(base), [1, 2, 2, 0, 0]),
        (verifying(keycloak(base)), [3, 2, 2, 0, 0]),
        (okta(base), [1, 0, 1, 0, 0]),
        (hydra(base), [1, 0, 2, 0, 0]),
        (verifying(hydra(base)), [3, 0, 2, 0, 0]),
    ]
}

#[tokio::test]
async fn what_is_said_beforehand_is_what_is_done() {
    let idp = ScriptedIdp::start(yes).await;
    for (place, (config, expected)) in kinds(idp.url()).into_iter().enumerate() {
        let provider = provider(&config);
        for (target, calls) in targets().iter().zip(expected) {
            let kind = target.selector.kind();
            assert_eq!(provider.calls_per_attempt(target), calls, "{place} {kind:?}");
            assert_eq!(provider.supports(target), calls > 0, "{place} {kind:?}");
            // The first attempt gets the bearer, too.
            provider.revoke(target).await;
            let before = idp.ledger().len();
            let answer = provider.revoke(target).await;
            assert_eq!(idp.ledger().len() - before, calls as usize, "{place} {kind:?}");
            assert_eq!(matches!(answer.verdict, Verdict::Done(_)), calls > 0, "{place} {kind:?}");
        }
    }
}

#[tokio::test]
async fn what_there_is_no_call_for_is_told_in_one_sentence() {
    let idp = ScriptedIdp::start(yes).await;
    let answer = provider(&rfc7009(idp.url())).revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Unsupported);
    let sentence = "the provider has no call that revokes a subject; it is denied locally until it expires";
    assert_eq!((answer.error.as_deref(), answer.http_status), (Some(sentence), None));
    assert_eq!(idp.ledger().len(), 0);
}

#[tokio::test]
async fn okta_without_a_client_cannot_verify() {
    let mut config = verifying(okta("https://example.okta.com"));
    if let KindConfig::Okta(kind) = &mut config.kind {
        kind.client = None;
    }
    let refusal = revocation_worker::provider::Provider::new("main".into(), &config).err().unwrap();
    assert_eq!(refusal.setting, "providers.main.verify");
}
