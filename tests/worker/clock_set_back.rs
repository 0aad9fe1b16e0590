//! The database's clock is set back, as by a failover to a machine whose clock is behind.

use crate::harness::{App, Stage, canary_token, logout};
use crate::scripted_idp::{Reply, ScriptedIdp};

/// What a worker held that died by then is free after its lease, not after the time that was set back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_the_future_ends_as_soon_as_any_other() {
    for back in ["1 hour", "10 days", "30 seconds"] {
        let stage = Stage::new().await;
        let idp = ScriptedIdp::start(|_| Reply::status(200)).await;
        let setup = stage.worker(&format!("{}/revoke", idp.url()));
        let mut doomed = setup.clone().set("KILL_AT", "sent:1").start().await;
        App::connect(&stage.amqp_url).await.publish(&logout("1", &canary_token(), &canary_token())).await;
        doomed.ended().await;
        let ahead = format!(
            "UPDATE revocation.workers SET last_seen_at = last_seen_at + interval '{back}',
                 lease_until = lease_until + interval '{back}'"
        );
        stage.raw(&ahead).await;
        assert!(stage.count("revocation.targets WHERE lease_owner IS NOT NULL").await > 0, "it held some");
        let _heir = setup.start().await;
        stage.wait_for_count(2, "audit.revocations WHERE state = 'revoked'").await;
    }
}
