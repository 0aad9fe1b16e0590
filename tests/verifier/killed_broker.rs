//! The broker is killed again and again while users log out: no verifier misses a denial, and each says when
//! it cannot know.

use std::time::{Duration, Instant};

use revocation_verifier::{Denylist, StalenessPolicy, TokenView, Verdict};

use crate::harness::{Logout, Servers, Stage, eventually, publish_stubbornly};
use crate::scripted_idp::Memory;
use crate::source::{holds, verifier};

/// `KILLS=20` for the whole measure.
fn kills() -> usize {
    std::env::var("KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(2)
}

const LOGOUTS_A_KILL: usize = 50;

async fn is_stale_soon(denylist: &Denylist, killed: Instant) {
    eventually("it knows that it is stale", async || denylist.staleness()).await;
    assert!(killed.elapsed() < Duration::from_secs(4), "known after {:?}", killed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_denial_is_missed() {
    let servers = Servers::private().await;
    let (stage, memory, kills) = (Stage::on(&servers).await, Memory::default(), kills());
    let idp = memory.serve().await;
    let setup = stage.worker(&format!("{}/revoke", idp.url()));
    assert!(setup.start().await.stop().await.success());
    servers.settle_streams();
    let mut worker = setup.start().await;
    let verifiers = [StalenessPolicy::FailOpen, StalenessPolicy::FailClosed]
        .map(|policy| verifier(&stage.amqp_url, policy));
    let logouts = Logout::many(kills * LOGOUTS_A_KILL);
    for some in logouts.chunks(LOGOUTS_A_KILL) {
        let publishing = tokio::spawn({
            let (url, some) = (stage.amqp_url.clone(), some.to_vec());
            async move { publish_stubbornly(&url, &some).await }
        });
        servers.broker(|broker| broker.kill());
        let killed = Instant::now();
        for denylist in &verifiers {
            is_stale_soon(denylist, killed).await;
        }
        let verdicts = verifiers.each_ref().map(|denylist| denylist.check(&TokenView::bearer("live")));
        assert!(
            matches!(
                verdicts,
                [Verdict::Stale { accepted: true, .. }, Verdict::Stale { accepted: false, .. }]
            ),
            "{verdicts:?}"
        );
        servers.broker(|broker| broker.restart().expect("start the broker again"));
        publishing.await.expect("everything is confirmed");
        for denylist in &verifiers {
            eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
        }
    }
    for denylist in &verifiers {
        holds(denylist, 2 * logouts.len()).await;
        let tokens = logouts.iter().flat_map(|logout| &logout.tokens);
        assert!(
            tokens
                .into_iter()
                .all(|token| matches!(denylist.check(&TokenView::bearer(token)), Verdict::Denied(_)))
        );
    }
    assert!(verifiers[0].contents() == verifiers[1].contents());
    assert_eq!(verifiers[0].figures().stale_accepted, kills as u64);
    assert_eq!(verifiers[1].figures().stale_refused, kills as u64);
    assert_eq!(verifiers[0].figures().truncations, 0);
    assert!(worker.stop().await.success());
}
