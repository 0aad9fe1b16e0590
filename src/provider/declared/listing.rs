//! A user whose sessions are only listed: list, end each, list again, until none is listed.
//!
//! An attempt that breaks off in between leaves nothing behind: the next one lists what is left. A list that
//! goes on naming a session that was ended is not believed to be empty; the target is tried again.

use std::collections::HashSet;

use serde_json::Value;

use super::constants::Constants;
use super::order::{Order, Parts};
use super::rules::{Condition, Meaning, Rules, at, text};
use super::template::{Name, Values};
use super::{Action, Declared};
use crate::config::HttpListConfig;
use crate::outcome::{Answer, Proof, Verdict};
use crate::provider::http::Http;
use crate::provider::reply::Reply;
use crate::provider::setup::{ProviderSetupError, Setup};

/// Most lists in one attempt, so that a provider whose lists never end holds nobody up.
const MAX_LISTS: usize = 40;
/// Most sessions that one attempt ends; the next one goes on.
const MAX_SESSIONS: usize = 400;

/// Where a user's sessions are listed.
pub(super) struct Listing {
    order: Order,
    refusals: Rules,
    items: String,
    id: String,
    empty_with: Option<String>,
    only: Vec<Condition>,
    /// The path to the next page's cursor, and the parameter that takes it.
    next: Option<(String, String)>,
}

/// One page of a list.
struct Page {
    ids: Vec<String>,
    next: Option<String>,
    /// The answer, as a success.
    answer: Answer,
}

impl Listing {
    /// The list of `config`; an error names the setting.
    pub(super) fn new(
        setup: &Setup<'_>,
        config: &HttpListConfig,
        constants: &Constants,
    ) -> Result<Self, ProviderSetupError> {
        let HttpListConfig { method, url, headers, json, .. } = config;
        let (form, json) = (&std::collections::BTreeMap::new(), json.as_ref());
        let parts =
            Parts { section: "sessions", method: *method, url, headers, form, json, names: &[Name::Sub] };
        let refuse = |key: &str, why: String| setup.refuse(&format!("sessions.{key}"), why);
        // A rule of members alone: an item has no status.
        let only = config.only.iter().map(|text| match text.split_once('=') {
            Some(_) => Condition::parse(text),
            None => Err(format!("{text} is no member=value")),
        });
        let none: &[String] = &[];
        let refusals = Rules::parse([
            ("rejected", Meaning::Rejected, config.rejected.as_slice()),
            ("", Meaning::Retry, none),
            ("", Meaning::Retry, none),
            ("", Meaning::Retry, none),
            ("", Meaning::Retry, none),
            ("", Meaning::Retry, none),
        ]);
        Ok(Self {
            order: Order::new(setup, &parts, constants)?,
            refusals: refusals.map_err(|(list, why)| refuse(list, why))?,
            items: config.items.clone(),
            id: config.id.clone(),
            empty_with: config.empty_with.clone(),
            only: only.collect::<Result<_, _>>().map_err(|why| refuse("only", why))?,
            next: config.next.clone().map(|next| (next, config.next_parameter.clone())),
        })
    }

    /// The call that lists.
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    fn items<'b>(&self, body: &'b Value) -> Option<&'b [Value]> {
        match (at(body, &self.items), &self.empty_with) {
            (Some(list), _) => list.as_array().map(Vec::as_slice),
            (None, Some(beside)) => at(body, beside).filter(|it| !it.is_null()).map(|_| &[][..]),
            (None, None) => None,
        }
    }

    /// What an answer lists. Nothing but a whole list, with an id in each item, is believed.
    fn read(&self, reply: &Reply<'_>) -> Result<Page, Answer> {
        if !reply.is_success() {
            return Err(self.refusals.judge(reply));
        }
        let body = reply.json();
        let items = body.as_ref().and_then(|body| self.items(body));
        let (Some(body), Some(items)) = (&body, items) else {
            return Err(reply.fails(Verdict::Transient, "no list of sessions in it, it will be tried again"));
        };
        let counts = |item: &&Value| self.only.iter().all(|condition| condition.holds_in(Some(item)));
        let id = |item: &Value| at(item, &self.id).filter(|id| id.is_string() || id.is_number()).map(text);
        let ids: Option<Vec<String>> = items.iter().filter(counts).map(id).collect();
        let ids = ids.ok_or_else(|| reply.fails(Verdict::Transient, "a session in it has no id"))?;
        let cursor = self.next.as_ref().and_then(|(next, _)| at(body, next)).filter(|next| !next.is_null());
        let next = cursor.map(text).filter(|cursor| !cursor.is_empty());
        Ok(Page { ids, next, answer: reply.done(Proof::Accepted) })
    }
}

/// Ends every session of `sub` that is listed.
pub(super) async fn run(declared: &Declared, http: &Http, listing: &Listing, sub: &str) -> Answer {
    let Some(session) = &declared.session else {
        return Answer::failed(Verdict::Unsupported, None, "no call is declared that ends a session");
    };
    end_all(declared, http, listing, session, sub).await.unwrap_or_else(|failure| failure)
}

async fn end_all(
    declared: &Declared,
    http: &Http,
    listing: &Listing,
    session: &Action,
    sub: &str,
) -> Result<Answer, Answer> {
    let constants = declared.constants.values();
    let values = Values { sub, ..constants };
    let (mut ended, mut cursor): (HashSet<String>, Option<String>) = (HashSet::new(), None);
    // Whether the pass over the pages that is under way has met no session.
    let mut is_clean = true;
    for _ in 0..MAX_LISTS {
        let more = listing.next.as_ref().zip(cursor.as_deref());
        let more = more.map(|((_, parameter), cursor)| (parameter.as_str(), cursor));
        let page = declared.send(http, &listing.order, &values, more, |reply| listing.read(reply)).await??;
        is_clean &= page.ids.is_empty();
        let fresh: Vec<String> = page.ids.into_iter().filter(|id| !ended.contains(id)).collect();
        let is_stuck = fresh.is_empty() && page.next.is_none() && !is_clean;
        for sid in fresh {
            if ended.len() >= MAX_SESSIONS {
                return Err(unfinished(ended.len(), "there are more, the next attempt goes on"));
            }
            let answer = declared.act(http, session, Values { sid: &sid, ..constants }).await;
            if !matches!(answer.verdict, Verdict::Done(_)) {
                return Err(answer);
            }
            ended.insert(sid);
        }
        match (page.next, is_clean) {
            (None, true) => return Ok(concluded(page.answer, ended.len())),
            (None, false) if is_stuck => {
                return Err(unfinished(ended.len(), "the list goes on naming sessions that were ended"));
            }
            (None, false) => (cursor, is_clean) = (None, true),
            (next, _) => cursor = next,
        }
    }
    Err(unfinished(ended.len(), "the list does not end"))
}

/// Nothing was left, now or from the beginning.
fn concluded(answer: Answer, ended: usize) -> Answer {
    let proof = if ended > 0 { Proof::Accepted } else { Proof::AlreadyInvalid };
    Answer { verdict: Verdict::Done(proof), ..answer }
}

fn unfinished(ended: usize, why: &str) -> Answer {
    Answer::failed(Verdict::Transient, None, format!("{ended} sessions were ended; {why}"))
}
