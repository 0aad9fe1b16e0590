//! A token repeated in encodings that nobody decodes: what is kept of an answer are words.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{provider, rfc7009, token};

const TOKEN: &str = "0pa9ue+Tok/en_with-every.kind~of=Char4cter";

/// Each `bits` of the token as the character of `alphabet` with that number.
fn in_bits(bits: usize, alphabet: &str) -> String {
    let all: Vec<u8> = TOKEN.bytes().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1)).collect();
    let number = |group: &[u8]| {
        let filled = group.iter().copied().chain(std::iter::repeat(0)).take(bits);
        filled.fold(0_usize, |number, bit| number << 1 | usize::from(bit))
    };
    all.chunks(bits).map(|group| char::from(alphabet.as_bytes()[number(group)])).collect()
}

fn rotated(by: u8) -> String {
    let turn = |c: char, first: u8| char::from((c as u8 - first + by) % 26 + first);
    let each = |c: char| match c {
        'a'..='z' => turn(c, b'a'),
        'A'..='Z' => turn(c, b'A'),
        _ => c,
    };
    TOKEN.chars().map(each).collect()
}

/// Adobe's base 85, which needs no alphabet.
fn in_base_85() -> String {
    let digits = |group: &[u8]| {
        let number = group.iter().chain(&[0; 4]).take(4).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let each = |place: u32| char::from(33 + u8::try_from(number / 85_u32.pow(place) % 85).unwrap());
        (0..5).rev().map(each).collect::<String>()
    };
    TOKEN.as_bytes().chunks(4).map(digits).collect()
}

fn listed(each: impl Fn(u8) -> String) -> String {
    TOKEN.bytes().map(each).collect::<Vec<_>>().join(" ")
}

fn shown(first: u32) -> String {
    let bold = |c: char| match c {
        'a'..='z' => char::from_u32(first + u32::from(c) - u32::from('a')).unwrap(),
        _ => c.to_ascii_lowercase(),
    };
    TOKEN.to_ascii_lowercase().chars().map(bold).collect()
}

fn spellings() -> Vec<(&'static str, String)> {
    let utf16: Vec<u8> = TOKEN.encode_utf16().flat_map(u16::to_be_bytes).collect();
    vec![
        ("base 32", in_bits(5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
        ("base 32, small", in_bits(5, "abcdefghijklmnopqrstuvwxyz234567")),
        ("base 32 of Crockford", in_bits(5, "0123456789ABCDEFGHJKMNPQRSTVWXYZ")),
        ("another base 64", in_bits(6, "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")),
        ("base 2", in_bits(1, "01")),
        ("base 8", in_bits(3, "01234567")),
        ("hexadecimal in letters", in_bits(4, "abcdefghijklmnop")),
        ("base 85", in_base_85()),
        ("backwards", TOKEN.chars().rev().collect()),
        ("rotated by 13", rotated(13)),
        ("base 64 twice", STANDARD.encode(STANDARD.encode(TOKEN))),
        ("base 64 of UTF-16", STANDARD.encode(&utf16)),
        ("UTF-7", format!("+{}-", STANDARD_NO_PAD.encode(&utf16))),
        ("octal numbers", listed(|byte| format!("{byte:03o}"))),
        ("numbers of three digits", listed(|byte| format!("{byte:03}"))),
        ("binary numbers", listed(|byte| format!("{byte:08b}"))),
        ("numbers backwards", listed(|byte| (255 - byte).to_string())),
        ("bold letters", shown(0x1d41a)),
        ("letters in circles", shown(0x24d0)),
    ]
}

fn grouped(text: &str, length: usize, between: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(length).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(between)
}

/// The bodies that a spelling may come in.
fn bodies(spelling: &str) -> Vec<String> {
    let json = |members: serde_json::Value| members.to_string();
    let (half, rest) =
        spelling.split_at(spelling.char_indices().nth(spelling.chars().count() / 2).map_or(0, |(at, _)| at));
    vec![
        json(serde_json::json!({ "error": spelling })),
        json(serde_json::json!({ "error": half, "error_description": rest })),
        json(serde_json::json!({ "error": "no", "error_description": format!("no token {spelling}") })),
        json(serde_json::json!({ "code": spelling, "message": "unknown token" })),
        json(serde_json::json!([{ "errorCode": "E1", "message": spelling }])),
        format!("error=invalid_request&error_description={}", spelling.replace(['&', ';'], " ")),
        format!("<r><error>{}</error></r>", spelling.replace(['<', '&'], " ")),
        format!("unknown token {spelling}"),
    ]
}

/// Six characters of the spelling in a row, whatever stands between them.
fn holds_a_piece(error: &str, spelling: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<Vec<char>>();
    let (error, spelling) = (plain(error), plain(spelling));
    spelling.windows(6).any(|piece| error.windows(6).any(|told| told == piece))
}

#[tokio::test]
async fn no_encoding_has_to_be_known() {
    let script = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&script);
    let idp = ScriptedIdp::start(move |_| Reply::status(400).body(said.lock().unwrap().clone())).await;
    let provider = provider(&rfc7009(idp.url()));
    for (name, spelling) in spellings() {
        for written in [spelling.clone(), grouped(&spelling, 4, " "), grouped(&spelling, 5, ", ")] {
            for body in bodies(&written) {
                script.lock().unwrap().clone_from(&body);
                let error = provider.revoke(&token(TOKEN, None)).await.error.unwrap();
                assert!(!holds_a_piece(&error, &written), "{name}: {body}");
            }
        }
    }
}

#[tokio::test]
async fn words_are_kept() {
    for (body, told) in [
        (
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret provided."}"#,
            "400 invalid_client: AADSTS7000215: Invalid secret provided.",
        ),
        (
            r#"{"errorCode":"E0000007","errorSummary":"Not found: Resource: 0oa1b2c3 (AppInstance)"}"#,
            "400 E0000007: Not found: Resource: [redacted] (AppInstance)",
        ),
        (
            r#"{"__type":"UserNotFoundException","message":"User is gone."}"#,
            "400 UserNotFoundException: User is gone.",
        ),
        (
            r#"{"error":"invalid_grant","error_description":"令牌已过期，请重新登录"}"#,
            "400 invalid_grant: 令牌已过期",
        ),
    ] {
        let idp = ScriptedIdp::start(move |_| Reply::json(400, body)).await;
        let error = provider(&rfc7009(idp.url())).revoke(&token(TOKEN, None)).await.error.unwrap();
        assert!(error.contains(told), "{error}");
    }
}
