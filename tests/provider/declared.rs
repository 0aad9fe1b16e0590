//! `kind = "http"`: values stay where they are put, declarations that cannot work stop the start, the probe
//! tells good credentials from bad ones.

use revocation_worker::outcome::{Proof, Verdict};
use revocation_worker::provider::{Probed, Provider};
use revocation_worker::target::Scope;

use crate::scripted_idp::{Reply, ScriptedIdp};
use crate::settings::{calls, client_of, provider, session, subject, token};
use crate::written;

const ACCEPTED: Verdict = Verdict::Done(Proof::Accepted);
/// What would break out of a path, a query, a form, JSON or another template.
const HOSTILE: &str = "a/../b?c=d&e#f\"},{\"g\":\"{api_key}%2e +é";

fn http(lines: &str) -> Provider {
    provider(&written::provider(&format!("kind = 'http'\n{lines}")))
}

#[tokio::test]
async fn a_value_stays_where_it_is_put() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let base = idp.url();
    let lines = format!(
        "api_key = 's3'
        [providers.main.token]
        url = '{base}/x/{{token}}/y?t={{token}}&h={{hint}}'
        headers = {{ X-Key = '{{api_key}}' }}
        json = '{{\"a\":[{{\"token\":\"<{{token}}>\"}}],\"n\":7}}'
        revoked = ['204']
        [providers.main.session]
        method = 'PUT'
        url = '{base}/sessions'
        form = {{ sid = '{{sid}}', fixed = 'a b' }}
        revoked = ['204']
        [providers.main.subject]
        method = 'DELETE'
        url = '{base}/users/{{sub}}'
        revoked = ['204']
        [providers.main.client]
        method = 'DELETE'
        url = '{base}/clients/{{client}}/tokens'
        json = {{ query = 'm {{{{}} r(c: $c) {{{{}}ok}} }}', c = '{{client}}' }}
        revoked = ['204']"
    );
    let provider = http(&lines);
    for target in [token(HOSTILE, None), session(HOSTILE), subject(HOSTILE), client_of(HOSTILE)] {
        assert_eq!(provider.revoke(&target).await.verdict, ACCEPTED);
    }
    let escaped = "a%2F..%2Fb%3Fc%3Dd%26e%23f%22%7D%2C%7B%22g%22%3A%22%7Bapi_key%7D%252e%20%2B%C3%A9";
    let form = escaped.replace("%20", "+");
    assert_eq!(
        calls(&idp),
        [
            format!("POST /x/{escaped}/y?t={form}&h="),
            "PUT /sessions".to_owned(),
            format!("DELETE /users/{escaped}"),
            format!("DELETE /clients/{escaped}/tokens"),
        ]
    );
    let sent = idp.ledger();
    assert_eq!(sent[0].header("x-key"), Some("s3"));
    let body: serde_json::Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(body, serde_json::json!({ "a": [{ "token": format!("<{HOSTILE}>") }], "n": 7 }));
    assert_eq!(sent[1].field("sid").as_deref(), Some(HOSTILE));
    assert_eq!(sent[1].field("fixed").as_deref(), Some("a b"));
    let body: serde_json::Value = serde_json::from_str(&sent[3].body).unwrap();
    assert_eq!(body, serde_json::json!({ "query": "m { r(c: $c) {ok} }", "c": HOSTILE }));
}

#[tokio::test]
async fn what_cannot_stand_in_its_place_is_for_a_person_and_not_sent() {
    let idp = ScriptedIdp::start(|_| Reply::status(204)).await;
    let base = idp.url();
    let lines = format!(
        "[providers.main.token]
        url = '{base}/revoke'
        headers = {{ Authorization = 'Bearer {{token}}' }}
        revoked = ['204']
        [providers.main.subject]
        url = '{base}/users/{{sub}}'
        revoked = ['204']"
    );
    let provider = http(&lines);
    for target in
        [token("a\r\nX-Admin: 1", None), token("a\u{7f}", None), subject(".."), subject(""), subject(".")]
    {
        assert_eq!(provider.revoke(&target).await.verdict, Verdict::Refused);
    }
    assert_eq!(calls(&idp), [""; 0]);
}

#[test]
fn a_declaration_that_cannot_work_stops_the_start_by_its_name() {
    let call = |url: &str, more: &str| {
        format!("api_key = 's3'\n[providers.main.token]\nurl = '{url}'\nrevoked = ['204']\n{more}")
    };
    let good = "https://a.example.com/{token}";
    let rows = [
        (call("a.example.com/{token}", ""), "token.url"),
        (call("http://a.example.com/{token}", ""), "token.url"),
        (call("ftp://a.example.com/{token}", ""), "token.url"),
        (call("https://{token}.example.com/", ""), "token.url"),
        (call("https://user:pass@a.example.com/{token}", ""), "token.url"),
        (call("https://a.example.com/{token}#x", ""), "token.url"),
        (call("https://a.example.com/", ""), "token.url"),
        (call("https://a.example.com/{tokens}", ""), "token.url"),
        (call("https://a.example.com/{token}/{sub}", ""), "token.url"),
        (call("https://a.example.com/{token}/{client_id}", ""), "token.url"),
        (call(good, "headers = { Host = 'b.example.com' }"), "token.headers"),
        (call(good, "headers = { 'a b' = 'c' }"), "token.headers"),
        (call(good, "headers = { A = \"c\\nd\" }"), "token.headers"),
        (call(good, "headers = { A = '{nobody}' }"), "token.headers"),
        (call(good, "headers = { A = '{granted}' }"), "token.headers"),
        (call(good, "headers = { Authorization = 'Bearer {granted}' }"), "token.url"),
        (call(good, "headers = { Authorization = 'Basic {basic}' }"), "token.url"),
        (call("https://a.example.com/{token}/{client}", ""), "token.url"),
        (
            call(
                good,
                "[providers.main.client]\nurl = 'https://a.example.com/{client_id}'\nrevoked = ['2xx']",
            ),
            "client.url",
        ),
        (call(good, "form = { a = '{' }"), "token.form"),
        (call(good, "form = { a = '{{token}}' }"), "token.form"),
        (call(good, "headers = { A = 'Bearer {{api_key}}' }"), "token.headers"),
        (call(good, "headers = { 'A:b' = 'c' }"), "token.headers"),
        (call(good, "headers = { 'A\\r\\nB' = 'c' }"), "token.headers"),
        (call(good, "headers = { Transfer-Encoding = 'chunked' }"), "token.headers"),
        (call("https://a.example.com:99999/{token}", ""), "token.url"),
        (call("https://a.example.com\\@b.example.com/{token}", ""), "token.url"),
        (call(good, "json = { a = ['{x}'] }"), "token.json"),
        (call(good, "retry = ['20']"), "token.retry"),
        (call(good, "already_invalid = ['404 gone']"), "token.already_invalid"),
        (call(good, "[providers.main.probe]\nurl = 'https://a.example.com/{token}'"), "probe.url"),
        (
            call(good, "[providers.main.probe]\nurl = 'https://a.example.com'\naccepted = ['x']"),
            "probe.accepted",
        ),
    ];
    for (lines, setting) in rows {
        let config = written::provider(&format!("kind = 'http'\n{lines}"));
        let refusal =
            Provider::new("main".into(), &config).err().unwrap_or_else(|| panic!("{lines}")).to_string();
        assert!(refusal.starts_with(&format!("providers.main.{setting}: ")), "{refusal}\n{lines}");
        assert!(!refusal.contains("s3") && !refusal.contains("pass@"), "{refusal}");
    }
}

#[tokio::test]
async fn a_call_shows_what_the_client_is_granted() {
    let idp = ScriptedIdp::start(|request| match request.path.as_str() {
        "/token" => Reply::json(200, r#"{"access_token":"granted","expires_in":300}"#),
        _ => Reply::status(204),
    })
    .await;
    let base = idp.url();
    let lines = format!(
        "client_id = 'a'
        client_secret = 's3'
        token_endpoint = '{base}/token'
        scope = 'revoke'
        [providers.main.subject]
        url = '{base}/users/{{sub}}/logout'
        headers = {{ authorization = 'Bearer {{granted}}' }}
        revoked = ['204']"
    );
    let provider = http(&lines);
    for _ in 0..2 {
        assert_eq!(provider.revoke(&subject("u")).await.verdict, ACCEPTED);
    }
    assert_eq!(calls(&idp), ["POST /token", "POST /users/u/logout", "POST /users/u/logout"]);
    assert_eq!(idp.ledger()[0].field("scope").as_deref(), Some("revoke"));
    assert_eq!(idp.ledger()[1].header("authorization"), Some("Bearer granted"));
}

#[tokio::test]
async fn the_probe_tells_good_credentials_from_bad_ones_and_names_no_target() {
    let rows = [
        (200, "{}", "accepted"),
        (401, "", "refused"),
        (403, "", "refused"),
        (400, r#"{"code":7}"#, "refused"),
        (302, "", "refused"),
        (503, "", "unanswered"),
        (429, "", "unanswered"),
        (200, "<html>sign in</html>", "unanswered"),
    ];
    for (status, body, meaning) in rows {
        let idp = ScriptedIdp::start(move |_| Reply::status(status).body(body)).await;
        let base = idp.url();
        let lines = format!(
            "api_key = 's3'
            [providers.main.token]
            url = '{base}/{{token}}'
            revoked = ['204']
            [providers.main.probe]
            url = '{base}/me'
            headers = {{ Authorization = '{{api_key}}' }}
            refused = ['401', '403', '4xx code=7']"
        );
        let provider = http(&lines);
        assert!(
            provider.has_probe(Scope::Token) && !provider.has_probe(Scope::Wide),
            "no wide call is declared"
        );
        let found = match provider.try_credentials(Scope::Token).await {
            Some(Probed::Accepted) => "accepted",
            Some(Probed::Refused { plainly: true, .. }) => "refused",
            Some(Probed::Unanswered(_)) => "unanswered",
            _ => "nothing",
        };
        assert_eq!(found, meaning, "{status} {body}");
        assert_eq!(calls(&idp), ["GET /me"]);
        assert_eq!(idp.ledger()[0].header("authorization"), Some("s3"));
    }
}

#[tokio::test]
async fn without_a_probe_there_is_none_and_check_says_so() {
    let idp = ScriptedIdp::start(|_| Reply::status(404)).await;
    let lines = format!("[providers.main.token]\nurl = '{}/{{token}}'\nrevoked = ['204']", idp.url());
    let provider = http(&lines);
    assert!(!provider.has_probe(Scope::Token) && !provider.has_probe(Scope::Wide));
    let said = provider.probe().await.unwrap();
    assert!(
        said.contains("the host is reached") && said.contains("proven by the first revocation only"),
        "{said}"
    );
}
