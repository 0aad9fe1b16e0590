use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::approval::ApprovalRules;
use crate::config::raw::RawKind;
use crate::config::{
    BasicEncoding, ClientAuth, GenauthProtocol, KindConfig, SubjectFormat, UserIdType, Verify,
};
use crate::report::Owners;
use crate::target::Kind;

mod claims;
mod refusals;
mod rights;
mod sources;

const KEY: &str = "2026-11:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A complete configuration without providers.
const BASE: &str = r#"
    amqp.url = "amqp://localhost"
    database.url = "postgres://localhost/revocation"
    sealing.keys = ["2026-11:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
"#;

const MAIN: &str = r#"
    [providers.main]
    kind = "rfc7009"
    revocation_endpoint = "https://id.example.com/revoke"
    client_id = "shop"
    client_secret = "shop-secret"
"#;

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("revocation-config-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn load_with(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let scratch = Scratch::new();
    let file = scratch.write("settings.toml", toml);
    Config::load(Some(&file), &Environment::new(variables.iter().copied()))
}

fn load(toml: &str) -> Config {
    load_with(toml, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(toml: &str, variables: &[(&str, &str)]) -> Vec<String> {
    load_with(toml, variables).err().expect("it must be refused").problems().to_vec()
}

fn seconds(seconds: u64) -> std::time::Duration {
    std::time::Duration::from_secs(seconds)
}

#[test]
fn defaults() {
    let config = load(&format!("{BASE}{MAIN}"));
    assert!(config.default_provider.is_none());
    assert_eq!(config.shutdown_grace, seconds(10));
    assert_eq!((config.amqp.prefetch, config.amqp.declare, config.amqp.ca_file), (300, true, None));
    assert_eq!(config.amqp.bytes_in_hand, 64 << 20);
    assert_eq!(config.database.max_connections, 8);
    assert_eq!(config.retry.initial, std::time::Duration::from_millis(500));
    assert_eq!(config.retry.max, seconds(600));
    assert_eq!((config.retry.give_up_after, config.retry.resweep_every), (seconds(86_400), seconds(86_400)));
    assert_eq!((config.retry.retry_after_max, config.verifier_owners), (seconds(86_400), Owners::default()));
    assert_eq!(
        (config.invalidation.stream_max_age, config.invalidation.heartbeat),
        (seconds(30 * 86_400), seconds(1))
    );
    assert_eq!(
        (config.invalidation.stream_max_length_bytes, config.invalidation.heartbeats_in_log),
        (5_000_000_000, false)
    );
    assert_eq!(config.authorization.logout_users, None);
    assert!(config.authorization.mass_revocation_users.is_empty());
    assert_eq!(
        config.authorization.approval(),
        ApprovalRules { kinds: vec![Kind::Client, Kind::Issuer], above_targets: 10_000 }
    );
    let limits = config.limits;
    assert_eq!(
        (limits.max_message_bytes, limits.max_targets, limits.max_token_bytes),
        (1_048_576, 1000, 16_384)
    );
    assert_eq!(config.http_listen.to_string(), "127.0.0.1:9300");
    assert_eq!((config.log.json, config.log.filter.as_str()), (true, "info"));
    assert_eq!(config.instance, format!("worker-{}", std::process::id()));
}

#[test]
fn defaults_of_a_provider() {
    let config = load(&format!("{BASE}{MAIN}"));
    let provider = &config.providers["main"];
    assert_eq!(
        (provider.token_ttl, provider.connect_timeout, provider.timeout),
        (seconds(30 * 86_400), seconds(3), seconds(10))
    );
    assert_eq!((provider.concurrency, provider.allow_http, provider.verify), (32, false, Verify::Off));
    assert_eq!((provider.rate_per_s, provider.retry_after_max), (None, seconds(86_400)));
    let KindConfig::Rfc7009(rfc7009) = &provider.kind else { panic!("wrong kind") };
    assert_eq!(rfc7009.revocation_endpoint.as_deref(), Some("https://id.example.com/revoke"));
    assert_eq!(
        (rfc7009.client.auth, rfc7009.basic_encoding),
        (ClientAuth::SecretBasic, BasicEncoding::Rfc6749)
    );
    assert!(rfc7009.client.secret.as_ref().is_some_and(|secret| secret.expose() == "shop-secret"));
}

#[test]
fn the_names_of_the_contract() {
    let config = load(&format!(
        r#"
        default_provider = "main"
        instance = "pod-7"
        shutdown_grace = "25s"
        {BASE}
        amqp.max_message_bytes = 2048
        retry = {{ initial = "1s", max = "5m", give_up_after = "48h", resweep_every = "12h" }}
        invalidation = {{ stream_max_age = "14d", heartbeat = "500ms", heartbeats_in_log = true, stream_max_length_bytes = 10_000_000 }}
        authorization.mass_revocation_users = ["soc"]
        authorization.logout_users = ["shop"]
        authorization.approval_required_for = ["issuer", "subject"]
        authorization.approval_above_targets = 0
        http.listen = "[::1]:9400"
        log = {{ format = "human", level = "debug,lapin=error" }}
        {MAIN}
        "#
    ));
    assert_eq!(config.default_provider.as_deref(), Some("main"));
    assert_eq!((config.instance.as_str(), config.shutdown_grace), ("pod-7", seconds(25)));
    assert_eq!(config.limits.max_message_bytes, 2048);
    assert_eq!((config.retry.initial, config.retry.max), (seconds(1), seconds(300)));
    assert_eq!(
        (config.retry.give_up_after, config.retry.resweep_every),
        (seconds(48 * 3600), seconds(12 * 3600))
    );
    assert_eq!(config.invalidation.stream_max_age, seconds(14 * 86_400));
    assert_eq!(
        (config.invalidation.stream_max_length_bytes, config.invalidation.heartbeats_in_log),
        (10_000_000, true)
    );
    assert_eq!(config.authorization.mass_revocation_users, ["soc"]);
    assert_eq!(config.authorization.logout_users, Some(vec!["shop".to_owned()]));
    assert_eq!(
        config.authorization.approval(),
        ApprovalRules { kinds: vec![Kind::Issuer, Kind::Subject], above_targets: 0 }
    );
    assert_eq!(config.http_listen.to_string(), "[::1]:9400");
    assert_eq!((config.log.json, config.log.filter.as_str()), (false, "debug,lapin=error"));
}

#[test]
fn approval_can_be_asked_of_no_kind_or_of_all() {
    let required_for = |value: &str| {
        let config = load_with(
            &format!("{BASE}{MAIN}"),
            &[("REVOCATION__AUTHORIZATION__APPROVAL_REQUIRED_FOR", value)],
        );
        config.unwrap_or_else(|error| panic!("{error}")).authorization.approval_required_for
    };
    assert_eq!([required_for("none"), required_for("[]")], [vec![], vec![]]);
    assert_eq!(required_for("token, session,subject,client,issuer"), Kind::ALL);
    let listed = load(&format!("authorization.approval_required_for = []\n{BASE}{MAIN}"));
    assert!(listed.authorization.approval_required_for.is_empty());
}

#[test]
fn genauth_and_baanx() {
    let config = load(&format!(
        r#"{BASE}
        [providers.shop]
        kind = "genauth"
        app_host = "https://shop.genauth.ai/"
        client_id = "app"
        client_secret = "s"
        [providers.legacy]
        kind = "genauth"
        app_host = "http://127.0.0.1:8080"
        protocol = "oauth"
        client_id = "app"
        client_secret = "s"
        client_auth = "client_secret_basic"
        [providers.card]
        kind = "baanx"
        base_url = "https://dev.api.baanx.com"
        client_key = "k"
        us_env = true
        "#
    ));
    let KindConfig::Genauth(shop) = &config.providers["shop"].kind else { panic!("wrong kind") };
    assert_eq!((shop.app_host.as_str(), shop.protocol), ("https://shop.genauth.ai", GenauthProtocol::Oidc));
    assert_eq!(shop.client.auth, ClientAuth::SecretPost);
    let KindConfig::Genauth(legacy) = &config.providers["legacy"].kind else { panic!("wrong kind") };
    assert_eq!((legacy.protocol, legacy.client.auth), (GenauthProtocol::Oauth, ClientAuth::SecretBasic));
    let KindConfig::Baanx(card) = &config.providers["card"].kind else { panic!("wrong kind") };
    assert_eq!((card.base_url.as_str(), card.us_env), ("https://dev.api.baanx.com", Some(true)));
}

#[test]
fn providers_of_users() {
    let config = load(&format!(
        r#"{BASE}
        [providers.shop]
        kind = "genauth"
        app_host = "https://shop.genauth.ai"
        client_id = "app"
        client_secret = "s"
        management_host = "https://api.genauth.ai/"
        access_key_id = "k"
        access_key_secret = "ks"
        app_ids = "a, b"
        rate_per_s = 20
        retry_after_max = "10m"
        [providers.sso]
        kind = "keycloak"
        base_url = "https://id.example.com/"
        realm = "shop"
        client_id = "worker"
        client_secret = "s"
        [providers.staff]
        kind = "okta"
        base_url = "https://example.okta.com"
        api_token = "t"
        [providers.partner]
        kind = "global_token_revocation"
        issuer = "https://partner.example.com"
        subject_format = "email"
        bearer_token = "t"
        [providers.machines]
        kind = "hydra"
        base_url = "https://hydra.example.com"
        client_id = "worker"
        client_auth = "none"
        "#
    ));
    let KindConfig::Genauth(shop) = &config.providers["shop"].kind else { panic!("wrong kind") };
    let management = shop.management.as_ref().unwrap();
    assert_eq!(
        (management.host.as_str(), management.access_key_id.as_str()),
        ("https://api.genauth.ai", "k")
    );
    assert_eq!(
        (management.app_ids.as_slice(), management.user_id_type),
        (["a", "b"].map(str::to_owned).as_slice(), UserIdType::UserId)
    );
    assert_eq!((config.providers["shop"].rate_per_s, config.providers["sso"].rate_per_s), (Some(20), None));
    assert_eq!(
        ["shop", "sso"].map(|name| config.providers[name].retry_after_max),
        [seconds(600), seconds(86_400)]
    );
    let KindConfig::Keycloak(sso) = &config.providers["sso"].kind else { panic!("wrong kind") };
    assert_eq!(
        (sso.base_url.as_str(), sso.realm.as_str(), sso.client.auth),
        ("https://id.example.com", "shop", ClientAuth::SecretBasic)
    );
    let KindConfig::Okta(staff) = &config.providers["staff"].kind else { panic!("wrong kind") };
    assert!(staff.client.is_none() && staff.api_token.is_some());
    let KindConfig::GlobalTokenRevocation(partner) = &config.providers["partner"].kind else {
        panic!("wrong kind")
    };
    assert_eq!((partner.endpoint.as_deref(), partner.subject_format), (None, Some(SubjectFormat::Email)));
    let KindConfig::Hydra(machines) = &config.providers["machines"].kind else { panic!("wrong kind") };
    assert_eq!((machines.client.auth, machines.admin_url.as_deref()), (ClientAuth::None, None));
}

#[test]
fn every_kind_is_offered_and_stands_in_the_readme() {
    let readme = include_str!("../../../README.md");
    let offered = RawKind::NAMES.replace(" or ", ", ");
    let refusal = problems(&format!("{BASE}\n[providers.main]\nkind = 'x'"), &[]).join("\n");
    let known: Vec<&str> = refusal.split('`').skip(1).step_by(2).collect();
    assert_eq!(offered.split(", ").collect::<Vec<_>>(), known, "{refusal}");
    for kind in known {
        assert!(readme.contains(&format!("\n| `{kind}`")), "{kind} has no row in the README");
    }
}

#[test]
fn discovery_and_public_clients() {
    let config = load(&format!(
        r#"{BASE}
        [providers.main]
        kind = "rfc7009"
        issuer = "https://id.example.com"
        verify = "introspect"
        client_id = "spa"
        client_auth = "none"
        timeout = "2s"
        "#
    ));
    let provider = &config.providers["main"];
    assert_eq!(provider.verify, Verify::Introspect);
    assert_eq!(provider.connect_timeout, seconds(2), "it never exceeds the whole timeout");
    let KindConfig::Rfc7009(rfc7009) = &provider.kind else { panic!("wrong kind") };
    assert!(rfc7009.revocation_endpoint.is_none() && rfc7009.client.secret.is_none());
}

#[test]
fn origins_of_discovery() {
    let main = |lines: &str| {
        load(&format!(
            "{BASE}\n[providers.main]\nkind = 'rfc7009'\nclient_id = 'a'\nclient_secret = 'b'\n{lines}"
        ))
    };
    let origins = |lines: &str| main(lines).providers["main"].discovery.origins.clone();
    let google = "issuer = 'https://accounts.google.com'";
    assert_eq!(origins("issuer = 'https://id.example.com'"), [""; 0]);
    assert_eq!(origins(google), ["https://oauth2.googleapis.com"]);
    let more = format!(
        "{google}\ndiscovery_origins = ['https://a.example.com/', \
            'https://b.example.com:8443']\nallow_private_addresses = true"
    );
    assert_eq!(
        origins(&more),
        ["https://oauth2.googleapis.com", "https://a.example.com", "https://b.example.com:8443"]
    );
    assert!(
        main(&more).providers["main"].discovery.allow_private_addresses
            && !main(google).providers["main"].discovery.allow_private_addresses
    );
}

#[test]
fn owners_of_verifiers_come_from_the_file_or_from_one_variable() {
    let owners = |pairs: &[(&str, &[&str])]| {
        Owners::new(
            pairs
                .iter()
                .map(|(service, users)| {
                    (service.to_string(), users.iter().map(ToString::to_string).collect())
                })
                .collect(),
        )
    };
    let file = format!(
        "{BASE}{MAIN}\n[verifiers.owners]\nshop-api = [\"shop\", \"shop-canary\"]\n\"Käse: 7\" = \"cheese\""
    );
    let from_file = owners(&[("shop-api", &["shop", "shop-canary"]), ("Käse: 7", &["cheese"])]);
    assert_eq!(load(&file).verifier_owners, from_file);
    for (variable, expected) in [
        (r#"{ "shop-api" = ["a"], cards = "b,c" }"#, owners(&[("shop-api", &["a"]), ("cards", &["b", "c"])])),
        ("{}", Owners::default()),
    ] {
        let loaded = load_with(&file, &[("REVOCATION__VERIFIERS__OWNERS", variable)])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.verifier_owners, expected, "the variable takes the place of the file's");
    }
}

#[test]
fn people_come_from_the_file_or_from_variables() {
    assert_eq!(load(&format!("{BASE}{MAIN}")).people, None, "what is not said changes nothing");
    let as_told = |text: &str, variables: &[(&str, &str)]| {
        let config =
            load_with(&format!("{BASE}{MAIN}\n{text}"), variables).unwrap_or_else(|error| panic!("{error}"));
        serde_json::to_value(config.people).expect("JSON")
    };
    let alice = json!({ "broker_users": ["soc", "soc-2"], "database_roles": ["alice"] });
    let file = "[people.Alice]\nbroker_users = [\"soc\", \"soc-2\"]\ndatabase_roles = \"alice\"\n";
    assert_eq!(as_told(file, &[]), json!({ "Alice": alice }));
    let bob = json!({ "broker_users": [], "database_roles": ["bob"] });
    assert_eq!(
        as_told(file, &[("REVOCATION__PEOPLE__BOB__DATABASE_ROLES", "bob")]),
        json!({ "Alice": alice, "bob": bob })
    );
    assert_eq!(as_told("[people]\n", &[]), json!({}), "nobody is anybody");
    for (text, refusal) in [
        (
            "[people.a]\ndatabase_roles = [\"ops\"]\n[people.b]\ndatabase_roles = [\"ops\"]\n",
            "people.b.database_roles: role ops is a's, too",
        ),
        (
            "[people.bob]\nbroker_users = [\"a\"]\n[people.\"B ob\"]\nbroker_users = [\"b\"]\n",
            "people.bob: is spelled like B ob",
        ),
        ("[people.\"\"]\nbroker_users = [\"a\"]\n", "a person's name has 1 to 255 bytes"),
        ("[people.\" \"]\nbroker_users = [\"a\"]\n", "a person's name is blank"),
        ("[people.\"alice \"]\nbroker_users = [\"a\"]\n", "a person's name ends with a blank"),
        ("[people.\"alice\\u200b\"]\nbroker_users = [\"a\"]\n", "a person's name has U+200B"),
        ("[people.\"a\\u202elice\"]\nbroker_users = [\"a\"]\n", "a person's name has U+202E"),
        ("[people.\"a\\tb\"]\nbroker_users = [\"a\"]\n", "a person's name has U+0009"),
        (
            "[authorization]\noperators = [\"ops\"]\n[people.bob]\nbroker_users = [\"a\"]\n",
            "authorization.operators: ops is in nobody's",
        ),
        (
            "[people.bob]\nbroker_users = [\"a\"]\n[people.BOB]\nbroker_users = [\"b\"]\n",
            "people.bob: is spelled like BOB",
        ),
    ] {
        let error = load_with(&format!("{BASE}{MAIN}\n{text}"), &[]).err().expect("it must be refused");
        assert!(error.to_string().contains(refusal), "{error}");
    }
    let shared = "[people.a]\nbroker_users = [\"soc\"]\n[people.b]\nbroker_users = [\"soc\"]\n";
    assert_eq!(
        as_told(shared, &[]).as_object().map(serde_json::Map::len),
        Some(2),
        "a broker user may be several persons'"
    );
}
