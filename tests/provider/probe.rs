//! `check` reaches every provider, tries its credentials and changes nothing there; what each kind tries them
//! with.

use revocation_worker::config::{ClientAuth, GenauthProtocol, KindConfig, ProviderConfig, Verify};
use revocation_worker::provider::Probed;
use revocation_worker::target::Scope;

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{
    baanx, calls, config, genauth, global_token_revocation, hydra, keycloak, kicking, oauth_server, okta,
    provider, rfc7009,
};

#[tokio::test]
async fn a_host_that_answers_anything_is_reached_without_touching_an_endpoint() {
    let idp = ScriptedIdp::start(|_| Reply::status(404)).await;
    let sentence = provider(&baanx(idp.url())).probe().await.unwrap();
    let proven_later =
        "the host is reached; the credentials for tokens are proven by the first revocation only";
    assert_eq!(sentence, format!("HEAD {}/ answered 404: {proven_later}", idp.url()));
    for request in idp.ledger() {
        assert_eq!(
            (request.method.as_str(), request.path.as_str(), request.header("authorization")),
            ("HEAD", "/", None)
        );
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_a_problem_and_those_that_are_accepted_are_told() {
    let check = async |config: fn(&str) -> ProviderConfig, reply: fn(&Request) -> Reply| {
        let idp = ScriptedIdp::start(reply).await;
        let said = provider(&config(idp.url())).probe().await;
        (said.is_ok(), said.unwrap_or_else(|problem| problem).replace(idp.url(), ""))
    };
    let generic: fn(&str) -> ProviderConfig = |base| genauth(base, GenauthProtocol::Oidc, ClientAuth::None);
    for config in [rfc7009, generic, hydra] {
        let (is_ok, says) = check(config, |_| Reply::status(204)).await;
        assert!(is_ok && says.contains("the credentials for tokens are accepted"), "{says}");
    }
    for config in [rfc7009, generic, hydra, okta] {
        let (is_ok, says) = check(config, |_| Reply::json(401, r#"{"error":"invalid_client"}"#)).await;
        assert!(
            !is_ok
                && says.contains("/revo")
                && says.contains("answered 401 invalid_client; check the endpoint, client_id"),
            "{says}"
        );
    }
    let (is_ok, says) = check(rfc7009, |_| Reply::status(403)).await;
    assert!(!is_ok && says.contains("the server refuses unknown tokens and this can be ignored"), "{says}");
    let (is_ok, says) = check(rfc7009, |_| Reply::json(400, r#"{"error":"invalid_request"}"#)).await;
    assert!(is_ok && says.contains("proven by the first revocation only"), "{says}");
}

#[tokio::test]
async fn a_keycloak_client_without_the_role_is_told_but_no_problem_where_tokens_are_revoked() {
    let idp = ScriptedIdp::start(|request| match request.path.as_str() {
        path if path.ends_with("/token") => Reply::json(400, r#"{"error":"unauthorized_client"}"#),
        _ => Reply::status(200),
    })
    .await;
    let sentence = provider(&keycloak(idp.url())).probe().await.unwrap();
    assert!(
        sentence.contains(
            "the credentials for tokens are accepted; sessions and subjects cannot be ended: POST "
        ),
        "{sentence}"
    );
}

/// Grants bearers, and answers the rest with `status` and `body`.
async fn server(status: u16, body: &'static str) -> ScriptedIdp {
    ScriptedIdp::start(move |request| match request.path.as_str() {
        path if path.ends_with("/token") => Reply::json(200, r#"{"access_token":"t","expires_in":300}"#),
        path if path.ends_with("/get-management-token") => {
            Reply::json(200, r#"{"statusCode":200,"data":{"access_token":"t"}}"#)
        }
        _ => Reply::json(status, body),
    })
    .await
}

fn word(found: Option<Probed>) -> &'static str {
    match found {
        None => "none",
        Some(Probed::Accepted) => "accepted",
        Some(Probed::Refused { plainly: true, .. }) => "refused",
        Some(Probed::Refused { plainly: false, .. }) => "refused?",
        Some(Probed::Unanswered(_)) => "unanswered",
        Some(Probed::Nothing) => "nothing",
    }
}

/// The kinds' own healthy and unhealthy answers, for wide calls.
#[tokio::test]
async fn each_kind_knows_its_healthy_answer_to_a_call_for_nobody() {
    let gtr = |base: &str| global_token_revocation(base);
    let with_admin = |base: &str| {
        let mut config = hydra(base);
        if let KindConfig::Hydra(kind) = &mut config.kind {
            kind.admin_url = Some(base.to_owned());
        }
        config
    };
    type Make<'a> = &'a dyn Fn(&str) -> ProviderConfig;
    let rows: [(&str, Make<'_>, u16, &'static str, &str); 22] = [
        ("keycloak", &keycloak, 404, r#"{"error":"Sesssion not found"}"#, "accepted"),
        ("keycloak", &keycloak, 204, "", "accepted"),
        ("keycloak", &keycloak, 403, r#"{"error":"HTTP 403 Forbidden"}"#, "refused"),
        ("keycloak", &keycloak, 401, "", "refused"),
        ("keycloak", &keycloak, 404, "<html>", "refused"),
        ("keycloak", &keycloak, 503, "", "unanswered"),
        ("okta", &okta, 404, r#"{"errorCode":"E0000007"}"#, "accepted"),
        ("okta", &okta, 401, r#"{"errorCode":"E0000011"}"#, "refused"),
        ("okta", &okta, 403, r#"{"errorCode":"E0000005"}"#, "refused"),
        ("okta", &okta, 404, "<html>", "refused"),
        ("okta", &okta, 400, r#"{"errorCode":"E0000001"}"#, "nothing"),
        ("hydra", &with_admin, 204, "", "accepted"),
        ("hydra", &with_admin, 403, "", "refused"),
        ("hydra", &with_admin, 400, "", "nothing"),
        ("genauth", &kicking, 200, r#"{"statusCode":404,"apiCode":2004}"#, "accepted"),
        ("genauth", &kicking, 200, r#"{"statusCode":401}"#, "refused"),
        ("genauth", &kicking, 200, r#"{"statusCode":404,"apiCode":2011}"#, "refused"),
        ("gtr", &gtr, 404, "", "accepted"),
        ("gtr", &gtr, 204, "", "accepted"),
        ("gtr", &gtr, 401, "", "refused?"),
        ("gtr", &gtr, 400, "", "nothing"),
        ("rfc7009", &rfc7009, 200, "", "none"),
    ];
    for (kind, config, status, body, meaning) in rows {
        let idp = server(status, body).await;
        let provider = provider(&config(idp.url()));
        let found = provider.try_credentials(Scope::Wide).await;
        assert_eq!(provider.has_probe(Scope::Wide), found.is_some(), "{kind}");
        assert_eq!(word(found), meaning, "{kind}: {status} {body}");
        assert!(
            idp.ledger()
                .iter()
                .all(|request| !request.path.contains("/users/") || request.path.contains("/users/probe-")),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn where_tokens_are_introspected_the_client_must_be_let_in_there_too() {
    let rows = [
        (200, r#"{"active":false}"#, "accepted"),
        (401, "", "refused?"),
        (401, r#"{"error":"invalid_client"}"#, "refused"),
        (403, "", "accepted"),
        (404, "", "accepted"),
        (503, "", "unanswered"),
    ];
    for (status, body, meaning) in rows {
        let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
            path if path.contains("introspect") => Reply::json(status, body),
            _ => Reply::status(200),
        })
        .await;
        for config in [rfc7009, |base: &str| genauth(base, GenauthProtocol::Oidc, ClientAuth::None)] {
            let verifying = ProviderConfig { verify: Verify::Introspect, ..config(idp.url()) };
            let found = word(provider(&verifying).try_credentials(Scope::Token).await);
            assert_eq!(found, meaning, "{status} {body}");
            let found = word(provider(&config(idp.url())).try_credentials(Scope::Token).await);
            assert_eq!(found, "accepted", "it is not asked there where nothing is verified");
        }
    }
}

#[tokio::test]
async fn no_two_probes_name_the_same_and_none_names_a_target() {
    let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
    let provider = provider(&rfc7009(idp.url()));
    for _ in 0..3 {
        provider.try_credentials(Scope::Token).await;
    }
    let tokens: std::collections::BTreeSet<_> =
        idp.ledger().iter().map(|request| request.field("token").unwrap()).collect();
    assert!(tokens.len() == 3 && tokens.iter().all(|token| token.starts_with("probe-") && token.len() == 38));
    assert!(idp.ledger().iter().all(|request| {
        request.header("authorization").is_some_and(|credentials| credentials.starts_with("Basic "))
    }));
}

#[tokio::test]
async fn metadata_is_read_where_endpoints_come_from_it() {
    let idp = ScriptedIdp::start(|request| {
        let base = format!("http://{}", request.header("host").unwrap());
        Reply::json(200, format!(r#"{{"issuer":"{base}","revocation_endpoint":"{base}/revoke"}}"#))
    })
    .await;
    let discovering = |verify| ProviderConfig {
        issuer: Some(idp.url().to_owned()),
        verify,
        ..config(KindConfig::Rfc7009(oauth_server()))
    };
    let sentence = provider(&discovering(Verify::Off)).probe().await.unwrap();
    assert_eq!(
        sentence,
        format!(
            "metadata of {0} names revocation_endpoint {0}/revoke; the credentials for tokens are accepted",
            idp.url()
        )
    );
    let sentence = provider(&discovering(Verify::Introspect)).probe().await.unwrap_err();
    assert!(sentence.contains("introspection_endpoint is not in it"), "{sentence}");
    assert!(idp.ledger().iter().all(|request| request.method == "GET" || request.path == "/revoke"));
}

#[tokio::test]
async fn each_host_of_a_provider_is_reached_once() {
    let (public, admin) =
        (ScriptedIdp::start(|_| Reply::status(204)).await, ScriptedIdp::start(|_| Reply::status(200)).await);
    let mut config = hydra(public.url());
    if let KindConfig::Hydra(kind) = &mut config.kind {
        kind.admin_url = Some(admin.url().to_owned());
    }
    let sentence = provider(&config).probe().await.unwrap();
    assert!(sentence.contains(&format!("HEAD {}/ answered 204", public.url())), "{sentence}");
    assert!(sentence.contains(&format!("; HEAD {}/ answered 200", admin.url())), "{sentence}");
    assert!(
        sentence.ends_with(
            "the credentials for tokens are accepted; the credentials for sessions and subjects are accepted"
        ),
        "{sentence}"
    );
    for config in [
        keycloak(public.url()),
        okta(public.url()),
        kicking(public.url()),
        global_token_revocation(public.url()),
    ] {
        let before = public.ledger().len();
        drop(provider(&config).probe().await);
        assert_eq!(calls(&public)[before..].iter().filter(|call| *call == "HEAD /").count(), 1);
    }
    assert_eq!(calls(&admin).iter().filter(|call| *call == "HEAD /").count(), 1);
    drop(admin);
    assert!(provider(&config).probe().await.is_err());
}

#[tokio::test]
async fn a_host_that_is_away_is_said_to_be_so() {
    let idp = ScriptedIdp::start(|_| Reply::close()).await;
    let sentence = provider(&rfc7009(idp.url())).probe().await.unwrap_err();
    assert!(sentence.starts_with(&format!("HEAD {}/ failed: ", idp.url())), "{sentence}");
}
