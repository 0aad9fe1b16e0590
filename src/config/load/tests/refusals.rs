//! Each wrong setting, and the sentence it gets.

use super::*;

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
