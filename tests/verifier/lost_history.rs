//! A stream that no longer holds what a verifier has missed.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lapin::options::BasicQosOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use revocation_verifier::{Denylist, Options, Staleness, StalenessPolicy, TokenView, Verdict};
use revocation_worker::invalidation::STREAM;

use crate::door::Door;
use crate::harness::{Stage, eventually};
use crate::source::{Source, denials, holds, tokens, verifier};

const SEGMENT: Option<i32> = Some(20_000);

/// Publishes 2000 denials, and waits until the older half is gone: RabbitMQ drops old segments some time
/// after it has confirmed what displaces them. It may drop all, where the last denial filled a segment; then
/// there is nothing to read until the next message, which the heartbeats are.
async fn overflow(source: &Source, amqp_url: &str) {
    for batch in 0..20 {
        source.deny(denials(&tokens(&format!("overflow-{batch}"), 100))).await;
    }
    eventually("the older half of the stream is gone", async || {
        source.beat().await;
        let first = tokio::time::timeout(Duration::from_secs(5), first_offset(amqp_url)).await;
        first.is_ok_and(|offset| offset > 1000).then_some(())
    })
    .await;
}

/// The offset of the oldest message that the stream holds. By a connection of its own: one that closes a
/// channel with a stream's message unacknowledged is closed by the broker.
async fn first_offset(amqp_url: &str) -> i64 {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await.expect("connect");
    let channel = connection.create_channel().await.expect("open a channel");
    channel.basic_qos(1, BasicQosOptions::default()).await.expect("set the prefetch");
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let consuming = channel.basic_consume(STREAM.into(), "".into(), Default::default(), arguments);
    let first = consuming.await.expect("read the stream").next().await;
    let first = first.expect("a message").expect("read the stream");
    let headers = first.properties.headers().as_ref().expect("headers");
    headers.inner().get("x-stream-offset").and_then(AMQPValue::as_long_long_int).expect("an offset")
}

async fn is_truncated(source: &Source, denylist: &Denylist) {
    let seen = eventually("the truncation is noticed", async || {
        (denylist.staleness() == Some(Staleness::Truncated)).then_some(())
    });
    source.beating(seen).await;
    let verdict = denylist.check(&TokenView::bearer("unknown"));
    assert_eq!(verdict, Verdict::Stale { accepted: false, why: Staleness::Truncated });
    assert_eq!(denylist.figures().truncations, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_verifier_notices_that_the_stream_is_too_short() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, SEGMENT).await;
    overflow(&source, &stage.amqp_url).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    denylist.ready().await;
    is_truncated(&source, &denylist).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_that_was_away_too_long_notices() {
    let stage = Stage::new().await;
    let (source, door) =
        (Source::declare(&stage.amqp_url, SEGMENT).await, Door::before(&stage.amqp_url).await);
    let denylist = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
    source.deny(denials(&tokens("seen", 10))).await;
    holds(&denylist, 10).await;
    door.shut();
    eventually("the connection is lost", async || denylist.staleness()).await;
    overflow(&source, &stage.amqp_url).await;
    door.open();
    is_truncated(&source, &denylist).await;
    assert!(
        matches!(denylist.check(&TokenView::bearer("seen-3")), Verdict::Denied(_)),
        "what was known stays denied"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doubt_ends_with_the_lifetime_of_what_may_be_missing() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, SEGMENT).await;
    let started = Instant::now();
    overflow(&source, &stage.amqp_url).await;
    // What the stream has lost was published within the lifetime, however slow the machine is.
    let options = Options::new(&*stage.amqp_url, "shop-api", StalenessPolicy::FailClosed)
        .max_token_lifetime(started.elapsed() + Duration::from_secs(10));
    let denylist = Denylist::connect(options).expect("usable options");
    denylist.ready().await;
    assert_eq!(denylist.figures().truncations, 1, "there was a doubt");
    source
        .beating(eventually("it is up to date", async || denylist.staleness().is_none().then_some(())))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_of_the_same_name_is_read_from_its_beginning() {
    let stage = Stage::new().await;
    let source = Source::declare(&stage.amqp_url, None).await;
    let denylist = verifier(&stage.amqp_url, StalenessPolicy::FailClosed);
    source.deny(denials(&tokens("old", 10))).await;
    holds(&denylist, 10).await;
    source.delete_stream().await;
    source.declare_stream(None).await;
    source.deny(denials(&tokens("new", 20))).await;
    source.beating(holds(&denylist, 30)).await;
    source
        .beating(eventually("it is up to date", async || denylist.staleness().is_none().then_some(())))
        .await;
    assert_eq!(denylist.figures().truncations, 0, "it missed less than the workers publish again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_retention_overtakes_notices() {
    let stage = Stage::new().await;
    let (source, door) =
        (Source::declare(&stage.amqp_url, SEGMENT).await, Door::before(&stage.amqp_url).await);
    let denylist = verifier(&door.url(&stage.amqp_url), StalenessPolicy::FailClosed);
    source.deny(denials(&tokens("seen", 10))).await;
    holds(&denylist, 10).await;
    door.stick(true);
    overflow(&source, &stage.amqp_url).await;
    door.stick(false);
    is_truncated(&source, &denylist).await;
}
