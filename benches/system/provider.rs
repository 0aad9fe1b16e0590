//! The pretend provider: a process of its own, so that its cost is counted apart, that answers every request
//! with 200, but for poison and for first requests that it is told to fail. It keeps count, by the event
//! number that both tokens of an event end in, and answers questions on its standard input.

use std::collections::HashSet;
use std::io::{self, BufRead, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::load::NUMBER_DIGITS;
use crate::measure::now_us;
use crate::poison;

/// More than any load has.
const MOST_EVENTS: usize = 100_000_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILURE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// What the provider has received since the last reset.
#[derive(Default)]
struct Ledger {
    /// Without those that failed.
    posts: u64,
    /// By event number: when the event's latest token came, in microseconds since 1970.
    latest_us: Vec<i64>,
    /// By event number: how often its access token came, and its refresh token.
    times: Vec<[u8; 2]>,
    /// Tokens whose first request failed: event number, and whether it is the refresh token.
    failed: HashSet<(usize, bool)>,
}

/// How it answers from now on.
#[derive(Clone, Copy)]
struct Manner {
    delay: Duration,
    /// The share (0 to 1) of tokens whose first request fails with 503.
    failing: f64,
}

impl Manner {
    /// From `delay_ms failing`.
    fn parse(text: &str) -> Option<Self> {
        let (delay_ms, failing) = text.split_once(' ')?;
        Some(Self { delay: Duration::from_millis(delay_ms.parse().ok()?), failing: failing.parse().ok()? })
    }
}

impl Ledger {
    /// Returns whether the request fails.
    fn note(&mut self, form: &[u8], failing: f64) -> bool {
        let event = event_number(form);
        if let Some(event) = event
            && is_chosen(event, is_refresh(form), failing)
            && self.failed.insert((event, is_refresh(form)))
        {
            return true;
        }
        self.posts += 1;
        let Some(event) = event else { return false };
        if self.latest_us.len() <= event {
            self.latest_us.resize(event + 1, 0);
            self.times.resize(event + 1, [0; 2]);
        }
        self.latest_us[event] = now_us();
        let times = &mut self.times[event][usize::from(is_refresh(form))];
        *times = times.saturating_add(1);
        false
    }

    fn reply(&mut self, question: &str) -> String {
        match question {
            "posts" => self.posts.to_string(),
            "latest_us" => serde_json::json!(self.latest_us).to_string(),
            "times" => serde_json::json!(self.times).to_string(),
            _ => {
                *self = Self::default();
                "reset".to_owned()
            }
        }
    }
}

/// Whether a token is among the share that fails at first: the same ones in each run, spread evenly.
fn is_chosen(event: usize, is_refresh: bool, share: f64) -> bool {
    let golden = (2 * event + usize::from(is_refresh)) as f64 * 0.618_033_988_749_895;
    golden.fract() < share
}

/// The provider's process: prints its port, then a line for each line it reads; ends with its standard input.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(delay: Duration) -> Result {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let manner = Arc::new(Mutex::new(Manner { delay, failing: 0.0 }));
    let (asked, told) = (ledger.clone(), manner.clone());
    let (ended_tx, mut ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ended = ended_tx;
        answer_questions(&asked, &told)
    });
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = &mut ended => return Ok(()),
        };
        tokio::spawn(answer_requests(stream, ledger.clone(), manner.clone()));
    }
}

fn answer_questions(ledger: &Mutex<Ledger>, manner: &Mutex<Manner>) -> io::Result<()> {
    for question in io::stdin().lock().lines() {
        let question = question?;
        let reply = match Manner::parse(&question) {
            Some(new) => {
                *manner.lock().unwrap_or_else(PoisonError::into_inner) = new;
                question
            }
            None => ledger.lock().unwrap_or_else(PoisonError::into_inner).reply(&question),
        };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{reply}")?;
        stdout.flush()?;
    }
    Ok(())
}

async fn answer_requests(
    mut stream: TcpStream,
    ledger: Arc<Mutex<Ledger>>,
    manner: Arc<Mutex<Manner>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8192);
    loop {
        let Some((head, end)) = whole_request(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let Manner { delay, failing } = *manner.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = ledger.lock().unwrap_or_else(PoisonError::into_inner).note(&buffer[head..end], failing);
        let refusal = if fails { Some(FAILURE.to_vec()) } else { poison::answer(&buffer[head..end]) };
        buffer.drain(..end);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        stream.write_all(refusal.as_deref().unwrap_or(ANSWER)).await?;
    }
}

/// Where the body of the request at the start of `buffer` begins and ends, once it is all there.
fn whole_request(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let fields = std::str::from_utf8(&buffer[..head]).ok()?.lines().filter_map(|line| line.split_once(':'));
    let length = fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.trim().parse().ok());
    let end = head + length.unwrap_or(0);
    (buffer.len() >= end).then_some((head, end))
}

/// The number at the end of the form's `token`. The worker's probes are of random tokens, which may end in
/// digits, too.
fn event_number(form: &[u8]) -> Option<usize> {
    let token = form.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(b"token="))?;
    let number =
        std::str::from_utf8(token.get(token.len().checked_sub(NUMBER_DIGITS)?..)?).ok()?.parse().ok()?;
    (number < MOST_EVENTS).then_some(number)
}

fn is_refresh(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').any(|field| field == b"token_type_hint=refresh_token")
}

/// The benchmark's handle to the provider's process. Dropping it ends the process.
pub(crate) struct Provider {
    pub(crate) pid: u32,
    pub(crate) url: String,
    questions: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Provider {
    /// Starts it; returns when it listens.
    pub(crate) async fn start(delay_ms: u64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["provider", &delay_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let (Some(pid), Some(questions), Some(stdout)) =
            (child.id(), child.stdin.take(), child.stdout.take())
        else {
            return Err("the pretend provider ended at its start".into());
        };
        let mut replies = BufReader::new(stdout).lines();
        let port = replies.next_line().await?.ok_or("the pretend provider did not say its port")?;
        Ok(Self { pid, url: format!("http://127.0.0.1:{port}/revoke"), questions, replies, _child: child })
    }

    /// From now on answers after `delay_ms`, and fails the first request of that share of tokens.
    pub(crate) async fn behave(&mut self, delay_ms: u64, failing: f64) -> Result {
        self.ask(&format!("{delay_ms} {failing}")).await.map(drop)
    }

    /// Requests received, without those that failed.
    pub(crate) async fn posts(&mut self) -> Result<u64> {
        Ok(self.ask("posts").await?.parse()?)
    }

    /// When each event's latest token came, by event number, in microseconds since 1970.
    pub(crate) async fn latest_us(&mut self) -> Result<Vec<i64>> {
        Ok(serde_json::from_str(&self.ask("latest_us").await?)?)
    }

    /// How often each event's access token came, and its refresh token, by event number.
    pub(crate) async fn times(&mut self) -> Result<Vec<[u8; 2]>> {
        Ok(serde_json::from_str(&self.ask("times").await?)?)
    }

    /// Forgets everything.
    pub(crate) async fn reset(&mut self) -> Result {
        self.ask("reset").await.map(drop)
    }

    async fn ask(&mut self, question: &str) -> Result<String> {
        self.questions.write_all(format!("{question}\n").as_bytes()).await?;
        Ok(self.replies.next_line().await?.ok_or("the pretend provider has ended")?)
    }
}
