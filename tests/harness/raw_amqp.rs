//! One message published with AMQP 0-9-1 frames written by hand: its `message_id` is what no client library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;
/// Which properties follow in a content header: `delivery_mode` and `message_id` (AMQP 0-9-1, section 4.2.6.1).
const DELIVERY_MODE_AND_MESSAGE_ID: u16 = 1 << 12 | 1 << 7;

/// Publishes to `auth.events`, persistent and confirmed.
pub(crate) async fn publish_with_message_id(amqp_url: &str, routing_key: &str, message_id: &[u8], body: &[u8]) {
    let url: url::Url = amqp_url.parse().expect("a URL");
    let address = (url.host_str().expect("a host"), url.port().expect("a port"));
    let mut wire = Wire(TcpStream::connect(address).await.expect("connect to the broker"));
    wire.0.write_all(b"AMQP\x00\x00\x09\x01").await.expect("greet");
    let login = format!("\0{}\0{}", url.username(), url.password().expect("a password"));
    wire.expect(10, 10).await;
    wire.method(0, 10, 11, &[&[0; 4], &short(b"PLAIN"), &long(login.as_bytes()), &short(b"en_US")]).await;
    wire.expect(10, 30).await;
    wire.method(0, 10, 31, &[&1_u16.to_be_bytes(), &131_072_u32.to_be_bytes(), &0_u16.to_be_bytes()]).await;
    wire.method(0, 10, 40, &[&short(url.path().trim_start_matches('/').as_bytes()), &short(b""), &[0]]).await;
    wire.expect(10, 41).await;
    wire.method(1, 20, 10, &[&short(b"")]).await;
    wire.expect(20, 11).await;
    wire.method(1, 85, 10, &[&[0]]).await;
    wire.expect(85, 11).await;
    wire.method(1, 60, 40, &[&[0, 0], &short(b"auth.events"), &short(routing_key.as_bytes()), &[1]]).await;
    let size = u64::try_from(body.len()).expect("a size");
    let properties = [&DELIVERY_MODE_AND_MESSAGE_ID.to_be_bytes()[..], &[2], &short(message_id)].concat();
    wire.frame(HEADER, 1, &[&60_u16.to_be_bytes()[..], &[0, 0], &size.to_be_bytes(), &properties].concat()).await;
    wire.frame(BODY, 1, body).await;
    wire.expect(60, 80).await;
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("at most 255 bytes")], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a length").to_be_bytes()[..], bytes].concat()
}

struct Wire(TcpStream);

impl Wire {
    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).expect("a size");
        let frame = [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes(), payload, &[FRAME_END]].concat();
        self.0.write_all(&frame).await.expect("write a frame");
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[&[u8]]) {
        self.frame(METHOD, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), &arguments.concat()].concat()).await;
    }

    /// Reads the next frame, which must be this method.
    async fn expect(&mut self, class: u16, method: u16) {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).await.expect("read a frame's head");
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(size).expect("a size") + 1];
        self.0.read_exact(&mut payload).await.expect("read a frame");
        let wanted = [class.to_be_bytes(), method.to_be_bytes()].concat();
        assert_eq!(payload[..4], wanted, "the broker answered {}", String::from_utf8_lossy(&payload));
    }
}
