//! Each wrong setting, and the sentence it gets.

use super::*;

/// Problems of `BASE` with one provider made of `lines`.
fn provider_problems(lines: &str) -> Vec<String> {
    problems(&format!("{BASE}\n[providers.main]\n{lines}"), &[])
}

fn assert_only(found: &[String], setting: &str, sentence: &str) {
    let [problem] = found else { panic!("one problem expected with {setting}: {found:#?}") };
    assert!(problem.starts_with(&format!("{setting}: ")), "{setting}: {problem}");
    assert!(problem.contains(sentence), "{sentence}: {problem}");
}

#[test]
fn settings_out_of_range_or_of_the_wrong_type() {
    let cases = [
        ("amqp.prefetch", "0", "0 is out of range; choose 1 to 2000"),
        ("amqp.prefetch", "2001", "choose 1 to 2000"),
        ("amqp.bytes_in_hand", "0", "0 is out of range; choose 65536 to 17179869184"),
        ("amqp.bytes_in_hand", "65535", "choose 65536 to 17179869184"),
        ("amqp.bytes_in_hand", "17179869185", "choose 65536 to 17179869184"),
        ("amqp.prefetch", "99999999", "choose 1 to 2000"),
        ("amqp.prefetch", "-1", "choose 1 to 2000"),
        ("amqp.prefetch", "\"many\"", "must be a whole number"),
        ("amqp.prefetch", "1.5", "must be a whole number"),
        ("amqp.declare", "\"yes\"", "must be true or false"),
        ("amqp.declare", "1", "must be true or false"),
        ("amqp.prefetsch", "1", "unknown setting; expected one of `url`, `url_file`, `ca_file`, `prefetch`"),
        ("amqp.prefetch.most", "1", "must be a whole number"),
        ("ampq.prefetch", "1", "unknown setting; expected one of `default_provider`"),
        ("prefetch", "1", "unknown setting"),
        ("authorization.approval_above_targets", "-1", "-1 is out of range; choose 0 to 1000000000"),
        ("authorization.approval_above_targets", "\"many\"", "must be a whole number"),
        ("authorization.approval_above", "1", "unknown setting"),
        (
            "authorization.approval_required_for",
            "[\"client\", \"isuer\"]",
            "must list kinds of targets (token, session, subject, client, issuer)",
        ),
        ("authorization.approval_required_for", "[\"none\", \"client\"]", "must list kinds of targets"),
        ("database.max_connections", "3", "choose 4 to 1000"),
        ("limits.max_targets", "1001", "choose 1 to 1000"),
        ("limits.max_token_bytes", "0", "choose 64 to"),
        ("limits.max_message_bytes", "16777217", "choose 1024 to 16777216"),
        ("amqp.max_message_bytes", "1", "choose 1024 to 16777216"),
        ("retry.initial", "\"0s\"", "0s is out of range; choose 1ms to 7days"),
        ("retry.initial", "\"999us\"", "choose 1ms to 7days"),
        ("retry.initial", "\"11m\"", "11m is longer than retry.max, 10m"),
        ("retry.initial", "500", "must be a duration with its unit"),
        ("retry.initial", "\"500\"", "must be a duration with its unit"),
        ("retry.max", "\"8d\"", "choose 1ms to 7days"),
        ("retry.give_up_after", "\"1ms\"", "choose 1s to"),
        ("retry.resweep_every", "\"0s\"", "choose 1s to"),
        ("retry.retry_after_max", "\"0s\"", "choose 1s to"),
        ("retry.retry_after_max", "24", "must be a duration with its unit"),
        (
            "verifiers.owners",
            "[\"shop-api\"]",
            "must hold a list of strings by name: { \"a\" = [\"b\", \"c\"] }",
        ),
        ("verifiers.owners", "\"shop-api\"", "must hold a list of strings by name"),
        ("verifiers.owners.shop-api", "7", "must hold a list of strings by name"),
        ("verifiers.owners.shop-api", "[]", "names no broker user"),
        ("verifiers.owners.shop-api", "[\"\"]", "names no broker user"),
        ("verifiers.owner", "1", "unknown setting; expected `owners`"),
        ("people.bob", "{}", "nothing is theirs"),
        ("people.bob", "{ broker_users = [\"\"] }", "a broker user's name has 1 to 255 bytes"),
        ("people.bob", "{ database_roles = [\"\"] }", "a database role's name has 1 to 63 bytes"),
        ("people.bob.roles", "[\"bob\"]", "unknown setting; expected"),
        ("people.bob.database_roles", "7", "must be a list of strings"),
        ("invalidation.heartbeat", "\"3s\"", "choose 100ms to 2s"),
        ("invalidation.heartbeats_in_log", "\"yes\"", "must be true or false"),
        ("invalidation.stream_max_age", "\"1s\"", "choose 1m to"),
        ("invalidation.stream_max_length_bytes", "5", "choose 1000000 to"),
        ("authorization.logout_users", "7", "must be a list of strings"),
        ("authorization.mass_revocation_users", "[1]", "must be a list of strings"),
        ("http.listen", "\"localhost:9300\"", "must be an IP address and a port, such as 127.0.0.1:9300"),
        ("log.format", "\"xml\"", "must be `json` or `human`"),
        ("log.level", "\"a=b=c\"", "must be a level or a filter"),
        ("shutdown_grace", "\"1h\"", "choose 0s to 10m"),
        ("lease", "\"1s\"", "choose 2s to 10m"),
        ("instance", "\"pod 7\"", "must have 1 to 128 of the characters"),
        ("default_provider", "\"other\"", "no provider has the name \"other\"; configured: main"),
        ("providers.other.kind", "\"x\"", "must be one of `rfc7009`, `genauth`, `baanx`"),
    ];
    for (setting, value, sentence) in cases {
        let found = problems(&format!("{setting} = {value}\n{BASE}{MAIN}"), &[]);
        assert_only(&found, setting, sentence);
    }
}

#[test]
fn what_must_be_set() {
    let found = problems("", &[]);
    let expected = [
        "amqp.url: not set; set amqp.url or AMQP_URL",
        "database.url: not set; set database.url or DATABASE_URL",
        "sealing.keys: not set; run `revocation-worker keygen`",
        "providers: not set; add a section [providers.<name>]",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (problem, start) in found.iter().zip(expected) {
        assert!(problem.starts_with(start), "{problem}");
    }
    let error = load_with("", &[]).err().expect("it must be refused");
    assert_eq!(error.to_string().lines().collect::<Vec<_>>(), found, "one problem a line");
}

#[test]
fn addresses_of_broker_and_database() {
    for (setting, wrong) in [
        ("amqp.url", "http://pass-word@host"),
        ("amqp.url", "amqp:pass-word"),
        ("amqp.url", "pass-word"),
        ("database.url", "mysql://pass-word@host"),
    ] {
        let base =
            BASE.lines().filter(|line| !line.trim().starts_with(setting)).collect::<Vec<_>>().join("\n");
        let found = problems(&format!("{setting} = \"{wrong}\"\n{base}{MAIN}"), &[]);
        assert_only(&found, setting, "not a valid address: it must start with");
        assert!(!found[0].contains("pass-word"), "the message quotes the address");
    }
}

#[test]
fn sealing_keys_are_checked() {
    let without_keys = BASE.lines().filter(|line| !line.contains("sealing")).collect::<Vec<_>>().join("\n");
    for (keys, sentence) in [
        ("[]", "not set; run `revocation-worker keygen`"),
        ("[\"2026-11:c2hvcnQ=\"]", "entry 1 has a key that is not 32 bytes long"),
        ("\"one,two\"", "entry 1 has no colon"),
        ("5", "must be a list of strings"),
    ] {
        assert_only(
            &problems(&format!("sealing.keys = {keys}\n{without_keys}{MAIN}"), &[]),
            "sealing.keys",
            sentence,
        );
    }
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
            "choose rfc7009, genauth, baanx, global_token_revocation, keycloak, okta or hydra",
        ),
        ("kind = 'auth0'".to_owned(), "kind", "must be one of `rfc7009`, `genauth`, `baanx`"),
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
            format!("{rfc7009}{client}client_auth = 'private_key_jwt'"),
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
                keycloak, okta and hydra)",
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

#[test]
fn both_names_of_one_limit_are_refused() {
    let found = problems(
        &format!("limits.max_message_bytes = 2048\namqp.max_message_bytes = 2048\n{BASE}{MAIN}"),
        &[],
    );
    assert_only(&found, "limits.max_message_bytes", "given together with amqp.max_message_bytes");
}

#[test]
fn no_message_quotes_a_secret() {
    const MARK: &str = "s3cr3t";
    let texts = [
        format!("amqp = 'amqp://u:{MARK}@h'\ndatabase = '{MARK}'\nsealing = '{MARK}'\nproviders = '{MARK}'"),
        format!("amqp.url = ['{MARK}']\ndatabase.url = {{ a = '{MARK}' }}\nsealing.keys = [['{MARK}']]"),
        format!(
            "amqp.url = 'x, expected {MARK}'\nlog.format = '{MARK}'\ninstance = '{MARK} {MARK}'\nhttp.listen \
                = '{MARK}'"
        ),
        format!("providers.main = '{MARK}'\nproviders.other.client_secret = [1, '{MARK}']"),
        format!(
            "providers.main.kind = '{MARK}'\nproviders.main.client_auth = '{MARK}, expected \
                {MARK}'\nproviders.main.ca_file = ['{MARK}']"
        ),
        format!("providers.main.client_secret = '{MARK}\nproviders.main.kind = 'rfc7009'"),
        format!("providers.main.client_secret = {MARK}"),
        format!("providers.main.client_secret = '{MARK}' '{MARK}'"),
        format!("providers.main.client_secret = \"{MARK}\\q\""),
    ];
    for (place, text) in texts.iter().enumerate() {
        let found = problems(text, &[]).join("\n");
        assert!(!found.contains(MARK), "text {place} leaks");
    }
    let number = problems(&format!("providers.main.client_secret = 7310073100\n{BASE}"), &[]).join("\n");
    assert!(
        number.contains("providers.main.client_secret: must be a string in quotes")
            && !number.contains("73100"),
        "a number leaks"
    );
}
