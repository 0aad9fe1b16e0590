//! The page for people: how everything stands, one incident, one event, a search. It has no script and loads
//! nothing but its stylesheet. Its links are relative, so that a proxy can serve it under any path.

mod cell;
mod event;
mod frame;
mod incident;
mod look;
mod name;
mod overview;
mod plot;
mod search;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use maud::{Markup, html};
use revocation_http_server::{self as server, Reply, StatusCode};
use tokio::sync::Semaphore;
use url::form_urlencoded;

use self::frame::Frame;
use self::look::{Look, Shown};
use crate::store::{AuditRow, IncidentDetail, Overview, Question, StoreError, Story};
use crate::worker::Worker;

const STYLE: &str = include_str!("page/style.css");

/// So many questions about single things are put to Postgres at once.
const QUESTIONS: usize = 2;
/// So many single things are remembered, and looked at at once.
const REMEMBERED: usize = 100;
/// So many who ask are answered at once: of the few connections that there are, most are for health and
/// metrics, even while Postgres takes its time.
const ASKING: usize = 16;
/// Longest path and query. The longest source and id of an event take half of it where each byte is escaped.
const LONGEST_QUESTION: usize = 8 * 1024;

/// What the pages show, and when it was looked at.
pub(super) struct Pages {
    worker: Arc<Worker>,
    overview: Arc<Look<Overview>>,
    incidents: Remembered<Option<IncidentDetail>>,
    stories: Remembered<Story>,
    searches: Remembered<Vec<AuditRow>>,
    questions: Arc<Semaphore>,
    asking: Semaphore,
}

/// Looks at single things, by what was asked for.
struct Remembered<T>(Mutex<HashMap<String, Arc<Look<T>>>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Remembered<T> {
    /// `None` where as many looks as may be are under way.
    fn of(&self, asked: &str) -> Option<Arc<Look<T>>> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= REMEMBERED {
            looks.retain(|name, look| name == asked || Arc::strong_count(look) > 1);
        }
        if looks.len() >= REMEMBERED && !looks.contains_key(asked) {
            return None;
        }
        Some(looks.entry(asked.to_owned()).or_default().clone())
    }
}

/// What stands behind `?` in an address.
struct Asked(HashMap<String, String>);

impl Asked {
    fn of(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Pages {
    pub(super) fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            overview: Arc::default(),
            incidents: Remembered::default(),
            stories: Remembered::default(),
            searches: Remembered::default(),
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            asking: Semaphore::new(ASKING),
        }
    }

    /// Whether there is a page at this path.
    pub(super) fn has(path: &str) -> bool {
        matches!(path, "/" | "/page.css" | "/incident" | "/event" | "/search")
            || path.strip_prefix("/incident/").is_some_and(|name| !name.is_empty())
    }

    /// The page at a path that is there.
    pub(super) async fn answer(&self, path: &str, query: &str) -> Reply {
        if path == "/page.css" {
            return server::stylesheet(STYLE);
        }
        if path.len() + query.len() > LONGEST_QUESTION {
            return server::text(StatusCode::URI_TOO_LONG, "no name on record is so long\n");
        }
        let Ok(_place) = self.asking.try_acquire() else { return busy() };
        let asked = Asked::of(query);
        let frame = Frame::new(self.worker.instance(), self.worker.now(), asked.get("refresh"));
        match path {
            "/" => self.overview(frame).await,
            "/event" => self.event(frame, asked.get("source"), asked.get("id")).await,
            "/search" => self.search(frame, asked.get("q").trim()).await,
            "/incident" => self.incident(frame.of(&[("name", asked.get("name"))]), asked.get("name")).await,
            _ => self.incident(frame.below(), &name::decoded(&path["/incident/".len()..])).await,
        }
    }

    async fn overview(&self, frame: Frame<'_>) -> Reply {
        let worker = self.worker.clone();
        let shown = self.overview.get(|| async move { worker.overview().await }).await;
        let page = shown.seen.as_ref().map(|(overview, _)| overview::page(overview));
        reply(frame.titled("How everything stands"), &shown, page)
    }

    async fn incident(&self, frame: Frame<'_>, incident: &str) -> Reply {
        let (worker, name) = (self.worker.clone(), incident.to_owned());
        let ask = || self.one_of_few(async move { worker.incident(&name).await });
        let Some(look) = self.incidents.of(incident) else { return busy() };
        let shown = look.get(ask).await;
        let frame = frame.titled(&format!("Incident {incident}"));
        let found = shown.seen.as_ref().map(|(found, _)| found.as_ref().as_ref());
        match found {
            Some(None) => missing(
                frame,
                "No incident of this name is on record. It may still be in the broker, \
                or was refused.",
            ),
            Some(Some(detail)) => {
                let page = incident::page(&frame, detail, self.worker.now());
                reply(frame, &shown, Some(page))
            }
            None => reply(frame, &shown, None),
        }
    }

    async fn event(&self, frame: Frame<'_>, source: &str, id: &str) -> Reply {
        let frame = frame.of(&[("source", source), ("id", id)]).titled(&format!("Event {id}"));
        let (worker, (of, event)) = (self.worker.clone(), (source.to_owned(), id.to_owned()));
        let ask = || self.one_of_few(async move { worker.store().story(&of, &event).await });
        let Some(look) = self.stories.of(&format!("{source}\n{id}")) else { return busy() };
        let shown = look.get(ask).await;
        match shown.seen.as_ref().map(|(story, _)| story.clone()) {
            Some(story) if story.events.is_empty() => {
                missing(frame, "This event is not on record. It may still be in the broker, or was refused.")
            }
            story => {
                let page = story.map(|story| event::page(&frame, &story, (source, id)));
                reply(frame, &shown, page)
            }
        }
    }

    async fn search(&self, frame: Frame<'_>, wanted: &str) -> Reply {
        let frame = frame.titled("Search");
        let question = match search::question(wanted) {
            Ok(question) => question,
            Err(why) => return server::page(StatusCode::BAD_REQUEST, frame.still().page(None, why)),
        };
        let (worker, now) = (self.worker.clone(), self.worker.now());
        let ask = || {
            self.one_of_few(async move {
                let sources = if search::is_by_id(&question) {
                    worker.store().event_sources().await?.unwrap_or_default()
                } else {
                    Vec::new()
                };
                worker.store().audit(&Question { sources, ..question }, now).await
            })
        };
        let Some(look) = self.searches.of(wanted) else { return busy() };
        let shown = look.get(ask).await;
        let page = shown.seen.as_ref().map(|(rows, _)| search::page(rows, now));
        // What is on record under these letters is no token. Nothing else that was typed is ever shown.
        let found = shown.seen.as_ref().is_some_and(|(rows, _)| !rows.is_empty());
        reply(if found { frame.of(&[("q", wanted)]) } else { frame.still() }, &shown, page)
    }

    /// A question that waits for its turn among those about single things.
    fn one_of_few<T, A>(&self, ask: A) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, A>
    where
        A: Future<Output = Result<T, StoreError>> + Send,
    {
        let questions = self.questions.clone();
        async move {
            let _turn = questions.acquire_owned().await;
            ask.await
        }
    }
}

/// What was seen, with its age, and what is wrong with it. 503 where nothing was.
fn reply<T>(frame: Frame<'_>, shown: &Shown<T>, page: Option<Markup>) -> Reply {
    let age = shown.seen.as_ref().map(|(_, age)| *age);
    let status = if page.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let warning = shown.problem.as_ref().map(|problem| frame::warning(problem, age));
    let body = html! {
        (warning.unwrap_or_default())
        @match page {
            Some(page) => (page),
            None => h1 { "Nothing is known yet" },
        }
    };
    server::page(status, frame.page(age, body))
}

/// It would have to wait behind too many others.
fn busy() -> Reply {
    server::text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are asked for at once; ask again\n")
}

fn missing(frame: Frame<'_>, why: &str) -> Reply {
    server::page(StatusCode::NOT_FOUND, frame.page(None, html! { h1 { "Not on record" } p { (why) } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_looked_at_at_once_than_is_remembered() {
        let remembered = Remembered::<()>::default();
        let mut under_way: Vec<_> =
            (0..REMEMBERED).filter_map(|number| remembered.of(&number.to_string())).collect();
        assert_eq!(under_way.len(), REMEMBERED);
        assert!(remembered.of("another").is_none(), "all are under way");
        assert!(remembered.of("7").is_some(), "one of them");
        under_way.pop();
        assert!(remembered.of("another").is_some());
    }
}
