//! A feed filled by the benchmark in the worker's place, and one verifier that never stopped.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Confirmation};
use revocation_verifier::{Denylist, Options, StalenessPolicy};
use revocation_worker::invalidation::{
    Composer, EXCHANGE, Entry, EventOf, EventRef, Outgoing, Phase, TokenIssuer,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Result;
use crate::stage::{Servers, Stage};

/// Publishes that wait for their confirm at once.
const WINDOW: usize = 2000;

pub(crate) struct Feed {
    stage: Stage,
    composer: Composer,
    steady: Denylist,
}

impl Feed {
    pub(crate) async fn raise(servers: &mut Servers) -> Result<Self> {
        let stage = Stage::raise(servers).await?;
        let steady =
            Denylist::connect(Options::new(&*stage.amqp_url, "steady", StalenessPolicy::FailClosed))?;
        steady.ready().await;
        Ok(Self { stage, composer: Composer::new("bench"), steady })
    }

    pub(crate) fn amqp_url(&self) -> &str {
        &self.stage.amqp_url
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Publishes so many messages that deny nothing any more; returns when the broker has them.
    pub(crate) async fn past(&self, messages: u32) -> Result {
        let expired =
            self.messages_until(2, OffsetDateTime::now_utc() - Duration::from_secs(86_400)).remove(0);
        let beat = self.composer.heartbeat();
        let mut open = VecDeque::new();
        for number in 0..messages {
            if open.len() >= WINDOW {
                join_all(open.drain(..WINDOW / 2)).await.into_iter().collect::<lapin::Result<Vec<_>>>()?;
            }
            open.push_back(self.publish(if number % 2 == 0 { &beat } else { &expired }).await?);
        }
        join_all(open).await.into_iter().collect::<lapin::Result<Vec<_>>>()?;
        Ok(())
    }

    /// Denies so many tokens, `a_message` at a time; returns when the verifier that never stopped has them
    /// all.
    pub(crate) async fn deny(&self, entries: u32, a_message: u32) -> Result {
        let mut open = VecDeque::new();
        for _ in 0..entries / a_message {
            if open.len() >= WINDOW {
                join_all(open.drain(..WINDOW / 2)).await.into_iter().collect::<lapin::Result<Vec<_>>>()?;
            }
            for message in self.messages(a_message) {
                open.push_back(self.publish(&message).await?);
            }
        }
        join_all(open).await.into_iter().collect::<lapin::Result<Vec<_>>>()?;
        self.publish(&self.composer.heartbeat()).await?.await?;
        while self.steady.figures().entries < u64::from(entries) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn messages(&self, targets: u32) -> Vec<Outgoing> {
        self.messages_until(targets, OffsetDateTime::now_utc() + Duration::from_secs(86_400))
    }

    fn messages_until(&self, targets: u32, expires_at: OffsetDateTime) -> Vec<Outgoing> {
        let event = EventRef { source: "/bench".to_owned(), id: Uuid::now_v7().to_string() };
        let entry = || Entry::Token {
            token_sha256: format!("{:032x}{:032x}", Uuid::now_v7().as_u128(), Uuid::now_v7().as_u128()),
            signed_sha256: None,
            token_type_hint: None,
            jti: None,
            iss: TokenIssuer::NotSaid,
            expires_at,
        };
        let entries = (0..targets).map(|_| ("main".into(), entry())).collect();
        self.composer.invalidations(
            Phase::Requested,
            [(EventOf { event, incident: None, traceparent: None }, entries)],
        )
    }

    async fn publish(
        &self,
        message: &Outgoing,
    ) -> Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let key = (&*message.routing_key).into();
        Ok(self
            .stage
            .producer
            .channel
            .basic_publish(EXCHANGE.into(), key, options, &message.body, properties)
            .await?)
    }

    /// What the verifier that never stopped holds.
    pub(crate) fn contents(&self) -> Vec<String> {
        self.steady.contents()
    }

    pub(crate) async fn strike(self, servers: &Servers) -> Result {
        drop(self.steady);
        self.stage.strike(servers).await
    }
}
