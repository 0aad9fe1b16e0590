//! A log that is held up while heartbeats flow: the broker's frames of one channel are kept back.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use revocation_verifier::{Staleness, StalenessPolicy, TokenView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

use crate::harness::{App, Stage, canary_token, eventually, logout};
use crate::source::verifier;

/// An AMQP frame: type, channel, size, payload, end (AMQP 0-9-1, section 2.3.5).
const HEAD: usize = 7;
/// `basic.consume`, as it begins a method frame's payload.
const CONSUME: [u8; 4] = [0, 60, 0, 20];

/// A proxy that knows which channels consume from the log.
struct Valve {
    url: String,
    is_held: Arc<watch::Sender<bool>>,
}

impl Valve {
    async fn before(amqp_url: &str) -> Self {
        let mut url: Url = amqp_url.parse().expect("a URL");
        let server = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let is_held = Arc::new(watch::Sender::new(false));
        let holds = is_held.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("reach the broker");
                tokio::spawn(pass(client, server, holds.subscribe()));
            }
        });
        Self { url: url.to_string(), is_held }
    }
}

async fn pass(client: TcpStream, server: TcpStream, is_held: watch::Receiver<bool>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let of_log = Arc::new(Mutex::new(HashSet::new()));
    tokio::select! {
        _ = requests(from_client, to_server, of_log.clone()) => {}
        _ = deliveries(from_server, to_client, of_log, is_held) => {}
    }
}

async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<(u16, Vec<u8>)> {
    let mut frame = vec![0; HEAD];
    from.read_exact(&mut frame).await?;
    let (channel, size) = (
        u16::from_be_bytes([frame[1], frame[2]]),
        u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]),
    );
    frame.resize(HEAD + usize::try_from(size).expect("a size") + 1, 0);
    from.read_exact(&mut frame[HEAD..]).await?;
    Ok((channel, frame))
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    of_log: Arc<Mutex<HashSet<u16>>>,
) -> std::io::Result<()> {
    let mut greeting = [0; 8];
    from.read_exact(&mut greeting).await?;
    to.write_all(&greeting).await?;
    loop {
        let (channel, frame) = frame(&mut from).await?;
        let log = b"auth.invalidations.log";
        if frame[HEAD..].starts_with(&CONSUME) && frame.windows(log.len()).any(|name| name == log) {
            of_log.lock().expect("no panic").insert(channel);
        }
        to.write_all(&frame).await?;
    }
}

async fn deliveries(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    of_log: Arc<Mutex<HashSet<u16>>>,
    mut is_held: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut kept = Vec::new();
    loop {
        tokio::select! {
            // Frames come whole or the test ends: nothing is lost where the wait for one is given up, as
            // nothing is read before it is there.
            ready = from.readable() => {
                ready?;
                let (channel, frame) = frame(&mut from).await?;
                if *is_held.borrow() && of_log.lock().expect("no panic").contains(&channel) {
                    kept.extend(frame);
                } else {
                    to.write_all(&frame).await?;
                }
            }
            changed = is_held.changed() => {
                changed.map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
                if !*is_held.borrow() {
                    to.write_all(&std::mem::take(&mut kept)).await?;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_whose_log_is_held_up_is_behind_although_heartbeats_flow() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let valve = Valve::before(&stage.amqp_url).await;
    let denylist = verifier(&valve.url, StalenessPolicy::FailClosed);
    let is_fresh = || eventually("it is up to date", async || denylist.staleness().is_none().then_some(()));
    is_fresh().await;
    valve.is_held.send_replace(true);
    let access = canary_token();
    App::connect(&stage.amqp_url).await.publish(&logout("1", &access, &canary_token())).await;
    eventually("it is behind", async || (denylist.staleness() == Some(Staleness::Behind)).then_some(()))
        .await;
    assert!(!denylist.check(&TokenView::bearer(&access)).is_accepted());
    valve.is_held.send_replace(false);
    is_fresh().await;
    assert!(!denylist.check(&TokenView::bearer(&access)).is_accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_published_does_not_hide_a_log_that_is_stuck() {
    let stage = Stage::new().await;
    let _worker = stage.worker("http://127.0.0.1:9/revoke").start().await;
    let valve = Valve::before(&stage.amqp_url).await;
    let denylist = verifier(&valve.url, StalenessPolicy::FailClosed);
    eventually("it is up to date", async || denylist.staleness().is_none().then_some(())).await;
    let held = std::time::Instant::now();
    valve.is_held.send_replace(true);
    eventually("it is behind", async || (denylist.staleness() == Some(Staleness::Behind)).then_some(()))
        .await;
    assert!(held.elapsed() < Duration::from_secs(24), "the next mark tells: after {:?}", held.elapsed());
}
