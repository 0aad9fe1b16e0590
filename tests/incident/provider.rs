//! The provider of these tests: it remembers what it revoked and when it was called, takes its time, and
//! fails as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::scripted_idp::{Memory, Reply, Request, ScriptedIdp};

/// How often the ledger looks at the clock, and a pause that is worth noting.
const TICK: Duration = Duration::from_millis(5);
const STALL: Duration = Duration::from_millis(5);

/// A call as it arrived. No `Debug`: it holds a token.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) token: String,
    /// Who called: the credentials, as they were sent.
    pub(crate) caller: String,
}

type Mood = Box<dyn Fn(&Call) -> Option<Reply> + Send>;

/// A provider with a ledger that tells time.
pub(crate) struct Provider {
    idp: ScriptedIdp,
    calls: Arc<Mutex<Vec<Call>>>,
    mood: Arc<Mutex<Mood>>,
    /// When this process came back from how long a pause, which made calls that had arrived one after the
    /// other look as one.
    stalls: Arc<Mutex<Vec<(Instant, Duration)>>>,
    clock: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

impl Provider {
    /// Answers every call after `delay`, and remembers.
    pub(crate) async fn start(delay: Duration) -> Self {
        let (calls, mood, memory) =
            (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(well())), Memory::default());
        let idp = ScriptedIdp::start({
            let (calls, mood) = (calls.clone(), mood.clone());
            move |request: &Request| {
                let caller = request.header("authorization").unwrap_or_default().to_owned();
                let call =
                    Call { at: Instant::now(), token: request.field("token").unwrap_or_default(), caller };
                let reply = mood.lock().expect("no panic")(&call);
                calls.lock().expect("no panic").push(call);
                reply.unwrap_or_else(|| memory.answer(request).body("+").slowly(delay))
            }
        });
        let stalls = Arc::new(Mutex::new(Vec::new()));
        Self { idp: idp.await, calls, mood, stalls: stalls.clone(), clock: tokio::spawn(tick(stalls)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}/revoke", self.idp.url())
    }

    /// From now on it answers as `mood` says; `None` is its ordinary answer.
    pub(crate) fn turns(&self, mood: impl Fn(&Call) -> Option<Reply> + Send + 'static) {
        *self.mood.lock().expect("no panic") = Box::new(mood);
    }

    /// From now on it works.
    pub(crate) fn recovers(&self) {
        *self.mood.lock().expect("no panic") = well();
    }

    /// Every call so far, in the order of arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic").clone()
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.calls.lock().expect("no panic").len()
    }

    /// Calls by token.
    pub(crate) fn by_token(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        self.calls().into_iter().for_each(|call| *counts.entry(call.token).or_default() += 1);
        counts
    }

    /// Most calls that a second from `since` on may show at a rate: a tenth more than the rate, one call a
    /// worker, and what a pause of this machine put together.
    pub(crate) fn most(&self, rate: usize, since: Instant) -> usize {
        let stalls = self.stalls.lock().expect("no panic");
        let longest =
            stalls.iter().filter(|(at, _)| *at >= since).map(|(_, stall)| *stall).max().unwrap_or_default();
        (rate as f64 * (1.1 + longest.as_secs_f64())) as usize + 2
    }

    /// When the calls from `since` on arrived.
    pub(crate) fn times_since(&self, since: Instant) -> Vec<Instant> {
        self.calls().iter().map(|call| call.at).filter(|at| *at >= since).collect()
    }
}

async fn tick(stalls: Arc<Mutex<Vec<(Instant, Duration)>>>) {
    let (mut ticks, mut last) = (tokio::time::interval(TICK), Instant::now());
    loop {
        ticks.tick().await;
        let stall = last.elapsed().saturating_sub(TICK);
        last = Instant::now();
        if stall > STALL {
            stalls.lock().expect("no panic").push((last, stall));
        }
    }
}

fn well() -> Mood {
    Box::new(|_| None)
}

/// The most of these moments within any second.
pub(crate) fn busiest_second(times: &[Instant]) -> usize {
    let second = Duration::from_secs(1);
    let within = |(first, start): (usize, &Instant)| {
        times[first..].iter().take_while(|at| **at < *start + second).count()
    };
    times.iter().enumerate().map(within).max().unwrap_or(0)
}

#[test]
fn the_busiest_second_is_found_wherever_it_begins() {
    let start = Instant::now();
    let times: Vec<_> = [0, 900, 950, 1000, 1899, 3000].map(|ms| start + Duration::from_millis(ms)).to_vec();
    assert_eq!(busiest_second(&times), 4);
    assert_eq!(busiest_second(&[]), 0);
}
