//! What is looked at, counted or refused before anything is published.

use super::*;

/// A key of tests.
const SEALING_KEY: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn a_dry_run_counts_by_kind_and_provider_and_reaches_no_broker() {
    let csv = "\u{feff}token,token_type_hint,sub,provider\r\n\"t-1\",access_token,u-1,main\r\n\
        t-2,,,card\r\nt-1,,,main\r\n,,u-2,main\r\n";
    let file = Input::new(".csv", csv);
    let ran = open(&mut bare(&NO_BROKER), &["--dry-run", file.path()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[..4],
        [
            vec!["kind", "provider", "targets"],
            vec!["token", "card", "1"],
            vec!["token", "main", "1"],
            vec!["subject", "main", "1"]
        ]
    );
    assert!(ran.stdout.ends_with(
        "3 targets in 3 events, 1 named again and sent once; nothing was published\nby the settings here \
            nobody has to approve it\n"
    ));

    let ran = open(&mut bare(&NO_BROKER), &["--dry-run", "--json", "--client-id", "shop"]);
    let summary = ran.json();
    assert_eq!(
        (ran.code, &summary["targets"]["by_kind"], &summary["events"]),
        (0, &json!({ "client": 1 }), &json!(1))
    );
    assert_eq!(
        (&summary["needs_approval"], &summary["approval_reasons"]),
        (&json!(true), &json!(["it names a target of kind client"]))
    );
}

#[test]
fn approval_follows_the_settings() {
    let file = Input::new(".ndjson", &tokens(3));
    let asks = |variables: &[(&str, &str)]| {
        let ran = open(bare(&NO_BROKER).envs(variables.iter().copied()), &["--dry-run", file.path()]);
        ran.stdout.contains("a second person has to approve it: it ")
    };
    assert!(!asks(&[]));
    assert!(asks(&[("REVOCATION__AUTHORIZATION__APPROVAL_ABOVE_TARGETS", "2")]));
    assert!(!asks(&[("REVOCATION__AUTHORIZATION__APPROVAL_ABOVE_TARGETS", "3")]));
    assert!(asks(&[("REVOCATION__AUTHORIZATION__APPROVAL_REQUIRED_FOR", "token")]));
}

#[test]
fn bad_lines_are_listed_by_number_and_no_value_is_shown() {
    let lines = format!(
        "{{\"token\":\"{CANARY}\"}}\n\n{{\"token\":\"{CANARY}\",\"token_type_hint\":\"{CANARY}\"}}\n\
            {CANARY}\n{{\"{CANARY}\":1}}\n{{\"token\":\"x {CANARY}\"}}\n"
    );
    let ran = feed(&mut bare(&NO_BROKER), &[&OPEN[..], &["--dry-run", "-"]].concat(), &lines);
    assert_eq!(ran.code, 1);
    let expected = [
        "line 3 refused: token_type_hint must be access_token or refresh_token",
        "line 4 refused: is not JSON: expected value at column 1",
        "line 5 refused: has a member (its name is not shown, as it may be a credential) that is not known; \
            known are token, token_type_hint, sub, sid, client_id, iss, provider",
        "line 6 refused: token must be visible ASCII without spaces: send what follows \"Bearer \"",
        "revocation-worker: 4 of 5 lines refused; the others are valid",
        "mend the refused lines and give them alone to the same command",
    ];
    assert_eq!(ran.stderr.lines().collect::<Vec<_>>(), expected);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(CANARY));
}

#[test]
fn a_thousand_bad_lines_are_listed_and_the_rest_is_counted() {
    let ran = feed(
        &mut bare(&NO_BROKER),
        &[&OPEN[..], &["--json", "--format", "ndjson"]].concat(),
        &"bad\n".repeat(1500),
    );
    let summary = ran.json();
    assert_eq!((ran.code, &summary["refused_lines"]), (1, &json!(1500)));
    assert_eq!(summary["refused"].as_array().map(Vec::len), Some(1000));
    assert_eq!(
        summary["error"],
        "1,500 of 1,500 lines refused (the first 1,000 are listed); nothing was published"
    );
}

#[test]
fn what_is_wrong_or_could_be_read_in_two_ways_is_refused_before_anything_else() {
    let file = Input::new(".csv", "sub,tokn\nu,t\n");
    let cases: [(&[&str], &str); 10] = [
        (&["--client", "shop", "--sub", "u"], "--client beside --sub"),
        (&["--client", "shop", file.path()], "--client or --iss beside FILE"),
        (&["--sub", "u", "--iss", "a", "--issuer", "b"], "several --iss beside --sub"),
        (&["--sub", "u", "--sid", "s"], "--sub beside --sid"),
        (
            &["--sub", "u", "--not-before", "2999-01-01T00:00:00Z"],
            "--not-before lies more than 5 minutes in the future",
        ),
        (
            &["--sub", "u", "--provider", "other"],
            "--provider \"other\" is not configured; configured are: main",
        ),
        (&["--sub", ""], "--sub"),
        (&["-"], "nothing to revoke: name a FILE"),
        (&[], "nothing to revoke: name a FILE"),
        (&[file.path()], "line 1 has a column tokn that is not known; known are token, token_type_hint, sub"),
    ];
    for (arguments, sentence) in cases {
        let ran = open(bare(&NO_BROKER).env("REVOCATION__PROVIDERS__MAIN__KIND", "baanx"), arguments);
        assert_eq!((ran.code, ran.stderr.contains(sentence)), (2, true), "{arguments:?}: {}", ran.stderr);
    }
    let ran = run(&mut bare(&NO_BROKER), &["incident", "open", "leak", "--sub", "u"]);
    assert_eq!((ran.code, ran.stderr.contains("--reason <REASON>")), (2, true), "{}", ran.stderr);
    let ran = open(&mut bare(&NO_BROKER), &["--sub", "u"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("reach the broker at amqp://127.0.0.1:1")),
        (1, true),
        "{}",
        ran.stderr
    );
}

/// Whoever is about to order it learns before what no provider will do, as far as the settings here tell.
#[test]
fn a_dry_run_warns_of_what_stays_alive_at_the_provider() {
    let settings = [
        ("DATABASE_URL", "postgres://127.0.0.1:1/x"),
        ("SEALING_KEYS", SEALING_KEY),
        ("REVOCATION__DEFAULT_PROVIDER", "main"),
        ("REVOCATION__PROVIDERS__MAIN__KIND", "rfc7009"),
        ("REVOCATION__PROVIDERS__MAIN__REVOCATION_ENDPOINT", "https://id.example.com/revoke"),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_ID", "shop"),
        ("REVOCATION__PROVIDERS__MAIN__CLIENT_SECRET", "shop-secret-canary"),
        ("REVOCATION__PROVIDERS__MAIN__TOKEN_TTL", "2h"),
    ];
    let file = Input::new(".ndjson", "{\"token\":\"t-1\"}\n");
    let until = " verifiers deny what was issued before, until 20";
    for (target, kind) in [
        (&["--sub", "u-1"][..], Some("subject")),
        (&["--sid", "s-1"], Some("session")),
        (&["--client", "shop"], Some("client")),
        (&["--iss", "https://id.example.com"], Some("issuer")),
        (&[file.path()], None),
    ] {
        let arguments = [&["--dry-run", "--provider", "main"], target].concat();
        let ran = open(bare(&NO_BROKER).envs(settings), &arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{target:?}");
        let warned = kind.map(|kind| format!("provider main has no call for a {kind} (1 target):{until}"));
        assert_eq!(ran.stdout.contains("has no call"), warned.is_some(), "{}", ran.stdout);
        assert!(warned.is_none_or(|warned| ran.stdout.contains(&warned)), "{}", ran.stdout);
        let json = open(bare(&NO_BROKER).envs(settings), &[&arguments[..], &["--json"]].concat()).json();
        assert_eq!(json["no_call"][0]["kind"].as_str(), kind, "{json}");
        // Without the worker's settings nothing is known of it.
        let ran = open(&mut bare(&NO_BROKER), &arguments);
        assert!(ran.code == 0 && !ran.stdout.contains("has no call"), "{}{}", ran.stdout, ran.stderr);
    }
}
