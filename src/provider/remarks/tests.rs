use std::time::Duration;

use super::*;
use crate::config::{
    AssertionConfig, BearerConfig, ClientAuth, ClientConfig, DiscoveryConfig, GenauthConfig,
    GenauthManagementConfig, GenauthProtocol, GlobalTokenRevocationConfig, IdentityConfig, KeycloakConfig,
    OktaConfig, Secret, Verify,
};

fn provider(kind: KindConfig, issuer: Option<&str>, subject: &[&str]) -> ProviderConfig {
    let issuer = issuer.map(str::to_owned);
    let subject = subject.iter().map(|name| (*name).to_owned()).collect();
    ProviderConfig {
        issuer: issuer.clone(),
        claims: ClaimNames { subject, client: Vec::new(), issuer, twin: None },
        token_ttl: Duration::from_secs(3600),
        connect_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        concurrency: 1,
        rate_per_s: None,
        retry_after_max: Duration::from_secs(60),
        allow_http: false,
        identity: IdentityConfig::default(),
        discovery: DiscoveryConfig::default(),
        ca_file: None,
        verify: Verify::Off,
        kind,
    }
}

fn secret() -> Secret {
    Secret::new("s".to_owned())
}

fn client() -> ClientConfig {
    let (id, assertion) = ("a".to_owned(), AssertionConfig::default());
    ClientConfig { id, secret: Some(secret()), auth: ClientAuth::SecretBasic, assertion }
}

fn okta(api_token: Option<Secret>) -> KindConfig {
    let base_url = "https://example.okta.com".to_owned();
    KindConfig::Okta(OktaConfig {
        base_url,
        authorization_server_id: None,
        client: Some(client()),
        api_token,
        service: None,
    })
}

fn genauth(user_id_type: UserIdType) -> KindConfig {
    let (host, access_key_id, app_ids) =
        ("https://api.genauth.ai".to_owned(), "k".to_owned(), vec!["app".to_owned()]);
    let management = Some(GenauthManagementConfig {
        host,
        access_key_id,
        access_key_secret: secret(),
        app_ids,
        user_id_type,
    });
    let app_host = "https://shop.genauth.ai".to_owned();
    KindConfig::Genauth(GenauthConfig {
        app_host,
        protocol: GenauthProtocol::Oidc,
        client: client(),
        management,
    })
}

fn global(subject_format: Option<SubjectFormat>) -> KindConfig {
    let endpoint = Some("https://id.example.com/revoke".to_owned());
    KindConfig::GlobalTokenRevocation(GlobalTokenRevocationConfig {
        endpoint,
        subject_format,
        bearer: BearerConfig::Fixed(secret()),
    })
}

fn keycloak() -> KindConfig {
    KindConfig::Keycloak(KeycloakConfig {
        base_url: "https://id.example.com".to_owned(),
        realm: "r".to_owned(),
        client: client(),
    })
}

#[test]
fn who_goes_by_another_id_is_told() {
    let entra = Some("https://login.microsoftonline.com/t/v2.0");
    let rows = [
        (provider(okta(Some(secret())), None, &["uid"]), "send the id, the claim uid, as sub"),
        (provider(okta(Some(secret())), None, &[]), "only if subject_claims names it: add uid"),
        (provider(global(None), entra, &["oid"]), "send the object id, the claim oid, as sub"),
        (provider(keycloak(), entra, &[]), "only if subject_claims names it: add oid"),
        (
            provider(genauth(UserIdType::Email), None, &[]),
            "user_id_type is email, so a target's sub must be that",
        ),
        (
            provider(genauth(UserIdType::ExternalId), None, &[]),
            "name the claim that holds it in subject_claims",
        ),
        (
            provider(genauth(UserIdType::Phone), None, &["phone_number"]),
            "tokens are denied locally by phone_number",
        ),
        (provider(global(Some(SubjectFormat::Email)), None, &[]), "subject_format is email"),
    ];
    for (config, sentence) in rows {
        let told = remarks(&config).join("\n");
        assert!(told.contains(sentence), "{sentence}: {told}");
    }
}

#[test]
fn where_the_sub_is_the_id_nothing_is_said() {
    let others = Some("https://id.example.com");
    for kind in [
        keycloak(),
        genauth(UserIdType::UserId),
        global(None),
        global(Some(SubjectFormat::IssSub)),
        global(Some(SubjectFormat::Opaque)),
        okta(None),
    ] {
        assert_eq!(remarks(&provider(kind, others, &[])), Vec::<String>::new());
    }
}

#[test]
fn claims_without_an_issuer_are_told() {
    let told = |issuer| remarks(&provider(keycloak(), issuer, &["uid", "login"])).join("\n");
    assert!(told(Some("https://id.example.com")).contains(
        "a user also by uid and login in tokens of a target's iss, else of https://id.example.com:"
    ));
    assert!(told(None).contains("a user also by uid and login only where a target has an iss: set issuer"));
    let mut both = provider(keycloak(), None, &["uid"]);
    both.claims.client = vec!["cid".to_owned()];
    assert!(remarks(&both)[0].contains("a user also by uid and a client also by cid only where"));
}

#[test]
fn of_two_issuers_both_are_named() {
    let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let names = ClaimNames {
        subject: words(&["oid"]),
        client: words(&["appid"]),
        issuer: Some("v2".to_owned()),
        twin: Some("v1".to_owned()),
    };
    let told = claim_names(&names);
    assert!(told.as_ref().is_some_and(|told| told.contains("else of v2 and v1: those must")), "{told:?}");
}
