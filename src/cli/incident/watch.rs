//! `incident watch`: a screen that stays current, until the incident is finished.

use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use super::words::{pace, residual_risk, states};
use super::{Name, unknown};
use crate::attention::call_for_action;
use crate::cli::CommandError;
use crate::cli::output::{printable, remark, say, say_json_line};
use crate::cli::watch::period;
use crate::store::{IncidentDetail, ResidualRisk, Store, StoreError};

/// The residual risk is read at most so often: that reads every target.
const RISK_EVERY: Duration = Duration::from_secs(10);

/// Options of `incident watch`.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    incident: Name,
    /// How often to look
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = period)]
    every: Duration,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Ctrl-C ends it as its own end does: nothing depends on it.
pub(super) async fn run(store: &Store, args: &Args) -> Result<(), CommandError> {
    let mut screen = Screen::new(args.json);
    let ended = tokio::select! {
        ended = follow(store, args, &mut screen) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    screen.end();
    store.close().await;
    ended
}

async fn follow(store: &Store, args: &Args, screen: &mut Screen) -> Result<(), CommandError> {
    let (mut ticker, mut risk) = (interval(args.every), Risk::default());
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticker.tick().await;
        match poll(store, &args.incident.name, &mut risk, screen).await {
            Ok(Some((incident, is_fresh))) => {
                screen.show(&incident, is_fresh);
                if incident.row.finished_at.is_some() {
                    return Ok(());
                }
            }
            Ok(None) => return Err(unknown(&args.incident.name)),
            Err(error) if error.is_passing() => screen.is_away(&error),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The residual risk as it was read last, and when that was.
#[derive(Default)]
struct Risk {
    found: Option<(Instant, ResidualRisk)>,
}

/// The incident with its residual risk, and whether that was read now, as it is where the incident has ended.
/// A terminal does not wait for that.
async fn poll(
    store: &Store,
    name: &str,
    risk: &mut Risk,
    screen: &Screen,
) -> Result<Option<(IncidentDetail, bool)>, StoreError> {
    let Some(mut incident) = store.incident(name).await? else { return Ok(None) };
    incident.operations = None;
    incident.residual_risk = risk.found.as_ref().map(|(_, risk)| risk.clone());
    let is_known = risk.found.as_ref().is_some_and(|(at, _)| at.elapsed() < RISK_EVERY);
    let is_fresh = !is_known || incident.row.finished_at.is_some();
    if is_fresh {
        screen.preview(&incident);
        let found = store.exposure(name).await?.residual_risk;
        risk.found = Some((Instant::now(), found.clone()));
        incident.residual_risk = Some(found);
    }
    Ok(Some((incident, is_fresh)))
}

/// Where it is shown: bars on a terminal, else lines.
struct Screen {
    bars: Option<Bars>,
    json: bool,
    is_away: bool,
}

impl Screen {
    fn new(json: bool) -> Self {
        Self { bars: (!json && stdout().is_terminal()).then(Bars::new), json, is_away: false }
    }

    fn show(&mut self, incident: &IncidentDetail, is_fresh: bool) {
        if std::mem::take(&mut self.is_away) {
            remark("the database is back");
        }
        match &self.bars {
            Some(bars) => bars.show(incident),
            None if self.json => say_json_line(incident),
            None => {
                say(printable(&line(incident)));
                if is_fresh {
                    open(incident).iter().for_each(|sentence| say(printable(sentence)));
                }
            }
        }
    }

    fn preview(&self, incident: &IncidentDetail) {
        if let Some(bars) = &self.bars {
            bars.show(incident);
        }
    }

    /// Says so once.
    fn is_away(&mut self, error: &StoreError) {
        let sentence = format!("{error}; trying again");
        match &self.bars {
            Some(bars) => bars.head.set_message(printable(&sentence)),
            None if self.is_away => {}
            None => remark(sentence),
        }
        self.is_away = self.bars.is_none();
    }

    fn end(&self) {
        if let Some(bars) = &self.bars {
            bars.end();
        }
    }
}

/// How it stands, in one line.
fn line(incident: &IncidentDetail) -> String {
    let row = &incident.row;
    let denied = format!("{}: denied {} of {}", head(incident), row.denied, row.targets_received);
    let parts = [denied, states(&row.counts), pace(row)];
    parts.join("; ")
}

/// What it leaves open, a line each.
fn open(incident: &IncidentDetail) -> Vec<String> {
    let open = incident.residual_risk.iter().flat_map(residual_risk);
    open.map(|sentence| format!("incident {} leaves open: {sentence}", incident.row.incident)).collect()
}

fn head(incident: &IncidentDetail) -> String {
    format!("incident {} {}", incident.row.incident, incident.row.state)
}

/// The screen on a terminal.
struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    denied: ProgressBar,
    finished: ProgressBar,
    pace: ProgressBar,
    risk: ProgressBar,
}

impl Bars {
    fn new() -> Self {
        // Drawn once there is something to show.
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let add = |template: &str| {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            all.add(ProgressBar::new(0).with_style(style))
        };
        let (text, bar) = ("{msg}", "{prefix:8} {wide_bar} {human_pos} of {human_len} {percent:>3} %");
        let (head, denied, finished) =
            (add(text), add(bar).with_prefix("denied"), add(bar).with_prefix("finished"));
        let (pace, risk) = (add(text), add(text));
        Self { all, head, denied, finished, pace, risk }
    }

    fn show(&self, incident: &IncidentDetail) {
        let row = &incident.row;
        let call = call_for_action(row)
            .map(|call| format!("\n>>> {}", printable(&call.to_string())))
            .unwrap_or_default();
        self.head.set_message(format!("{}{call}", printable(&head(incident))));
        let (received, open) = (row.targets_received, row.counts.pending + row.counts.parked);
        let targets = u64::try_from(row.targets.unwrap_or(0)).unwrap_or(0);
        for (bar, done) in [(&self.denied, row.denied), (&self.finished, received.saturating_sub(open))] {
            bar.set_length(targets.max(received));
            bar.set_position(done);
        }
        self.pace.set_message(format!("{}\n{}", pace(row), states(&row.counts)));
        let open = incident.residual_risk.as_ref().map(residual_risk);
        self.risk.set_message(match open.as_deref() {
            None => "residual risk: being looked for".to_owned(),
            Some([]) => "residual risk: none".to_owned(),
            Some(open) => {
                let open: Vec<_> = open.iter().map(|sentence| printable(sentence)).collect();
                format!("residual risk: {}", open.join("\n"))
            }
        });
        if self.all.is_hidden() {
            self.all.set_draw_target(ProgressDrawTarget::stdout());
            self.parts().into_iter().for_each(ProgressBar::tick);
        }
    }

    /// The last screen stays.
    fn end(&self) {
        self.parts().into_iter().for_each(ProgressBar::abandon);
    }

    fn parts(&self) -> [&ProgressBar; 5] {
        [&self.head, &self.denied, &self.finished, &self.pace, &self.risk]
    }
}
