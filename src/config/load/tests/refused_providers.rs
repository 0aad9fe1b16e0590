//! Each wrong setting of a provider, and the sentence it gets.

use super::*;

/// Problems of `BASE` with one provider made of `lines`.
fn provider_problems(lines: &str) -> Vec<String> {
    problems(&format!("{BASE}\n[providers.main]\n{lines}"), &[])
}

#[test]
fn providers_without_what_their_kind_needs() {
    let rfc7009 = "kind = 'rfc7009'\nrevocation_endpoint = 'https://id.example.com/revoke'\n";
    let client = "client_id = 'a'\nclient_secret = 'b'\n";
    let genauth = format!("kind = 'genauth'\napp_host = 'https://shop.genauth.ai'\n{client}");
    let baanx = "kind = 'baanx'\nbase_url = 'https://api.example.com'\nclient_key = 'k'\n";
    let cases = [
        (
            String::new(),
            "kind",
            "choose rfc7009, genauth, baanx, global_token_revocation, keycloak, okta, hydra, auth0, ",
        ),
        ("kind = 'ping'".to_owned(), "kind", "must be one of `rfc7009`, `genauth`, `baanx`"),
        (format!("{rfc7009}client_secret = 'b'"), "client_id", "not set; give the id"),
        (format!("{rfc7009}client_id = ''\nclient_secret = 'b'"), "client_id", "not set; give the id"),
        (
            format!("{rfc7009}client_id = 'a'"),
            "client_secret",
            "not set; set client_secret or client_secret_file",
        ),
        (format!("{rfc7009}client_id = 'a'\nclient_secret = ''"), "client_secret", "empty"),
        (
            format!("{rfc7009}{client}client_auth = 'none'"),
            "client_secret",
            "superfluous with client_auth = \"none\"",
        ),
        (
            format!("{rfc7009}{client}client_auth = 'tls'"),
            "client_auth",
            "must be one of `client_secret_basic`",
        ),
        (
            format!("{rfc7009}{client}verify = 'introspect'"),
            "introspection_endpoint",
            "set issuer to have it discovered",
        ),
        (
            format!("{rfc7009}{client}app_host = 'https://a'"),
            "app_host",
            "without effect for kind = \"rfc7009\" (only for genauth)",
        ),
        (format!("{rfc7009}{client}issuer = ''"), "issuer", "empty"),
        (format!("{rfc7009}{client}secret = 'b'"), "secret", "unknown setting"),
        (format!("{rfc7009}{client}concurrency = 0"), "concurrency", "choose 1 to 1024"),
        (format!("{rfc7009}{client}timeout = '5ms'"), "timeout", "choose 10ms to 2m"),
        (
            format!("{rfc7009}{client}timeout = '2s'\nconnect_timeout = '3s'"),
            "connect_timeout",
            "choose 10ms to 2s",
        ),
        (format!("{rfc7009}{client}token_ttl = '0s'"), "token_ttl", "choose 1s to"),
        (format!("kind = 'rfc7009'\n{client}"), "revocation_endpoint", "set issuer to have it discovered"),
        (format!("kind = 'rfc7009'\nissuer = 'id'\n{client}"), "issuer", "not a valid address"),
        (format!("kind = 'genauth'\n{client}"), "app_host", "not set"),
        (
            format!("{genauth}us_env = true"),
            "us_env",
            "without effect for kind = \"genauth\" (only for baanx)",
        ),
        (format!("{genauth}basic_encoding = 'raw'"), "basic_encoding", "without effect"),
        ("kind = 'baanx'\nclient_key = 'k'".to_owned(), "base_url", "not set"),
        ("kind = 'baanx'\nbase_url = 'https://api.example.com'".to_owned(), "client_key", "not set"),
        (
            format!("{baanx}client_id = 'a'"),
            "client_id",
            "without effect for kind = \"baanx\" (only for rfc7009, genauth, global_token_revocation, \
                keycloak, okta, hydra, ",
        ),
        (format!("{baanx}verify = 'introspect'"), "verify", "without effect"),
    ];
    for (lines, key, sentence) in cases {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
}

#[test]
fn providers_of_users_without_what_their_kind_needs() {
    let client = "client_id = 'a'\nclient_secret = 'b'\n";
    let management =
        "management_host = 'https://api.genauth.ai'\naccess_key_id = 'k'\naccess_key_secret = 's'\n";
    let genauth = format!("kind = 'genauth'\napp_host = 'https://shop.genauth.ai'\n{client}");
    let global = "kind = 'global_token_revocation'\n";
    let endpoint = "global_token_revocation_endpoint = 'https://id.example.com/gtr'\n";
    let grant = format!("{global}{endpoint}token_endpoint = 'https://id.example.com/token'\n");
    let keycloak = "kind = 'keycloak'\nbase_url = 'https://id.example.com'\nrealm = 'shop'\n";
    let okta = "kind = 'okta'\nbase_url = 'https://example.okta.com'\n";
    let hydra = format!("kind = 'hydra'\nbase_url = 'https://id.example.com'\n{client}");
    let cases = [
        (
            format!("{genauth}access_key_id = 'k'\naccess_key_secret = 's'\napp_ids = ['a']"),
            "management_host",
            "give it with",
        ),
        (
            format!("{genauth}management_host = 'https://a'\naccess_key_secret = 's'\napp_ids = ['a']"),
            "access_key_id",
            "give it with",
        ),
        (
            format!("{genauth}management_host = 'https://a'\naccess_key_id = 'k'\napp_ids = ['a']"),
            "access_key_secret",
            "or remove",
        ),
        (format!("{genauth}{management}"), "app_ids", "name 1 to 50 applications"),
        (format!("{genauth}{management}app_ids = []"), "app_ids", "name 1 to 50 applications"),
        (
            format!("{genauth}{management}app_ids = '{}'", "a,".repeat(51)),
            "app_ids",
            "name 1 to 50 applications",
        ),
        (
            format!("{genauth}{management}app_ids = 'a'\nuser_id_type = 'uid'"),
            "user_id_type",
            "must be one of `user_id`, `external_id`",
        ),
        (
            format!("{global}bearer_token = 't'"),
            "global_token_revocation_endpoint",
            "or set issuer to have it discovered",
        ),
        (format!("{global}bearer_token = 't'\nissuer = 'id'"), "issuer", "not a valid address"),
        (
            format!("{global}{endpoint}"),
            "bearer_token",
            "set bearer_token or bearer_token_file, or token_endpoint and a client",
        ),
        (format!("{grant}{client}bearer_token = 't'"), "bearer_token", "keep one way to authorize"),
        (format!("{global}{endpoint}{client}"), "token_endpoint", "not set"),
        (format!("{grant}client_secret = 'b'"), "client_id", "not set"),
        (format!("{grant}client_id = 'a'\nclient_auth = 'none'"), "client_auth", "none is not enough"),
        (
            format!("{global}{endpoint}bearer_token = 't'\nscope = 'x'"),
            "scope",
            "without effect beside bearer_token",
        ),
        (
            format!("{global}{endpoint}bearer_token = 't'\nsubject_format = 'phone'"),
            "subject_format",
            "must be one of `opaque`",
        ),
        (format!("{global}{endpoint}bearer_token = 't'\nverify = 'introspect'"), "verify", "without effect"),
        (format!("kind = 'keycloak'\nrealm = 'shop'\n{client}"), "base_url", "not set"),
        (
            format!("kind = 'keycloak'\nbase_url = 'https://id.example.com'\n{client}"),
            "realm",
            "not set; name the realm",
        ),
        (keycloak.to_owned() + "client_id = 'a'", "client_secret", "not set"),
        (keycloak.to_owned() + "client_id = 'a'\nclient_auth = 'none'", "client_auth", "none is not enough"),
        (format!("{keycloak}{client}admin_url = 'https://a'"), "admin_url", "(only for hydra)"),
        (
            format!("{okta}{client}authorization_server_id = 'a'\nrealm = 'shop'"),
            "realm",
            "(only for keycloak)",
        ),
        (format!("{okta}api_token = ''\n{client}"), "api_token", "empty"),
        (
            format!("{okta}api_token = 't'\nauthorization_server_id = 'a'\nclient_secret = 'b'"),
            "client_id",
            "not set",
        ),
        (
            format!("{okta}api_token = 't'\nclient_auth = 'none'\nverify = 'introspect'"),
            "client_id",
            "not set",
        ),
        (format!("{hydra}verify = 'introspect'"), "admin_url", "introspection is at the administrative port"),
        (format!("{hydra}admin_url = 'http://10.0.0.1:4445'"), "admin_url", "must start with https://"),
        (format!("{hydra}rate_per_s = 0"), "rate_per_s", "choose 1 to 100000"),
        (format!("{hydra}rate_per_s = 100001"), "rate_per_s", "choose 1 to 100000"),
        (format!("{hydra}rate_per_s = 2.5"), "rate_per_s", "must be a whole number"),
        (format!("{hydra}retry_after_max = \"0s\""), "retry_after_max", "choose 1s to"),
    ];
    for (lines, key, sentence) in cases {
        assert_only(&provider_problems(&lines), &format!("providers.main.{key}"), sentence);
    }
    assert_eq!(provider_problems(okta).len(), 2, "an id and a secret, or an API token");
}

#[test]
fn tokens_travel_over_https_only() {
    let lines = |url: &str, more: &str| {
        format!(
            "kind = 'rfc7009'\nrevocation_endpoint = '{url}'\nclient_id = 'a'\nclient_secret = 'b'\n{more}"
        )
    };
    for (url, sentence) in [
        ("http://id.example.com/revoke", "must start with https://, as tokens and secrets are sent there"),
        ("http://127.0.0.1.example.com/revoke", "must start with https://"),
        ("http://10.0.0.1/revoke", "must start with https://"),
        ("ftp://id.example.com/", "must start with https://"),
        ("https://user:pass@id.example.com/", "must not hold a user name or password"),
        ("https://id.example.com/#x", "must not have a fragment"),
        ("id.example.com/revoke", "not a valid address"),
        ("https://", "not a valid address"),
        ("mailto:a@b", "has no host"),
    ] {
        assert_only(&provider_problems(&lines(url, "")), "providers.main.revocation_endpoint", sentence);
    }
    for url in [
        "http://localhost:1/r",
        "http://127.0.0.1/r",
        "http://127.9.9.9/r",
        "http://[::1]:1/r",
        "https://id.example.com/r?a=b",
    ] {
        load(&format!("{BASE}\n[providers.main]\n{}", lines(url, "")));
    }
    load(&format!("{BASE}\n[providers.main]\n{}", lines("http://id.internal/revoke", "allow_http = true")));
}

#[test]
fn origins_of_discovery_are_origins() {
    let lines = |origin: &str| {
        format!(
            "kind = 'rfc7009'\nissuer = 'https://id.example.com'\nclient_id = 'a'\nclient_secret = \
                'b'\ndiscovery_origins = ['{origin}']"
        )
    };
    for (origin, sentence) in [
        ("https://id.example.com/oauth", "each is an origin"),
        ("https://id.example.com/?a=b", "each is an origin"),
        ("http://id.example.com", "must start with https://"),
        ("id.example.com", "not a valid address"),
        ("https://a:b@id.example.com", "must not hold a user name"),
        ("*", "not a valid address"),
    ] {
        assert_only(&provider_problems(&lines(origin)), "providers.main.discovery_origins", sentence);
    }
    let alone = "kind = 'rfc7009'\nrevocation_endpoint = 'https://id.example.com/r'\nclient_id = \
        'a'\nclient_secret = 'b'";
    let alone = provider_problems(&format!("{alone}\ndiscovery_origins = 'https://oauth.example.com'"));
    assert_only(&alone, "providers.main.discovery_origins", "no issuer to discover endpoints from");
    let baanx = "kind = 'baanx'\nbase_url = 'https://dev.api.baanx.com'\nclient_key = 'a'";
    for (setting, key) in [
        ("discovery_origins = ''", "discovery_origins"),
        ("allow_private_addresses = true", "allow_private_addresses"),
    ] {
        assert_only(
            &provider_problems(&format!("{baanx}\n{setting}")),
            &format!("providers.main.{key}"),
            "without effect for kind",
        );
    }
}

#[test]
fn one_issuer_leads_to_one_provider() {
    let provider = |name| {
        format!(
            "[providers.{name}]\n{}issuer = 'https://id.example.com'\n",
            MAIN.replace("[providers.main]", "")
        )
    };
    let found = problems(&format!("{BASE}{}{}", provider("a"), provider("b")), &[]);
    assert_only(&found, "providers.b.issuer", "the same as providers.a.issuer");
}

#[test]
fn provider_names_fit_into_routing_keys() {
    for name in ["a.b", "a b", "*", ""] {
        let found = problems(
            &format!("{BASE}{}", MAIN.replace("providers.main", &format!("providers.\"{name}\""))),
            &[],
        );
        assert_only(&found, &format!("providers.{name}"), "a provider's name has 1 to 64 of the characters");
    }
}
