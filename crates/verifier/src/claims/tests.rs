//! Payloads as issuers make them, and as they should not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const HEADER: &str = r#"{"alg":"RS256","typ":"at+jwt"}"#;

fn token(header: &str, payload: &[u8]) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn jwt(payload: impl AsRef<[u8]>) -> String {
    token(HEADER, payload.as_ref())
}

fn sub(payload: impl AsRef<[u8]>) -> Option<String> {
    read(&jwt(payload)).claims.sub
}

#[track_caller]
fn assert_sub(payload: impl AsRef<[u8]>) {
    let payload = payload.as_ref();
    let reading = read(&jwt(payload));
    let shown = String::from_utf8_lossy(payload.get(..200).unwrap_or(payload));
    assert_eq!((reading.claims.sub.as_deref(), reading.is_unreadable), (Some("s"), false), "{shown}");
}

#[test]
fn reads_the_claims_of_a_jwt() {
    let payload = concat!(
        r#"{"jti":"j","iss":"i","sub":"s","sid":"d","client_id":"c","azp":"a","#,
        r#""iat":5,"exp":1800000000.25,"aud":["x"],"uid":"u"}"#
    );
    for claims in [
        Claims::peek(&jwt(payload)),
        Claims::from_json(payload.as_bytes()),
        serde_json::from_str(payload).unwrap(),
    ] {
        let texts = [&claims.jti, &claims.iss, &claims.sub, &claims.sid, &claims.client_id, &claims.azp]
            .map(Option::as_deref);
        assert_eq!(texts, ["j", "i", "s", "d", "c", "a"].map(Some));
        assert_eq!(
            [claims.iat, claims.exp].map(|date| date.map(NumericDate::millis)),
            [Some(5000), Some(1_800_000_000_250)]
        );
        assert_eq!(claims.others, BTreeMap::from([("uid".to_owned(), "u".to_owned())]));
    }
}

/// Members that strict parsers refuse, and ones that they take.
fn odd_members() -> Vec<Vec<u8>> {
    let nested = |depth| ["\"n\":", &"[".repeat(depth), &"]".repeat(depth)].concat();
    let mut odd: Vec<_> = [
        r#""name":"J\ud83d""#,
        r#""name":"\udc00\ud800x""#,
        r#""J\ud83d":1"#,
        r#""n":1e400"#,
        r#""n":-1e400"#,
        r#""n":NaN"#,
        r#""n":[Infinity,-Infinity,NaN]"#,
        r#""n":undefined"#,
        r#""n":0x1F"#,
        r#""n":007"#,
        r#""n":+1"#,
        r#""n":.5"#,
        r#""n":"\x41\q""#,
        r#""n":"\u12""#,
        r#""n":"\\""#,
        r#""n":"}\"],{""#,
        r#""":"""#,
        r#""n":{"sub":"other","x":["]",{"}":"{"}]}"#,
        "\"n\":\"tab\tand\nnewline\u{1}\"",
        "\"n\":\"null\0\"",
        "\"n\":1,",
        "\"sub\":\"first\"",
        "\"n\":123456789012345678901234567890",
    ]
    .map(|member| member.as_bytes().to_vec())
    .into();
    odd.push(b"\"name\":\"Andr\xe9\"".to_vec());
    odd.push(b"\"name\":\"\xed\xa0\xbd\xff\xfe\xc0\x80\"".to_vec());
    odd.push(b"\"\xe9\":1".to_vec());
    odd.extend([130, 200_000].map(|depth| nested(depth).into_bytes()));
    odd.push(["\"n\":", &"{\"a\":".repeat(5000), "1", &"}".repeat(5000)].concat().into_bytes());
    odd
}

#[test]
fn what_cannot_be_read_in_one_member_hides_no_other() {
    for odd in odd_members() {
        assert_sub([b"{", &*odd, b",\"sub\":\"s\"}"].concat());
        if !odd.starts_with(b"\"sub\"") {
            assert_sub([b"{\"sub\":\"s\",", &*odd, b"}"].concat());
            assert_sub([b" {\n\"sub\" :\t\"s\" , ", &*odd, b"\r\n} "].concat());
        }
    }
}

#[test]
fn names_of_claims_are_compared_after_their_escapes() {
    for name in [r"\u0073ub", r"s\u0075b", r"\u0073\u0075\u0062", r"su\u0062"] {
        assert_sub(format!(r#"{{"{name}":"s"}}"#));
    }
    for other in ["Sub", "SUB", "sub ", r"sub\u0000", r"s\\u0075b"] {
        assert_eq!(sub(format!(r#"{{"{other}":"s"}}"#)), None, "{other}");
    }
}

#[test]
fn every_encoding_is_read_that_a_reader_may_guess() {
    let text = r#"{"name":"Jörg 😀","sub":"s"}"#;
    let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let utf32 = |bytes: fn(u32) -> [u8; 4]| text.chars().flat_map(|c| bytes(c.into())).collect::<Vec<_>>();
    let unmarked = [
        (text.as_bytes().to_vec(), &b"\xef\xbb\xbf"[..]),
        (utf16(u16::to_le_bytes), b"\xff\xfe"),
        (utf16(u16::to_be_bytes), b"\xfe\xff"),
        (utf32(u32::to_le_bytes), b"\xff\xfe\0\0"),
        (utf32(u32::to_be_bytes), b"\0\0\xfe\xff"),
    ];
    for (payload, mark) in unmarked {
        assert_sub(&payload);
        assert_sub([mark, &payload].concat());
    }
    let half =
        [r#"{"name":""#.encode_utf16().collect(), vec![0xd83d], r#"","sub":"s"}"#.encode_utf16().collect()]
            .concat();
    assert_sub(half.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
}

#[test]
fn a_jwt_that_cannot_be_read_to_its_end_says_so_and_keeps_what_was_read() {
    let unreadable: [&[u8]; 16] = [
        b"",
        b"x",
        b"\xff\xff",
        b"[1,2]",
        b"\"text\"",
        b"null",
        b"{",
        br#"{"sub":"s""#,
        br#"{"sub":"s","n":"#,
        br#"{"sub":"s","n":"no end}"#,
        br#"{"sub":"s","n":[1,2}"#,
        br#"{"sub":"s",'n':1}"#,
        br#"{"sub":"s","n":'1'}"#,
        br#"{"sub":"s",/*"#,
        br#"{"sub":"s",n:1}"#,
        br#"{"sub":"s","jti":"\q"}"#,
    ];
    for payload in unreadable {
        // No part may be empty in a JWS.
        let token = if payload.is_empty() { jwt("").replace("..", ".=.") } else { jwt(payload) };
        let reading = read(&token);
        let shown = String::from_utf8_lossy(payload);
        assert!(reading.is_unreadable, "{shown}");
        assert_eq!(reading.claims.sub.is_some(), payload.starts_with(br#"{"sub""#), "{shown}");
    }
    for undecodable in ["!", "a", "e30!", "abcde"] {
        let token = jwt("{}").replace("e30", undecodable);
        assert!(read(&token).is_unreadable, "{undecodable}");
    }
    assert!(read(&jwt(r#"{"\x73ub":"s"}"#)).is_unreadable, "it may be any claim's name");
    assert!(!read(&jwt(r#"{"sub":"s"}{"sub":"t"} "#)).is_unreadable, "nothing behind the object is a claim");
}

/// What shares the shape of a JWT but is none: tokens of many people may have equal first parts.
fn no_compact_jws() -> Vec<String> {
    let object = URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#);
    let with_header = |header: &str| token(header, br#"{"sub":"s"}"#);
    let mut tokens = vec![
        String::new(),
        "..".to_owned(),
        "opaque".to_owned(),
        "a.b.c".to_owned(),
        format!("v4.public.{}", URL_SAFE_NO_PAD.encode(b"{\"sub\":\"s\"}\x01\x02signature")),
        format!("v2.local.{}", URL_SAFE_NO_PAD.encode([7; 60])),
        format!("v3.public.{object}"),
        format!("v4.public.{object}.Zm9vdGVy"),
        token(r#"{"alg":"dir","enc":"A256GCM"}"#, b"iv") + ".Y2lwaGVy.dGFn",
        token(r#"{"alg":"dir","enc":"A256GCM"}"#, b"iv").replace(".aXY.", "..aXY.Y2lwaGVy."),
        jwt("{}") + ".",
        jwt("{}") + ".x",
        jwt("{}").replace(".c2ln", "."),
        jwt("{}").replace(".c2ln", ""),
        format!(".{object}.c2ln"),
    ];
    let headers = [
        r#"{"alg":"none"}"#,
        r#"{"alg":256}"#,
        r#"{"alg":null}"#,
        r#"{"typ":"JWT"}"#,
        "{}",
        "[]",
        "\"alg\"",
        "x",
        r#"{"alg":"RS256""#,
        r#"{"alg":"RS256"}x"#,
        r#"{"alg":"RS256"}{}"#,
        "{\"alg\":\"RS256\"}\u{1}\u{7f}",
    ];
    tokens.extend(headers.map(with_header));
    tokens
}

#[test]
fn only_a_compact_jws_has_signed_parts_or_is_unreadable() {
    for token in no_compact_jws() {
        assert!(compact_jws(&token).is_none(), "{token}");
        assert!(!read(&token).is_unreadable, "{token}");
    }
    let headers = [
        HEADER,
        r#"{"alg":"HS256"}"#,
        r#" {"typ":"JWT", "\u0061lg":"ES256" } "#,
        "{\"kid\":\"\\ud800\",\"n\":NaN,\"alg\":\"EdDSA\"}",
    ];
    for header in headers
        .map(str::as_bytes)
        .into_iter()
        .chain([&b"\xef\xbb\xbf{\"alg\":\"RS256\"}"[..], b"{\"x\":\"\xe9\",\"alg\":\"PS256\"}"])
    {
        let token = format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(header));
        let signed = compact_jws(&token).map(|jws| jws.signed_sha256());
        let expected = <sha2::Sha256 as sha2::Digest>::digest(&token[..token.len() - 5])
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(signed, Some(expected), "{token}");
    }
}

#[test]
fn claims_of_other_tokens_of_three_parts_count_where_all_is_readable() {
    let with_header = |header: &str| read(&token(header, br#"{"sub":"s"}"#)).claims.sub;
    for header in ["{\"alg\":\"none\"}", "{}", "x"] {
        assert!(with_header(header).is_some(), "{header}");
    }
    for payload in [&b"{\"sub\":\"s\"}signature"[..], b"{\"sub\":\"s\"", b"{\"sub\":\"s\",'"] {
        assert!(read(&token("{}", payload)).claims.sub.is_none(), "{}", String::from_utf8_lossy(payload));
    }
    let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#);
    for token in
        [format!("h.{payload}"), format!("h.{payload}.s.x"), "h.W10.s".to_owned(), "h.!.s".to_owned()]
    {
        assert!(Claims::peek(&token).sub.is_none(), "{token}");
    }
}

#[test]
fn parts_are_read_however_their_base64_is_spelled() {
    let payload = r#"{"sub":"s","n":"??>>~~"}"#;
    let plain = jwt(payload);
    let (header, signature) = (URL_SAFE.encode(HEADER), "c2lnbg==");
    let spellings = [
        format!("{header}.{}.{signature}", URL_SAFE.encode(payload)),
        format!("{header}=.{}==.{signature}", URL_SAFE_NO_PAD.encode(payload)),
        format!("{header}.{}.{signature}", STANDARD.encode(payload)),
        format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"s"}"#).replace("In0", "In1")),
        plain.clone(),
    ];
    assert!(STANDARD.encode(payload).contains(['+', '/']), "both alphabets");
    for token in spellings {
        assert_eq!(Claims::peek(&token).sub.as_deref(), Some("s"), "{token}");
        assert!(compact_jws(&token).is_some(), "{token}");
    }
    let digest = |token: &str| compact_jws(token).unwrap().signed_sha256();
    for respelled in
        [format!("{plain}="), plain.replace("c2ln", "c2lo"), format!("{plain}A"), plain.replace("c2ln", "~")]
    {
        assert_eq!(digest(&respelled), digest(&plain), "{respelled}");
    }
}

mod hostile;
mod values;
