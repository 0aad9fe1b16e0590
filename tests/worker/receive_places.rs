//! A sender whose keys cannot be had keeps no place from the others'.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Issuer, Stage};

/// The status of the answer to a logout token for a sender, on a connection of its own; `None`: cut off.
async fn post(address: &str, sender: &str, token: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let body = format!("logout_token={token}");
    let request = format!(
        "POST /backchannel-logout/{sender} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_one_senders_keys_keeps_no_other_sender_out() {
    // They take a connection and say no more.
    let mutes: Vec<_> = ["a", "b"]
        .map(|name| (name, std::net::TcpListener::bind("127.0.0.1:0").expect("a port")))
        .into_iter()
        .collect();
    let (stage, issuer) = (Stage::new().await, Issuer::start().await);
    let worker = stage.worker("http://127.0.0.1:9/revoke");
    assert!(worker.start().await.stop().await.success(), "it declares the queues");
    let mut setup = issuer.known_to(worker);
    for (name, mute) in &mutes {
        let of = |key: &str| format!("REVOCATION__RECEIVE__SENDERS__{}__{key}", name.to_uppercase());
        let url = format!("http://{}", mute.local_addr().expect("its address"));
        setup = setup.set(&of("ISSUER"), &url).set(&of("CLIENT_ID"), "shop").set(&of("JWKS_URI"), &url);
    }
    let _receiver = setup.receive(&issuer.address).await;
    assert_eq!(post(&issuer.address, "op", &issuer.logout_token("first", "u")).await, Some(200));

    let token = issuer.logout_token("forged", "u");
    let crowd = futures::future::join_all((0..300).map(|number| {
        let sender = mutes[number % mutes.len()].0;
        post(&issuer.address, sender, &token)
    }));
    let good = async {
        let mut answers = Vec::new();
        for number in 0..20 {
            let token = issuer.logout_token(&format!("good-{number}"), "u");
            let answer = post(&issuer.address, "op", &token);
            answers.push(tokio::time::timeout(Duration::from_secs(5), answer).await.ok().flatten());
        }
        answers
    };
    let (crowd, good) = tokio::join!(crowd, good);
    assert_eq!(good, [Some(200); 20]);
    assert!(crowd.iter().all(|status| status.is_none_or(|status| status == 503)), "{crowd:?}");
}
