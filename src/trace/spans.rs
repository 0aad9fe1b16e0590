//! Spans: what was done of a trace, from when to when. Where nobody takes them, none is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use time::OffsetDateTime;

use super::Trace;
use crate::clock::Clock;

/// What whoever sends spans on takes them from.
pub type Queue = Receiver<Box<Ended>>;

/// What a span is of the work as a whole (OpenTelemetry `SpanKind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message is processed.
    Consumer,
    /// A message is sent.
    Producer,
    /// Another server is called.
    Client,
    /// None of these.
    Internal,
}

/// The value of an attribute. Never a token, a secret, an address with a path, or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A word of ours.
    Word(&'static str),
    /// A number.
    Number(i64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was done.
    pub name: String,
    /// What that is of the whole.
    pub kind: Kind,
    /// The span itself.
    pub trace: Trace,
    /// The span that it is a part of; `None` at the root.
    pub parent: Option<[u8; 8]>,
    /// Whether that one is another program's.
    pub is_parent_remote: bool,
    /// When it began.
    pub began: OffsetDateTime,
    /// When it ended.
    pub ended: OffsetDateTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong (`error.type`).
    pub error: Option<String>,
}

/// Where spans go. Clones share it; without one, a span is never made.
#[derive(Clone, Default)]
pub struct Spans(Option<Arc<Shared>>);

struct Shared {
    queue: SyncSender<Box<Ended>>,
    /// How many of the traces that begin here are recorded, from 0 to 1.
    ratio: f64,
    clock: Clock,
    exported: AtomicU64,
    not_taken: AtomicU64,
    dropped: AtomicU64,
}

impl Spans {
    /// Spans are taken from the queue, which holds at most `most`; what it has no room for is dropped and
    /// counted. Of the traces that begin here this part is recorded.
    pub fn queued(most: usize, ratio: f64, clock: Clock) -> (Self, Queue) {
        let (queue, ended) = sync_channel(most);
        let [exported, not_taken, dropped] = Default::default();
        (Self(Some(Arc::new(Shared { queue, ratio, clock, exported, not_taken, dropped }))), ended)
    }

    /// A message that came by `queue` is taken up at `began`: its span, where it is
    /// recorded. What follows has the trace that `given` is then: of the span, or what it was.
    pub fn take_up(&self, given: &mut Option<Trace>, queue: &str, began: OffsetDateTime) -> Option<Span> {
        let shared = self.0.as_ref()?;
        let (trace, parent) = match *given {
            Some(trace) => (trace.is_sampled().then(|| trace.next())?, Some(trace.span())),
            None => ((rand::random::<f64>() < shared.ratio).then(Trace::start)?, None),
        };
        *given = Some(trace);
        let span = ended(format!("process {queue}"), Kind::Consumer, trace, began);
        let span = Ended { parent, is_parent_remote: parent.is_some(), ..span };
        Some(Span { shared: shared.clone(), ended: Some(Box::new(span)) })
    }

    /// A part of a recorded trace begins.
    pub fn begin(&self, kind: Kind, name: &str, of: Trace) -> Option<Span> {
        let shared = self.0.as_ref().filter(|_| of.is_sampled())?;
        let span = ended(name.to_owned(), kind, of.next(), shared.clock.now());
        let span = Ended { parent: Some(of.span()), ..span };
        Some(Span { shared: shared.clone(), ended: Some(Box::new(span)) })
    }

    /// So many were sent on, or could not be.
    pub fn sent(&self, spans: usize, is_taken: bool) {
        if let Some(shared) = &self.0 {
            let count = if is_taken { &shared.exported } else { &shared.not_taken };
            count.fetch_add(spans as u64, Ordering::Relaxed);
        }
    }

    /// What became of spans, and of how many; nothing where there are none.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let Some(shared) = &self.0 else { return Vec::new() };
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            ("exported", count(&shared.exported)),
            ("not_taken", count(&shared.not_taken)),
            ("dropped", count(&shared.dropped)),
        ]
    }
}

fn ended(name: String, kind: Kind, trace: Trace, began: OffsetDateTime) -> Ended {
    Ended {
        name,
        kind,
        trace,
        parent: None,
        is_parent_remote: false,
        began,
        ended: began,
        attributes: Vec::new(),
        error: None,
    }
}

/// A span that is under way. It ends when it is dropped.
pub struct Span {
    shared: Arc<Shared>,
    ended: Option<Box<Ended>>,
}

impl Span {
    /// The trace for what this span leads to.
    pub fn trace(&self) -> Option<Trace> {
        self.ended.as_ref().map(|span| span.trace)
    }

    /// With an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.ended {
            span.attributes.push((name, value.into()));
        }
    }

    /// With what went wrong.
    pub fn fail(&mut self, error: impl Into<String>) {
        if let Some(span) = &mut self.ended {
            span.error = Some(error.into());
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut span) = self.ended.take() {
            span.ended = self.shared.clock.now().max(span.began);
            if self.shared.queue.try_send(span).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";

    fn given(sampled: u8) -> Option<Trace> {
        Trace::parse(&format!("{GIVEN}{sampled}"))
    }

    #[test]
    fn nothing_is_made_where_nobody_takes_it() {
        let spans = Spans::default();
        for before in [None, given(0), given(1)] {
            let mut trace = before;
            assert!(spans.take_up(&mut trace, "process", OffsetDateTime::UNIX_EPOCH).is_none());
            assert_eq!(trace, before);
        }
        assert!(spans.begin(Kind::Client, "POST", given(1).unwrap()).is_none());
        assert!(spans.counts().is_empty());
    }

    #[test]
    fn who_began_a_trace_says_whether_it_is_recorded() {
        for (ratio, before, recorded) in
            [(0.0, given(1), true), (1.0, given(0), false), (1.0, None, true), (0.0, None, false)]
        {
            let (spans, queue) = Spans::queued(8, ratio, Clock::default());
            let mut trace = before;
            let span = spans.take_up(&mut trace, "process", OffsetDateTime::UNIX_EPOCH);
            assert_eq!(span.is_some(), recorded, "{ratio}, {before:?}");
            drop(span);
            let ended = queue.try_recv().ok();
            assert_eq!(ended.as_ref().map(|ended| ended.trace), trace.filter(|_| recorded));
            assert_eq!(ended.and_then(|ended| ended.parent), before.filter(|_| recorded).map(Trace::span));
            if !recorded {
                assert_eq!(trace, before);
            } else if let Some(before) = before {
                assert_eq!(trace.unwrap().id(), before.id());
                assert_ne!(trace.unwrap().span(), before.span());
            }
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted() {
        let (spans, queue) = Spans::queued(2, 1.0, Clock::default());
        (0..5).for_each(|_| drop(spans.begin(Kind::Producer, "send", given(1).unwrap())));
        assert_eq!(spans.counts(), [("exported", 0), ("not_taken", 0), ("dropped", 3)]);
        drop(queue);
        drop(spans.begin(Kind::Producer, "send", given(1).unwrap()));
        assert_eq!(spans.counts()[2], ("dropped", 4));
    }
}
