//! Canaries: a provider that repeats what it was sent does not get it into an error text.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use revocation_worker::config::{
    AssertionConfig, BasicEncoding, BearerConfig, ClientAuth, ClientConfig, GenauthProtocol, KindConfig,
    ProviderConfig, Rfc7009Config, Secret,
};
use revocation_worker::outcome::Verdict;
use revocation_worker::target::TokenTypeHint;

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{
    baanx, config, genauth, global_token_revocation, hydra, keycloak, kicking, oauth_server, okta, provider,
    rfc7009, secret, session, subject, token,
};

/// Canaries short enough that no rule about long words hides them, base64 included, with characters that each
/// encoding changes.
const TOKEN: &str = "tok canary+/1";
const SECRET: &str = "canary+ 2";

fn kinds(base: &str) -> Vec<ProviderConfig> {
    let client = |auth| ClientConfig {
        id: "a".to_owned(),
        secret: Some(Secret::new(SECRET.to_owned())),
        auth,
        assertion: AssertionConfig::default(),
    };
    let server = |auth, basic_encoding| {
        config(KindConfig::Rfc7009(Rfc7009Config {
            revocation_endpoint: Some(format!("{base}/revoke")),
            client: client(auth),
            basic_encoding,
            ..oauth_server()
        }))
    };
    let mut genauth = genauth(base, GenauthProtocol::Oidc, ClientAuth::SecretPost);
    if let KindConfig::Genauth(kind) = &mut genauth.kind {
        kind.client = client(ClientAuth::SecretPost);
    }
    let mut baanx = baanx(base);
    if let KindConfig::Baanx(kind) = &mut baanx.kind {
        kind.client_key = Secret::new(SECRET.to_owned());
    }
    vec![
        server(ClientAuth::SecretBasic, BasicEncoding::Rfc6749),
        server(ClientAuth::SecretBasic, BasicEncoding::Raw),
        server(ClientAuth::SecretPost, BasicEncoding::Rfc6749),
        genauth,
        baanx,
    ]
}

/// Everything that was sent, and both canaries in the clear.
fn echo(request: &Request) -> String {
    let authorization = request.header("authorization").unwrap_or_default();
    format!("{TOKEN} {SECRET} {} {authorization}", request.body)
}

fn assert_clean(error: &str) {
    let forms = |canary: &str| {
        let form: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
        [canary.to_owned(), form]
    };
    let credentials =
        [format!("a:{SECRET}"), format!("a:{}", forms(SECRET)[1])].map(|pair| STANDARD.encode(pair));
    let leaked =
        forms(TOKEN).iter().chain(&forms(SECRET)).chain(&credentials).any(|canary| error.contains(canary));
    // The text itself is not printed: it may hold what it must not.
    assert!(!leaked && !error.contains("canary"), "an error text repeats a credential");
    assert!(error.chars().count() <= 240 && !error.chars().any(char::is_control));
}

#[tokio::test]
async fn what_the_provider_repeats_is_not_recorded() {
    let echoes: [fn(&Request) -> Reply; 7] = [
        |request| Reply::status(400).body(echo(request)),
        |request| Reply::status(503).body(format!("\u{1b}[31m{}\r\n{}", echo(request), "x".repeat(70_000))),
        |request| {
            Reply::json(
                400,
                serde_json::json!({ "error": "invalid_request", "error_description": echo(request) })
                    .to_string(),
            )
        },
        |request| Reply::json(400, serde_json::json!({ "error": echo(request) }).to_string()),
        |request| Reply::json(401, serde_json::json!({ "message": echo(request) }).to_string()),
        |request| {
            Reply::status(302)
                .header("Location", format!("https://id.example.com/{}?q={}", echo(request), echo(request)))
        },
        |request| Reply::garbage(echo(request)),
    ];
    for reply in echoes {
        let idp = ScriptedIdp::start(reply).await;
        for config in kinds(idp.url()) {
            for hint in [TokenTypeHint::AccessToken, TokenTypeHint::RefreshToken] {
                let answer = provider(&config).revoke(&token(TOKEN, Some(hint))).await;
                assert_clean(&answer.error.expect("every echo is a failure, or a success with a remark"));
            }
        }
    }
}

/// A user whose id is a canary, too.
const SUBJECT: &str = "canary@u 3";

/// Every kind that makes administrative calls, with the canary as each of its secrets.
fn administrative(base: &str) -> [ProviderConfig; 5] {
    let mut kinds = [kicking(base), global_token_revocation(base), keycloak(base), okta(base), hydra(base)];
    for config in &mut kinds {
        match &mut config.kind {
            KindConfig::Genauth(kind) => kind
                .management
                .iter_mut()
                .for_each(|management| management.access_key_secret = secret(SECRET)),
            KindConfig::GlobalTokenRevocation(kind) => kind.bearer = BearerConfig::Fixed(secret(SECRET)),
            KindConfig::Keycloak(kind) => kind.client.secret = Some(secret(SECRET)),
            KindConfig::Okta(kind) => kind.api_token = Some(secret(SECRET)),
            _ => {}
        }
    }
    kinds
}

/// The bearer, granted as OAuth servers and as GenAuth do.
fn grant() -> Reply {
    let data = serde_json::json!({ "access_token": TOKEN, "expires_in": 300 });
    let body = serde_json::json!({ "access_token": TOKEN, "statusCode": 200, "data": data });
    Reply::json(200, body.to_string())
}

/// Everything that was sent, and nothing that was not; the path in words too short for the rule about long
/// ones.
fn sent(request: &Request) -> String {
    let path = request.path.replace(['/', '?', '=', '&'], " ");
    format!("{path} {} {}", request.header("authorization").unwrap_or_default(), request.body)
}

#[tokio::test]
async fn administrative_calls_leave_no_credential_and_no_user_in_an_error_text() {
    let replies: [fn(&Request) -> Reply; 4] = [
        |request| Reply::status(400).body(sent(request)),
        |request| Reply::json(403, serde_json::json!({ "error": sent(request) }).to_string()),
        |request| {
            Reply::json(
                404,
                serde_json::json!({ "errorCode": "1", "errorSummary": sent(request) }).to_string(),
            )
        },
        |request| Reply::garbage(sent(request)),
    ];
    for (refuses_grant, reply) in replies.into_iter().flat_map(|reply| [(false, reply), (true, reply)]) {
        let idp = ScriptedIdp::start(move |request| {
            let asks = request.path.ends_with("token") && request.path != "/global-token-revocation";
            if asks && !refuses_grant { grant() } else { reply(request) }
        })
        .await;
        for config in administrative(idp.url()) {
            let provider = provider(&config);
            for target in
                [subject(SUBJECT), session(SUBJECT)].into_iter().filter(|target| provider.supports(target))
            {
                assert_clean(&provider.revoke(&target).await.error.expect("every echo is a failure"));
            }
        }
    }
}

#[tokio::test]
async fn a_user_stays_out_of_the_text_of_a_call_that_was_not_answered() {
    let idp =
        ScriptedIdp::start(|request| if request.path.ends_with("token") { grant() } else { Reply::close() })
            .await;
    for config in administrative(idp.url()) {
        let error = provider(&config).revoke(&subject(SUBJECT)).await.error.unwrap();
        assert!(error.contains(" failed: "), "the call itself failed");
        assert_clean(&error);
    }
}

#[tokio::test]
async fn a_token_that_is_cut_off_in_the_echo_is_masked() {
    let jwt = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJl";
    let idp = ScriptedIdp::start(move |_| {
        Reply::json(400, format!(r#"{{"message":"unknown token {}... sorry"}}"#, &jwt[..40]))
    })
    .await;
    let answer = provider(&kinds(idp.url())[0]).revoke(&token(jwt, None)).await;
    assert_eq!(answer.verdict, Verdict::Refused);
    let error = answer.error.unwrap();
    assert!(!error.contains(&jwt[..8]) && error.contains("[redacted]"));
}

#[tokio::test]
async fn the_query_of_an_endpoint_stays_out_of_error_texts() {
    let idp = ScriptedIdp::start(|_| Reply::status(503)).await;
    let endpoint = Some(format!("{}/revoke?code=canary", idp.url()));
    let config =
        config(KindConfig::Rfc7009(Rfc7009Config { revocation_endpoint: endpoint, ..oauth_server() }));
    assert_clean(&provider(&config).revoke(&token(TOKEN, None)).await.error.unwrap());
    drop(idp);
    assert_clean(&provider(&config).revoke(&token(TOKEN, None)).await.error.unwrap());
}

const LONG: &str = "0pa9ue+Tok/en_with-every.kind~of=Char4cter";

/// The token as `transform` writes each of its characters.
fn spelled(transform: impl Fn(char) -> String) -> String {
    LONG.chars().map(transform).collect()
}

/// Ways to repeat it that are no copy.
fn spellings() -> Vec<String> {
    let every = |length: usize, between: &str| {
        LONG.as_bytes()
            .chunks(length)
            .map(|part| std::str::from_utf8(part).unwrap())
            .collect::<Vec<_>>()
            .join(between)
    };
    let percent: String = url::form_urlencoded::byte_serialize(LONG.as_bytes()).collect();
    vec![
        LONG.replace('+', "&#43;").replace('/', "&sol;"),
        spelled(|c| format!("&#{};", u32::from(c))),
        spelled(|c| format!("&#x{:X};", u32::from(c))),
        spelled(|c| format!("\\u{:04x}", u32::from(c))),
        spelled(|c| format!("%{:02X}", u32::from(c))),
        percent.replace('%', "%25"),
        LONG.replace('+', " "),
        STANDARD.encode(LONG),
        STANDARD.encode(format!("token={LONG}")),
        every(5, " "),
        every(7, "</b><b>"),
        every(3, "\",\""),
        every(7, "."),
        LONG.to_uppercase(),
        spelled(|c| format!("{:02x}", u32::from(c))),
    ]
}

/// Whether eight characters of the token in a row can be read in the text, whatever stands between them.
fn tells(text: &str) -> bool {
    let plain =
        |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let (text, token) = (plain(text), plain(LONG));
    (0..=token.len() - 8).any(|start| text.contains(&token[start..start + 8]))
        || text.contains(&plain(&STANDARD.encode(LONG))[..12])
}

/// The bodies that a spelling of the token may come in.
fn bodies(spelling: &str) -> Vec<Vec<u8>> {
    let json = |member: &str, text: &str| serde_json::json!({ member: text }).to_string();
    let (half, rest) = spelling.split_at(spelling.len() / 2);
    vec![
        json("error", spelling).into(),
        json("error_description", &format!("no such token: {spelling}")).into(),
        json("message", spelling).into(),
        serde_json::json!({ "error": half, "error_description": rest }).to_string().into(),
        format!(r#"{{"error":"invalid_request","error_description":"{spelling}"#).into(),
        format!("error=invalid_request&error_description={spelling}").into(),
        format!("<html><body>{spelling}</body></html>").into(),
        format!("<r><error>{spelling}</error></r>").into(),
        json("error", spelling).encode_utf16().flat_map(u16::to_le_bytes).collect(),
        spelling.into(),
    ]
}

#[tokio::test]
async fn a_token_that_is_spelled_otherwise_is_not_recorded_either() {
    let script = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&script);
    let idp = ScriptedIdp::start(move |request| match request.path.as_str() {
        "/revoke" => Reply::status(400).body(said.lock().unwrap().clone()),
        _ => Reply::status(302).header(
            "Location",
            format!("https://id.example.com/{}", String::from_utf8_lossy(&said.lock().unwrap())),
        ),
    })
    .await;
    let (oauth, redirecting) = (provider(&rfc7009(idp.url())), provider(&baanx(idp.url())));
    for spelling in spellings() {
        for body in bodies(&spelling) {
            script.lock().unwrap().clone_from(&body);
            let error = oauth.revoke(&token(LONG, None)).await.error.unwrap();
            assert!(
                !tells(&error),
                "an error text repeats the token that was written as {}",
                String::from_utf8_lossy(&body)
            );
        }
        *script.lock().unwrap() = spelling.replace(|c: char| !c.is_ascii_graphic(), "%20").into();
        let error = redirecting.revoke(&token(LONG, None)).await.error.unwrap();
        assert!(
            error.contains(" answered 302 to ") && !tells(&error),
            "a redirect repeats the token that was written as {spelling}"
        );
    }
}

#[tokio::test]
async fn the_error_code_is_kept() {
    for (body, code) in [
        (
            r#"{"error":"invalid_request","error_description":"0pa9ue Tok en_with"}"#,
            "400 invalid_request: [redacted];",
        ),
        ("error=slow_down&error_description=later", "400 slow_down: later;"),
        (r#"[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]"#, "400 INVALID_SESSION_ID: expired;"),
        ("all is lost", "400 (a text);"),
        ("<!doctype html><p>0pa9ue", "400 (an HTML page);"),
    ] {
        let idp = ScriptedIdp::start(move |_| Reply::status(400).body(body)).await;
        let error = provider(&rfc7009(idp.url())).revoke(&token(LONG, None)).await.error.unwrap();
        assert!(error.contains(code), "{error}");
    }
    for part in ["Char4cter", "0pa9ue", "with-every", "every.kind"] {
        let idp = ScriptedIdp::start(move |_| Reply::json(400, format!(r#"{{"error":"{part}"}}"#))).await;
        let error = provider(&rfc7009(idp.url())).revoke(&token(LONG, None)).await.error.unwrap();
        assert!(!error.contains(part), "a part of the token is taken for a code");
    }
}
