//! Users whose sessions are only listed: list, end each, list again, until none is left.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use revocation_worker::outcome::{Answer, Proof, Verdict};
use revocation_worker::provider::Provider;
use serde_json::json;

use crate::scripted_idp::{Reply, Request, ScriptedIdp};
use crate::settings::{provider, subject};
use crate::written;

/// A WorkOS or Clerk with a user's sessions: pages of two, ended ones among them.
#[derive(Default)]
struct Sessions {
    live: BTreeSet<String>,
    /// Ends of sessions that fail, from the one after so many.
    fails_after: Option<usize>,
    /// What is ended stays listed.
    forgets: bool,
    ended: usize,
}

type Shared = Arc<Mutex<Sessions>>;

impl Sessions {
    fn of(count: usize) -> Shared {
        let live = (0..count).map(|number| format!("s{number:03}")).collect();
        Arc::new(Mutex::new(Self { live, ..Self::default() }))
    }

    fn page(&self, request: &Request) -> Reply {
        let after = request.path.split("after=").nth(1).unwrap_or_default();
        let left = |id: &&String| id.as_str() > after;
        let page: Vec<_> = self.live.iter().filter(left).take(2).collect();
        let next = self.live.iter().filter(left).nth(2).and(page.last());
        let mut data: Vec<_> = page.iter().map(|id| json!({ "id": id, "status": "active" })).collect();
        data.push(json!({ "id": "old", "status": "ended" }));
        Reply::json(200, json!({ "data": data, "list_metadata": { "after": next } }).to_string())
    }

    fn end(&mut self, request: &Request) -> Reply {
        if self.fails_after.is_some_and(|after| self.ended >= after) {
            return Reply::status(503);
        }
        self.ended += 1;
        let id: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        if !self.forgets {
            self.live.remove(id["session_id"].as_str().unwrap());
        }
        Reply::status(200)
    }
}

async fn workos(sessions: &Shared) -> (ScriptedIdp, Provider) {
    let shared = Arc::clone(sessions);
    let idp = ScriptedIdp::start(move |request| {
        let mut sessions = shared.lock().unwrap();
        if request.method == "GET" { sessions.page(request) } else { sessions.end(request) }
    })
    .await;
    let lines = format!("kind = 'workos'\nbase_url = '{}'\napi_key = 's3'", idp.url());
    let provider = provider(&written::provider(&lines));
    (idp, provider)
}

async fn log_out(sessions: &Shared) -> (Answer, usize) {
    let (idp, provider) = workos(sessions).await;
    let answer = provider.revoke(&subject("user/1")).await;
    assert!(
        idp.ledger().iter().filter(|request| request.method == "GET").all(|request| {
            request.path.starts_with("/user_management/users/user%2F1/sessions?limit=100")
        })
    );
    (answer, idp.ledger().len())
}

#[tokio::test]
async fn every_page_is_emptied_and_seen_empty() {
    for count in [1, 2, 3, 7] {
        let sessions = Sessions::of(count);
        let (answer, _) = log_out(&sessions).await;
        assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted), "{count}: {:?}", answer.error);
        let sessions = sessions.lock().unwrap();
        assert!(sessions.live.is_empty() && sessions.ended == count, "{count}: {}", sessions.ended);
    }
    let (answer, calls) = log_out(&Sessions::of(0)).await;
    assert_eq!(
        (answer.verdict, calls),
        (Verdict::Done(Proof::AlreadyInvalid), 1),
        "there was nothing to end"
    );
}

#[tokio::test]
async fn an_attempt_that_breaks_off_is_gone_on_with() {
    let sessions = Sessions::of(5);
    sessions.lock().unwrap().fails_after = Some(3);
    assert_eq!(log_out(&sessions).await.0.verdict, Verdict::Transient);
    assert_eq!(sessions.lock().unwrap().live.len(), 2);
    sessions.lock().unwrap().fails_after = None;
    assert_eq!(log_out(&sessions).await.0.verdict, Verdict::Done(Proof::Accepted));
    assert_eq!(sessions.lock().unwrap().ended, 5, "each was ended once");
}

#[tokio::test]
async fn a_list_that_is_never_empty_is_no_success() {
    let sessions = Sessions::of(2);
    sessions.lock().unwrap().forgets = true;
    let (answer, _) = log_out(&sessions).await;
    assert_eq!(answer.verdict, Verdict::Transient);
    assert!(answer.error.unwrap().contains("goes on naming sessions that were ended"));
    assert_eq!(sessions.lock().unwrap().ended, 2, "none was ended twice");
}

#[tokio::test]
async fn nobody_is_kept_by_a_user_with_more_sessions_than_an_attempt_ends() {
    let sessions = Sessions::of(90);
    let mut attempts = 0;
    let verdict = loop {
        attempts += 1;
        let (answer, calls) = log_out(&sessions).await;
        assert!(calls < 900);
        if answer.verdict != Verdict::Transient || attempts > 5 {
            break answer.verdict;
        }
    };
    assert_eq!(verdict, Verdict::Done(Proof::Accepted));
    assert!(sessions.lock().unwrap().ended == 90 && attempts > 1, "{attempts}");
}

#[tokio::test]
async fn nothing_but_a_whole_list_is_believed() {
    let rows = [
        (200, r#"{"data":[]}"#, Verdict::Done(Proof::AlreadyInvalid)),
        (200, "{}", Verdict::Transient),
        (200, "", Verdict::Transient),
        (200, "<html>sign in</html>", Verdict::Transient),
        (200, r#"{"data":{}}"#, Verdict::Transient),
        (200, r#"{"data":[{"status":"active"}]}"#, Verdict::Transient),
        (200, r#"{"data":["#, Verdict::Transient),
        (404, r#"{"message":"not found"}"#, Verdict::Refused),
        (401, "", Verdict::Doubted),
        (403, "", Verdict::Doubted),
        (429, "", Verdict::Transient),
        (500, "", Verdict::Transient),
        (302, "", Verdict::Misconfigured),
    ];
    for (status, body, verdict) in rows {
        let idp = ScriptedIdp::start(move |_| Reply::status(status).body(body)).await;
        let lines = format!("kind = 'workos'\nbase_url = '{}'\napi_key = 's3'", idp.url());
        let answer = provider(&written::provider(&lines)).revoke(&subject("u")).await;
        assert_eq!(answer.verdict, verdict, "{status} {body}");
        assert_eq!(idp.ledger().len(), 1, "no session is ended: {status} {body}");
    }
}

/// Clerk's list is the answer itself.
#[tokio::test]
async fn a_list_may_be_the_answer_itself() {
    let left = Arc::new(Mutex::new(vec!["a", "b"]));
    let sessions = Arc::clone(&left);
    let idp = ScriptedIdp::start(move |request| {
        let mut left = sessions.lock().unwrap();
        match request.path.strip_prefix("/v1/sessions/") {
            Some(path) => {
                left.retain(|id| path != format!("{id}/revoke"));
                Reply::json(200, r#"{"status":"revoked"}"#)
            }
            None => Reply::json(
                200,
                json!(left.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()).to_string(),
            ),
        }
    })
    .await;
    let lines = format!("kind = 'clerk'\nbase_url = '{}'\napi_key = 's3'", idp.url());
    let answer = provider(&written::provider(&lines)).revoke(&subject("u")).await;
    assert_eq!(answer.verdict, Verdict::Done(Proof::Accepted));
    let paths: Vec<_> = idp.ledger().iter().map(|request| request.path.clone()).collect();
    let list = "/v1/sessions?user_id=u&status=active&limit=100";
    assert_eq!(paths, [list, "/v1/sessions/a/revoke", "/v1/sessions/b/revoke", list]);
}

/// Zitadel's list is a POST, and leaves out what is empty.
#[tokio::test]
async fn zitadels_sessions_are_ended_until_its_answer_has_none() {
    let sessions = Sessions::of(3);
    let shared = Arc::clone(&sessions);
    let idp = ScriptedIdp::start(move |request| {
        let mut sessions = shared.lock().unwrap();
        if let Some(id) = request.path.strip_prefix("/v2/sessions/").filter(|_| request.method == "DELETE") {
            let gone = sessions.live.remove(id);
            return Reply::json(if gone { 200 } else { 404 }, "{}");
        }
        let query: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(
            (request.path.as_str(), request.header("authorization")),
            ("/v2/sessions/search", Some("Bearer s3"))
        );
        assert_eq!(query["queries"], json!([{ "userIdQuery": { "id": "user/1" } }]));
        let listed: Vec<_> = sessions.live.iter().take(2).map(|id| json!({ "id": id })).collect();
        let mut answer = json!({ "details": { "timestamp": "2026-11-30T00:00:00Z" } });
        if !listed.is_empty() {
            answer["sessions"] = listed.into();
        }
        Reply::json(200, answer.to_string())
    })
    .await;
    let lines =
        |more: &str| format!("kind = 'zitadel'\nbase_url = '{}'\napi_token = 's3'\n{more}", idp.url());
    let listing = provider(&written::provider(&lines("list_sessions = true")));
    let verdict = async || listing.revoke(&subject("user/1")).await.verdict;
    assert_eq!(verdict().await, Verdict::Done(Proof::Accepted));
    assert!(sessions.lock().unwrap().live.is_empty());
    assert_eq!(verdict().await, Verdict::Done(Proof::AlreadyInvalid));
    // Only where it is said that the token sees all of them.
    let blind = provider(&written::provider(&lines("")));
    assert_eq!(blind.revoke(&subject("user/1")).await.verdict, Verdict::Unsupported);
}
