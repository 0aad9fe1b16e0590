//! `--watch`: the same again and again, as it stands then.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::CommandError;
use super::output::{remark, say, say_json, say_json_line};
use super::page::Page;

/// Options of commands whose result changes while one looks.
#[derive(clap::Args)]
pub(super) struct Watch {
    /// Show it again and again, until Ctrl-C; with --json an object a line
    #[arg(long)]
    watch: bool,
    /// How often
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = period, requires = "watch")]
    every: Duration,
}

/// A time between two looks.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    if period < Duration::from_millis(100) { Err("100ms is the least".to_owned()) } else { Ok(period) }
}

/// What a command found.
pub(super) enum Found {
    Page(Page),
    Json(Value),
}

impl Watch {
    /// Whether it is shown again and again.
    pub(super) fn is_on(&self) -> bool {
        self.watch
    }

    /// Shows what `look` finds, once or until Ctrl-C. While the database is away, what was found last stays.
    pub(super) async fn show(
        &self,
        look: impl AsyncFn() -> Result<Found, CommandError>,
    ) -> Result<(), CommandError> {
        if self.watch {
            return tokio::select! {
                ended = self.repeat(look) => ended,
                _ = tokio::signal::ctrl_c() => Ok(()),
            };
        }
        match look().await? {
            Found::Page(page) => page.say(),
            Found::Json(value) => say_json(&value),
        }
        Ok(())
    }

    async fn repeat(&self, look: impl AsyncFn() -> Result<Found, CommandError>) -> Result<(), CommandError> {
        let (mut ticker, mut screen) = (interval(self.every), Screen::new());
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticker.tick().await;
            match look().await {
                Ok(Found::Page(page)) => screen.show(&page),
                Ok(Found::Json(value)) => {
                    screen.place = None;
                    say_json_line(&value);
                }
                Err(error) if error.is_passing() => screen.is_away(&error),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where it is shown: in place on a terminal, else one page after the other.
struct Screen {
    place: Option<ProgressBar>,
    last: String,
    is_away: bool,
}

impl Screen {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let place = stdout()
            .is_terminal()
            .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_style(style));
        Self { place, last: String::new(), is_away: false }
    }

    fn show(&mut self, page: &Page) {
        if std::mem::take(&mut self.is_away) && self.place.is_none() {
            remark("the database is back");
        }
        match &self.place {
            Some(place) => {
                page.as_str().clone_into(&mut self.last);
                place.set_message(self.last.clone());
                place.tick();
            }
            None => {
                page.say();
                say("");
            }
        }
    }

    /// Says so; in a pipe once.
    fn is_away(&mut self, error: &CommandError) {
        let sentence = format!("{error}; trying again");
        match &self.place {
            Some(place) => {
                place.set_message(format!("{sentence}\n\n{}", self.last));
                place.tick();
            }
            None if self.is_away => {}
            None => remark(sentence),
        }
        self.is_away = true;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.abandon();
        }
    }
}
