//! Messages published with AMQP 0-9-1 frames written by hand: what no client library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const FRAME_END: u8 = 0xce;
const FRAME_MAX: u32 = 131_072;
/// The properties in the order of their flags (AMQP 0-9-1, section 4.2.6.1).
pub(crate) const PROPERTIES: [&str; 14] = [
    "content_type",
    "content_encoding",
    "headers",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
];

/// A message, byte by byte.
#[derive(Clone)]
pub(crate) struct RawMessage {
    exchange: &'static str,
    key: Vec<u8>,
    properties: Vec<(usize, Vec<u8>)>,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

impl RawMessage {
    /// A persistent message without any other property.
    pub(crate) fn new(exchange: &'static str, key: &[u8], body: &[u8]) -> Self {
        Self { exchange, key: key.to_vec(), properties: vec![(3, vec![2])], body: body.to_vec() }
    }

    /// With a property that is a short string.
    pub(crate) fn word(self, name: &str, text: &[u8]) -> Self {
        self.property(name, short(text))
    }

    /// With headers: the bytes of a table's entries.
    pub(crate) fn headers(self, entries: &[u8]) -> Self {
        self.property("headers", long(entries))
    }

    fn property(mut self, name: &str, bytes: Vec<u8>) -> Self {
        let place = PROPERTIES.iter().position(|known| *known == name).expect("a property");
        self.properties.push((place, bytes));
        self.properties.sort_by_key(|(place, _)| *place);
        self
    }

    /// Flags and values.
    fn encoded(&self) -> Vec<u8> {
        let flags = self.properties.iter().fold(0_u16, |flags, (place, _)| flags | 1 << (15 - place));
        self.properties
            .iter()
            .fold(flags.to_be_bytes().to_vec(), |all, (_, bytes)| [all.as_slice(), bytes].concat())
    }
}

/// A header: its name, its type and its bytes.
pub(crate) fn raw_header(name: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
    [&short(name), &[kind][..], value].concat()
}

/// A length of four bytes, and what is so long.
pub(crate) fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("a length").to_be_bytes()[..], bytes].concat()
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).expect("at most 255 bytes")], bytes].concat()
}

/// Publishes all, one after the other on one connection, each confirmed.
pub(crate) async fn publish_raw(amqp_url: &str, messages: &[RawMessage]) {
    let mut wire = Wire::open(amqp_url).await;
    for message in messages {
        wire.method(1, 60, 40, &[&[0, 0], &short(message.exchange.as_bytes()), &short(&message.key), &[1]])
            .await;
        let size = u64::try_from(message.body.len()).expect("a size");
        wire.frame(
            HEADER,
            1,
            &[&60_u16.to_be_bytes()[..], &[0, 0], &size.to_be_bytes(), &message.encoded()].concat(),
        )
        .await;
        for piece in message.body.chunks(100_000) {
            wire.frame(BODY, 1, piece).await;
        }
        wire.expect(60, 80).await;
    }
}

struct Wire(TcpStream);

impl Wire {
    /// A connection with channel 1 in confirm mode.
    async fn open(amqp_url: &str) -> Self {
        let url: url::Url = amqp_url.parse().expect("a URL");
        let address = (url.host_str().expect("a host"), url.port().expect("a port"));
        let mut wire = Self(TcpStream::connect(address).await.expect("connect to the broker"));
        wire.0.write_all(b"AMQP\x00\x00\x09\x01").await.expect("greet");
        let login = format!("\0{}\0{}", url.username(), url.password().expect("a password"));
        wire.expect(10, 10).await;
        wire.method(0, 10, 11, &[&[0; 4], &short(b"PLAIN"), &long(login.as_bytes()), &short(b"en_US")]).await;
        wire.expect(10, 30).await;
        wire.method(0, 10, 31, &[&1_u16.to_be_bytes(), &FRAME_MAX.to_be_bytes(), &0_u16.to_be_bytes()]).await;
        wire.method(0, 10, 40, &[&short(url.path().trim_start_matches('/').as_bytes()), &short(b""), &[0]])
            .await;
        wire.expect(10, 41).await;
        wire.method(1, 20, 10, &[&short(b"")]).await;
        wire.expect(20, 11).await;
        wire.method(1, 85, 10, &[&[0]]).await;
        wire.expect(85, 11).await;
        wire
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = u32::try_from(payload.len()).expect("a size");
        let frame =
            [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes(), payload, &[FRAME_END]].concat();
        self.0.write_all(&frame).await.expect("write a frame");
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[&[u8]]) {
        self.frame(
            METHOD,
            channel,
            &[&class.to_be_bytes()[..], &method.to_be_bytes(), &arguments.concat()].concat(),
        )
        .await;
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
