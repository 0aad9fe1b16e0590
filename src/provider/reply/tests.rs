use std::sync::LazyLock;

use proptest::prelude::*;
use reqwest::Method;
use url::Url;

use super::super::call::Call;
use super::*;

static URL: LazyLock<Url> = LazyLock::new(|| "https://id.example.com/revoke".parse().unwrap());

/// A reply as the classification tables write it.
pub(in crate::provider) fn reply(status: u16, body: &str) -> Reply<'static> {
    Reply {
        what: Call::new(Method::POST, &URL).into_parts().0,
        status,
        body: Body::read(body.as_bytes(), None, None),
        location: None,
        retry_after: None,
        secrets: vec!["tok/1"],
    }
}

#[test]
fn an_error_is_one_sentence() {
    let answer = reply(400, r#"{"error":"invalid_request","error_description":"token tok/1 unknown"}"#)
        .fails(Verdict::Refused, "see its log");
    assert_eq!(
        answer.error.unwrap(),
        "POST https://id.example.com/revoke answered 400 invalid_request: token [redacted] unknown; see \
            its log"
    );
}

#[test]
fn a_token_that_the_json_escapes_is_scrubbed_too() {
    let answer = reply(400, r#"{"error":"bad tok\/1 and tok\u002f1"}"#).transient();
    assert!(!answer.error.unwrap().contains("tok/1"));
}

#[test]
fn a_redirect_names_its_goal_without_the_query() {
    let mut redirect = reply(307, "");
    redirect.location = Some("https://new.example.com/revoke?token=tok%2F1".to_owned());
    let answer = redirect.status_answer().unwrap();
    assert_eq!(answer.verdict, Verdict::Misconfigured);
    let sentence = "POST https://id.example.com/revoke answered 307 to https://new.example.com/revoke; \
        redirects are never followed";
    assert!(answer.error.unwrap().starts_with(sentence));
}

#[test]
fn retry_after_is_handed_on_in_full() {
    let mut busy = reply(503, "");
    busy.retry_after = Some(Duration::from_secs(86_400));
    assert_eq!(busy.status_answer().unwrap().retry_after, Some(Duration::from_secs(86_400)));
}

/// One character as a provider may write it.
fn spelled(c: char, how: u8) -> String {
    let number = u32::from(c);
    match how {
        0 => format!("&#{number};"),
        1 => format!("&#x{number:x};"),
        2 => format!("%{number:02x}"),
        3 => format!("%25{number:02X}"),
        4 => format!("\\u{number:04x}"),
        5 => format!("\\x{number:02X}"),
        6 => format!("{c} "),
        7 => format!("{c}</b>"),
        8 => c.to_ascii_uppercase().to_string(),
        9 => format!("&amp;#{number};"),
        10 => format!("{c}\u{200b}"),
        _ => c.to_string(),
    }
}

proptest! {
    #[test]
    fn no_piece_of_a_token_is_in_an_error_text(
        token in "[A-Za-z0-9+/_.~-]{12,60}",
        how in proptest::collection::vec(0_u8..16, 60),
        member in proptest::sample::select(vec!["error", "error_description", "message", "code", "other"]),
        shape in 0..5,
    ) {
        let spelled: String = token.chars().zip(how).map(|(c, how)| spelled(c, how)).collect();
        let body = match shape {
            0 => serde_json::json!({ member: spelled }).to_string(),
            1 => format!("{{\"{member}\":\"{spelled}"),
            2 => format!("{member}=no such token: {spelled}"),
            3 => format!("<a><{member}>{spelled}</{member}></a>"),
            _ => spelled,
        };
        let error = Reply { secrets: vec![token.as_str()], ..reply(400, &body) }.transient().error.unwrap();
        let plain = |text: &str| {
            let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
            letters.to_ascii_lowercase()
        };
        let (told, token) = (plain(&error), plain(&token));
        for piece in token.as_bytes().windows(8).map(String::from_utf8_lossy) {
            prop_assert!(!told.contains(&*piece), "{} holds {}", error, piece);
        }
    }
}
