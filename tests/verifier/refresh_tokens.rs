//! Verifiers that are told to hold no refresh tokens: of the log, of snapshots, at the gate and in Python.

use revocation_verifier::message::TokenTypeHint;
use revocation_verifier::{Denylist, Options, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::Entry;

use crate::consumer::Consumer;
use crate::gate::Gate;
use crate::harness::{App, Stage, canary_token, eventually, logout};
use crate::scripted_idp::Memory;
use crate::snapshots::{fold, stage};
use crate::source::{Source, denial, holds, tokens, verifier};

fn hinted(token: &str, hint: Option<TokenTypeHint>) -> Entry {
    let mut entry = denial(token);
    if let Entry::Token { token_type_hint, .. } = &mut entry {
        *token_type_hint = hint;
    }
    entry
}

/// As many of each hint as of each other, and of none.
async fn deny(source: &Source, name: &str, count: usize) {
    let hints = [Some(TokenTypeHint::RefreshToken), Some(TokenTypeHint::AccessToken), None];
    let names = tokens(name, count);
    let entries = hints.iter().flat_map(|hint| {
        let of = hint.map_or("none", TokenTypeHint::as_str);
        names.iter().map(move |name| hinted(&format!("{name}-{of}"), *hint))
    });
    source.deny(entries.collect()).await;
}

fn skipping(stage: &Stage) -> Denylist {
    let options = Options::new(&stage.amqp_url, "shop-api", StalenessPolicy::FailClosed);
    Denylist::connect(options.skip_refresh_tokens(true)).expect("usable options")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_told_so_holds_no_refresh_tokens_of_log_or_snapshot() {
    let (stage, source) = stage().await;
    let (all, steady) = (verifier(&stage.amqp_url, StalenessPolicy::FailClosed), skipping(&stage));
    deny(&source, "t", 500).await;
    holds(&all, 1500).await;
    holds(&steady, 1000).await;
    assert_eq!((all.figures().skipped_refresh, steady.figures().skipped_refresh), (0, 500));
    fold(&stage.amqp_url).await;
    let late = skipping(&stage);
    late.ready().await;
    assert!(late.figures().applied < 500, "it started from the snapshot");
    assert_eq!((late.figures().skipped_refresh, late.figures().unreadable), (500, 0));
    assert_eq!(late.contents(), steady.contents());
    let is_denied = |denylist: &Denylist, token: &str| {
        matches!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(_))
    };
    for denylist in [&steady, &late] {
        assert!(is_denied(denylist, "t-1-access_token") && is_denied(denylist, "t-1-none"));
        assert!(!is_denied(denylist, "t-1-refresh_token"));
        assert!(denylist.deny(&hinted("t-1-refresh_token", Some(TokenTypeHint::RefreshToken))));
        assert!(is_denied(denylist, "t-1-refresh_token"), "the service's own word counts");
    }
    assert!(is_denied(&all, "t-1-refresh_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gate_and_python_consumer_hold_no_refresh_tokens_where_set_so() {
    let (stage, idp) = (Stage::new().await, Memory::default().serve().await);
    let _worker = stage.worker(&format!("{}/revoke", idp.url())).start().await;
    let gate = Gate::start_with(&stage, "fail_closed", &[("GATE_SKIP_REFRESH_TOKENS", "true")]);
    gate.wait_for_readiness(200, "ready").await;
    let mut consumer = Consumer::start_with(&stage.amqp_url, &[("SKIP_REFRESH_TOKENS", "true")]);
    let mut default = Consumer::start(&stage.amqp_url);
    let (access, refresh) = (canary_token(), canary_token());
    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &refresh)).await;
    consumer.comes_to_say("denied", &access).await;
    consumer.comes_to_say("allowed", &refresh).await;
    default.comes_to_say("denied", &refresh).await;
    eventually("both phases of the refresh token are skipped", async || {
        let metrics = gate.metrics().await;
        let has = |line: &str| metrics.contains(&format!("\nrevocation_verifier_{line}\n"));
        (has("entries 1") && has("skipped_refresh_total 2")).then_some(())
    })
    .await;
    gate.stop().await;
}
