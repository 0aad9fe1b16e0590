//! `audit verify`: is the record what its checkpoints say, and are these what was published?

mod report;

use std::path::Path;

use revocation_evidence::{Hash, PublicKey};
use time::{Duration, OffsetDateTime};

use self::report::Report;
use super::{Moment, moment};
use crate::broker::Broker;
use crate::checkpoint::Chain;
use crate::cli::CommandError;
use crate::cli::operator::open_store;
use crate::config::{AmqpConfig, AuditVerifySettings, Environment, InvalidationConfig};

const HELP: &str = include_str!("verify.txt");

/// How far before the last checkpoint the log is read: it was published a moment after it was made.
const BEFORE_LAST: Duration = Duration::minutes(2);

/// Compares the record with its checkpoints, and these with those in the log of the invalidations.
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(super) struct Args {
    /// Begin with the checkpoint that covers this time: 2h (ago), 7d, or RFC 3339 [default: the first]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// A digest of a worker's log line "checkpoint of the record" that must be found; may be given several
    /// times
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    checkpoint: Vec<Hash>,
    /// A key to trust, instead of the configured ones: the public key as `keygen --signing` printed it; may
    /// be given several times
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    public_key: Vec<PublicKey>,
    /// Believe whoever signed: compare the fingerprints yourself
    #[arg(long)]
    any_signer: bool,
    /// Longest time that a row may have been written after its own time without being a finding
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    late: std::time::Duration,
    /// Do not look into the log of the invalidations
    #[arg(long)]
    offline: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn digest(text: &str) -> Result<Hash, &'static str> {
    Hash::parse(text).ok_or("not 64 lower-case hexadecimal digits")
}

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::parse(text).ok_or(
        "not an Ed25519 public key as `keygen --signing` prints it: base64 that begins with MCowBQYDK2VwAyEA",
    )
}

pub(super) async fn run(path: Option<&Path>, args: &Args) -> Result<(), CommandError> {
    let settings = AuditVerifySettings::load(path, &Environment::of_process())?;
    let store = open_store(&settings.database).await?;
    let trusted = if args.public_key.is_empty() { settings.trusted } else { args.public_key.clone() };
    let trusted = (!args.any_signer).then_some(trusted);
    let since = args.since.map(|since| since.before(OffsetDateTime::now_utc()));
    let mut report = Report::new(&args.checkpoint);
    let mut verification = store.verification(|within| Chain::new(trusted, within), since).await?;
    while let Some(page) = verification.page().await? {
        report.add(page);
    }
    report.note_late(&store.late_rows(args.late, since).await?, args.late);
    drop(verification);
    store.close().await;
    match (&settings.amqp, args.offline) {
        (_, true) => report.remark("the log of the invalidations was not looked into (--offline)"),
        (None, _) => report.remark(
            "the log of the invalidations was not looked into, since amqp.url is not set: whether the last \
                checkpoints were cut off is not known",
        ),
        (Some(amqp), _) => compare_log(amqp, &mut report).await,
    }
    report.end(args.json)
}

/// Checkpoints in the log that are not those on record.
async fn compare_log(amqp: &AmqpConfig, report: &mut Report) {
    let broker = match Broker::new(amqp, &InvalidationConfig::default(), "audit-verify") {
        Ok(broker) => broker,
        Err(error) => return report.remark(&format!("the log was not looked into: {error}")),
    };
    let since = report.last_made().map_or(OffsetDateTime::UNIX_EPOCH, |last| last - BEFORE_LAST);
    match broker.checkpoints(since).await {
        Ok(published) => {
            let published = published.into_iter().map(|one| (one.checkpoint, one.sha256));
            report.compare_published(&published.collect::<Vec<_>>());
        }
        Err(error) => report.remark(&format!("the log of the invalidations was not looked into: {error}")),
    }
}
