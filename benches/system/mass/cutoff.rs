//! Cutoffs in front of a backlog: how soon a verifier refuses the tokens of one user, or of one client that a
//! second person has to approve.

use std::time::{Duration, Instant};

use revocation_verifier::{
    Claims, Denylist, NumericDate, Options as DenylistOptions, StalenessPolicy, TokenView, Verdict,
};
use serde::Serialize;
use tokio::process::Command;

use super::Options;
use super::backlog::Backlog;
use super::command::{approve, done, open};
use crate::Result;
use crate::client::Client;
use crate::contender::Contender;
use crate::latency::idle;
use crate::measure::{median, now_us, percentile};
use crate::stage::{Servers, Stage};

/// A cutoff that takes longer is not measured but reported.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
pub(super) struct Cutoffs {
    /// Messages ready in the queue of mass revocations, at the least.
    pub(super) backlog: u32,
    /// From the start of `incident open --sub` to the refusal.
    pub(super) subject: Times,
    /// From the start of `incident open --client` to the refusal: waiting for the record, and the second
    /// person's command, included.
    pub(super) client: Times,
    /// Of that, from the start of `incident approve`.
    pub(super) approved: Times,
}

#[derive(Serialize)]
pub(super) struct Times {
    pub(super) median_ms: f64,
    pub(super) max_ms: f64,
}

impl Times {
    fn of(took_ms: &[f64]) -> Self {
        Self { median_ms: median(took_ms), max_ms: percentile(took_ms, 1.0) }
    }
}

struct Run {
    stage: Stage,
    url: String,
    denylist: Denylist,
}

pub(super) async fn run(servers: &mut Servers, options: &Options) -> Result<Cutoffs> {
    let stage = Stage::raise(servers).await?;
    Contender::Worker.prepare(&stage).await?;
    let reader = stage.reader().await?;
    servers.provider.reset().await?;
    let url = servers.provider.url.clone();
    let mut client = Client::start(Contender::Worker, &stage, &url)?;
    idle(&mut client, &stage).await?;
    let denylist =
        Denylist::connect(DenylistOptions::new(&*stage.amqp_url, "shop-api", StalenessPolicy::FailOpen))?;
    denylist.ready().await;
    let backlog = Backlog::raise(&stage.amqp_url, options.targets).await?;

    let run = Run { stage, url, denylist };
    let (mut subject, mut client_wide, mut approved) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.cutoffs {
        client.check("cutoffs", Instant::now())?;
        subject.push(run.subject(round).await?);
        let (since_open, since_approval) = run.client(round).await?;
        client_wide.push(since_open);
        approved.push(since_approval);
    }
    println!("cutoffs: done");
    let backlog = backlog.end().await?;
    drop(run.denylist);
    drop(client);
    reader.stop().await?;
    run.stage.strike(servers).await?;
    Ok(Cutoffs {
        backlog,
        subject: Times::of(&subject),
        client: Times::of(&client_wide),
        approved: Times::of(&approved),
    })
}

impl Run {
    async fn subject(&self, round: u32) -> Result<f64> {
        let user = format!("user-{round}");
        let claims = Claims { sub: Some(user.clone()), ..issued_now() };
        let mut command = open(&self.stage, &self.url, &format!("takeover-{round}"));
        command.args(["--sub", &user]);
        self.until_refused(command, &claims).await
    }

    /// Milliseconds since it was opened, and since it was approved.
    async fn client(&self, round: u32) -> Result<(f64, f64)> {
        let (name, client) = (format!("secret-{round}"), format!("client-{round}"));
        let claims = Claims { client_id: Some(client.clone()), ..issued_now() };
        let mut command = open(&self.stage, &self.url, &name);
        command.args(["--client", &client]);
        let opened_us = now_us();
        done(command).await?;
        self.on_record(&name).await?;
        let approved_us = now_us();
        let since_approval = self.until_refused(approve(&self.stage, &self.url, &name), &claims).await?;
        Ok(((approved_us - opened_us) as f64 / 1e3 + since_approval, since_approval))
    }

    /// Runs a command; returns the milliseconds from its start until the verifier refuses what it accepted
    /// before.
    async fn until_refused(&self, command: Command, claims: &Claims) -> Result<f64> {
        let is_refused = || matches!(self.denylist.check(&TokenView::claims(claims)), Verdict::Denied(_));
        if is_refused() {
            return Err("a token was refused before its cutoff was ordered".into());
        }
        let (mut position, started_us) = (self.denylist.position(), now_us());
        let command = tokio::spawn(done(command));
        let refused = async {
            while !is_refused() {
                position.changed().await?;
            }
            Ok::<i64, Box<dyn std::error::Error + Send + Sync>>(now_us())
        };
        let refused_us = tokio::time::timeout(PATIENCE, refused)
            .await
            .map_err(|_| "a cutoff did not arrive at the verifier")??;
        command.await??;
        Ok((refused_us - started_us) as f64 / 1e3)
    }

    /// Waits until it can be approved.
    async fn on_record(&self, incident: &str) -> Result {
        let statement =
            "SELECT EXISTS (SELECT FROM audit.incidents WHERE incident = $1 AND state = 'awaiting_approval')";
        let start = Instant::now();
        while !sqlx::query_scalar::<_, bool>(statement).bind(incident).fetch_one(&self.stage.database).await?
        {
            if start.elapsed() > PATIENCE {
                return Err("an incident did not come on record".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// A token's claims apart from whose it is.
fn issued_now() -> Claims {
    Claims { iat: Some(NumericDate::from_millis(now_us() / 1000 - 1000)), ..Claims::default() }
}
