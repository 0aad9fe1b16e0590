//! `sandbox`: the whole thing on private servers, seen from outside.

mod figures;
mod screen;

use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use revocation_sandbox::{
    Login, Observer, OidcProvider, Postgres, RabbitMq, SandboxError, Service, Surroundings, WorkerProcess,
};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::figures::{Figures, Left};
use self::screen::Screen;
use super::CommandError;
use super::interrupt::interruption;
use super::output::say;
use crate::seal;

/// So many users are logged out one after another, so that the times are those of a single logout; more,
/// [`AT_ONCE`] at a time.
const ONE_BY_ONE: u16 = 20;
const AT_ONCE: usize = 8;

/// Stays logged in, to show that not everything is refused.
const BYSTANDER: &str = "bystander";

/// Options of `sandbox`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// How many users are logged in and out
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=2000))]
    users: u16,
    /// Leave everything running until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print nothing but the figures, as JSON
    #[arg(long)]
    json: bool,
    /// Only start RabbitMQ and PostgreSQL, print their addresses as shell assignments, and keep them until
    /// Ctrl-C
    #[arg(long, conflicts_with_all = ["users", "keep", "json"])]
    servers: bool,
}

/// Everything that runs. Fields drop in this order: the servers last.
struct Parts {
    service: Service,
    worker: WorkerProcess,
    oidc: OidcProvider,
    rabbitmq: RabbitMq,
    postgres: Postgres,
}

/// Whatever ends this, dropping the parts ends every process and removes every directory of theirs.
pub(super) async fn run(args: &Args) -> Result<(), CommandError> {
    let interrupted = interruption()?;
    if args.servers {
        return hold_servers(&interrupted).await;
    }
    let screen = Screen::new(args.json, args.keep);
    let (_parts, figures) = tokio::select! {
        ended = demonstrate(args, &screen) => ended?,
        () = interrupted.cancelled() => return Err(CommandError::failed("interrupted; ending and removing \
            what was started")),
    };
    if args.keep {
        interrupted.cancelled().await;
        screen.say("\nEnding and removing everything.");
    }
    figures.verdict().map_err(CommandError::Failed)
}

/// The last assignment says that both servers answer.
async fn hold_servers(interrupted: &CancellationToken) -> Result<(), CommandError> {
    let quiet = Screen::new(true, false);
    let rabbitmq = timed(&quiet, "RabbitMQ", RabbitMq::start, RabbitMq::url);
    let postgres = timed(&quiet, "PostgreSQL", Postgres::start, Postgres::url);
    let (rabbitmq, postgres) = tokio::select! {
        both = async { tokio::try_join!(rabbitmq, postgres) } => both?,
        () = interrupted.cancelled() => return Err(CommandError::failed("interrupted while booting")),
    };
    say(format_args!("AMQP_URL='{}'", rabbitmq.url()));
    say(format_args!("RABBITMQ_MANAGEMENT_URL='{}'", rabbitmq.management_url()));
    say(format_args!("DATABASE_URL='{}'", postgres.url()));
    interrupted.cancelled().await;
    Ok(())
}

async fn demonstrate(args: &Args, screen: &Screen) -> Result<(Parts, Figures), CommandError> {
    let parts = boot(screen).await?;
    let (figures, bystander) = watch(args, screen, &parts).await?;
    screen.summary(&figures);
    screen.look_around(&parts, &bystander)?;
    Ok((parts, figures))
}

async fn watch(args: &Args, screen: &Screen, parts: &Parts) -> Result<(Figures, Login), CommandError> {
    let observer =
        Observer::new(&parts.rabbitmq.url(), &parts.postgres.url(), &parts.oidc, &parts.service).await?;
    let bystander = observer.log_in(BYSTANDER).await?;
    let users = stream::iter(1..=args.users).map(async |user| observer.log_in(&format!("user-{user}")).await);
    let users: Vec<Login> = users.buffered(AT_ONCE).try_collect().await?;
    let good = Left::count(&observer, &users).await?;
    screen.issued(&users, &good);
    if (good.accepted, good.active) != (users.len(), 2 * users.len()) {
        return Err(CommandError::failed(
            "a token was no good before anyone had logged out, so its end would prove nothing",
        ));
    }
    let figures = log_out(&observer, screen, &users, &parts.oidc).await?;
    let (left, kept) = (Left::count(&observer, &users).await?, Left::of(&observer, &bystander).await?);
    Ok((figures.with_end(left, kept), bystander))
}

async fn log_out(
    observer: &Observer<'_>,
    screen: &Screen,
    users: &[Login],
    oidc: &OidcProvider,
) -> Result<Figures, CommandError> {
    let at_once = if users.len() <= usize::from(ONE_BY_ONE) { 1 } else { AT_ONCE };
    let timelines =
        stream::iter(users).map(async |user| observer.log_out(user).await.map(|timeline| (user, timeline)));
    let mut timelines = timelines.buffered(at_once);
    let mut figures = Figures::new(oidc.is_real());
    screen.timeline_head(at_once);
    while let Some((user, timeline)) = timelines.try_next().await? {
        screen.timeline(figures.users, user, &timeline);
        figures.add(user, &timeline);
    }
    Ok(figures)
}

async fn boot(screen: &Screen) -> Result<Parts, CommandError> {
    screen.say("Starting private servers in temporary directories, side by side");
    let rabbitmq =
        timed(screen, "RabbitMQ", RabbitMq::start, |rabbitmq| screen::without_password(&rabbitmq.url()));
    let postgres =
        timed(screen, "PostgreSQL", Postgres::start, |postgres| screen::without_password(&postgres.url()));
    let (rabbitmq, postgres, oidc) = tokio::try_join!(rabbitmq, postgres, authorization_server(screen))?;
    let (amqp_url, database_url) = (rabbitmq.url(), postgres.url());
    let program = std::env::current_exe().map_err(CommandError::failed)?;
    let sealing_key = seal::generate("sandbox").map_err(CommandError::failed)?;
    let start = move || {
        let surroundings = Surroundings {
            program: &program,
            sealing_key: sealing_key.expose(),
            amqp_url: &amqp_url,
            database_url: &database_url,
            provider: &oidc,
        };
        WorkerProcess::start(&surroundings).map(|worker| (worker, oidc))
    };
    let (worker, oidc) = timed(screen, "worker", start, |(worker, _)| {
        format!("a process of its own at {}", worker.http_url())
    })
    .await?;
    let started = Instant::now();
    let service = Service::start(&rabbitmq.url()).await?;
    screen.started("service", &format!("verifies tokens at {}", service.url()), started.elapsed());
    Ok(Parts { service, worker, oidc, rabbitmq, postgres })
}

/// The real one, else the stand-in; either way it is said which.
async fn authorization_server(screen: &Screen) -> Result<OidcProvider, SandboxError> {
    let describe = |oidc: &OidcProvider| format!("npm's oidc-provider at {}", oidc.issuer());
    match timed(screen, "OAuth server", OidcProvider::start, describe).await {
        Ok(oidc) => Ok(oidc),
        Err(error) => {
            let started = Instant::now();
            let oidc = OidcProvider::pretend().await?;
            screen.started(
                "OAuth server",
                &format!("built-in, pretending, at {}", oidc.issuer()),
                started.elapsed(),
            );
            screen.detail(&format!("not npm's oidc-provider: {}", error.brief()));
            Ok(oidc)
        }
    }
}

/// Runs a blocking start and says how long it took.
async fn timed<T: Send + 'static>(
    screen: &Screen,
    name: &str,
    start: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
    describe: impl FnOnce(&T) -> String,
) -> Result<T, SandboxError> {
    let started = Instant::now();
    let ended = spawn_blocking(start).await;
    let part = ended.map_err(|error| SandboxError::Failed {
        program: format!("the start of {name}"),
        detail: error.to_string(),
    })??;
    screen.started(name, &describe(&part), started.elapsed());
    Ok(part)
}

impl From<SandboxError> for CommandError {
    fn from(error: SandboxError) -> Self {
        Self::failed(error)
    }
}
