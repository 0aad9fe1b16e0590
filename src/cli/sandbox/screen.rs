//! What the demo prints, for 80 columns. No token: the first eight digits of its SHA-256.

use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use url::Url;

use super::Parts;
use super::figures::{Figures, Left, Step, short};
use crate::cli::output::{count, say, say_json};
use revocation_sandbox::{Login, SandboxError, Timeline, event};

/// So many users have a line of their own.
const SHOWN: usize = 20;

/// Where the demo speaks.
pub(super) struct Screen {
    json: bool,
    keep: bool,
}

impl Screen {
    pub(super) fn new(json: bool, keep: bool) -> Self {
        Self { json, keep }
    }

    pub(super) fn say(&self, line: impl std::fmt::Display) {
        if !self.json {
            say(line);
        }
    }

    /// One part is up.
    pub(super) fn started(&self, name: &str, what: &str, took: Duration) {
        self.say(format_args!("  {name:<12}  {what:<56} {:>5.1} s", took.as_secs_f64()));
    }

    /// More about the line before.
    pub(super) fn detail(&self, text: &str) {
        self.say(format_args!("  {:<12}  {text}", ""));
    }

    pub(super) fn issued(&self, users: &[Login], good: &Left) {
        let (logins, Left { accepted, active }) = (users.len(), good);
        self.say(format_args!(
            "\nLogged in: {} and a bystander, with an access and a refresh token each",
            count(logins, "user")
        ));
        let all = 2 * logins;
        self.say(format_args!(
            "  the service accepts {accepted} of {logins} access tokens, the provider calls {active} of \
                {all} tokens active"
        ));
    }

    pub(super) fn timeline_head(&self, at_once: usize) {
        let manner =
            if at_once == 1 { "one after another".to_owned() } else { format!("{at_once} at a time") };
        self.say(format_args!("\nThey log out, {manner}; milliseconds after the event was published:\n"));
        self.say("  user        tokens (SHA-256)     service    provider says   audit: revoked");
        self.say("              access    refresh    refuses    inactive        and confirmed");
    }

    /// The line of the user who comes after `before` others.
    pub(super) fn timeline(&self, before: usize, user: &Login, timeline: &Timeline) {
        if before < SHOWN {
            let (access, refresh) = (short(&user.tokens.access), short(&user.tokens.refresh));
            let Timeline { refused, inactive, recorded, .. } = timeline;
            let [refused, inactive, recorded] =
                [refused, inactive, recorded].map(|time| time.map(|time| time.as_secs_f64() * 1000.0));
            let [refused, inactive, recorded] = [refused, inactive, recorded].map(plus);
            self.say(format_args!(
                "  {:<10}  {access}  {refresh}  {refused:>8}   {inactive:>13}   {recorded:>14}",
                user.sub
            ));
        } else if before == SHOWN {
            self.say("  … and so on");
        }
    }

    pub(super) fn summary(&self, figures: &Figures) {
        if self.json {
            return say_json(figures);
        }
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["milliseconds after publication", "p50", "max"]);
        let Figures { service_refuses, provider_inactive, on_record, .. } = figures;
        let steps = [
            ("service refuses", service_refuses),
            ("provider says inactive", provider_inactive),
            ("revoked and confirmed in the audit", on_record),
        ];
        for (name, Step { p50_ms, max_ms }) in steps {
            table.add_row([name.to_owned(), number(*p50_ms), number(*max_ms)]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        say(format_args!("\n{table}"));
        ending(figures);
    }

    /// How to go on from here. With `--keep`, the bystander's tokens are left in files to try things with.
    pub(super) fn look_around(&self, parts: &Parts, bystander: &Login) -> Result<(), SandboxError> {
        if !self.keep {
            self.say(
                "\nEverything is being removed. To look around, run it with --keep: it then stays until \
                Ctrl-C, and the",
            );
            self.say(
                "psql line, RabbitMQ and /metrics addresses and a logout to publish yourself are \
                printed here.",
            );
            return Ok(());
        }
        let access = bystander.tokens.access.expose();
        let header =
            parts.worker.leave_file("bystander.header", &format!("Authorization: Bearer {access}\n"))?;
        let logout = parts.worker.leave_file("bystander.ndjson", &format!("{}\n", event(bystander)))?;
        self.say("\nLook around:");
        for (what, how) in ways(parts, &header, &logout) {
            self.say(format_args!("  {what}\n    {how}"));
        }
        self.say("\nRunning until Ctrl-C.");
        Ok(())
    }
}

/// What there is to look at, and the command or address for it.
fn ways(parts: &Parts, header: &Path, logout: &Path) -> [(&'static str, String); 8] {
    let program = std::env::current_exe()
        .map(|path| path.display().to_string())
        .unwrap_or_else(|_| "revocation-worker".into());
    let (amqp_url, database_url, service) = (parts.rabbitmq.url(), parts.postgres.url(), parts.service.url());
    let (log, http, header, logout) =
        (parts.worker.log(), parts.worker.http_url(), header.display(), logout.display());
    let audit = "select sub, token_type_hint, state, proof, attempts from audit.revocations order by 1, 2";
    [
        ("the audit", format!("psql '{database_url}' -c \\\n      '{audit}'")),
        ("the broker", format!("{amqp_url}\n    {}  (guest, guest)", parts.rabbitmq.management_url())),
        ("the worker", format!("less {}\n    curl -s {http}/readyz; curl -s {http}/metrics", log.display())),
        ("the provider's revocation endpoint", parts.oidc.revocation_endpoint()),
        ("the service, as the bystander", format!("curl -i -H @{header} {service}")),
        (
            "publish an event: the bystander logs out (then ask the service again)",
            format!("AMQP_URL={amqp_url} \\\n      {program} submit {logout}"),
        ),
        (
            "order a mass revocation: everybody's tokens of a client",
            format!(
                "AMQP_URL={amqp_url} \\\n      {program} incident open demo --reason secret_leaked --client \
                    other-app --actor alice"
            ),
        ),
        (
            "approve it as bob, whose database role it is; then: incident watch demo",
            format!("DATABASE_URL='{database_url}' \\\n      {program} incident approve demo"),
        ),
    ]
}

fn ending(figures: &Figures) {
    let Figures { users, tokens, attempts, unrecorded, left: Left { accepted, active }, bystander, .. } =
        figures;
    let attempts = count(*attempts, "call");
    say(format_args!(
        "  {}, {} and {attempts} to the provider",
        count(*users, "user"),
        count(*tokens, "token")
    ));
    say(format_args!(
        "  left: {accepted} accepted by the service, {active} active at the provider, {unrecorded} not on \
            record"
    ));
    let kept =
        if (bystander.accepted, bystander.active) == (1, 2) { "keeps both tokens" } else { "LOST A TOKEN" };
    say(format_args!("  the bystander, who did not log out, {kept}"));
}

fn plus(ms: Option<f64>) -> String {
    ms.map_or("not yet".to_owned(), |ms| format!("+{ms:.1}"))
}

fn number(ms: Option<f64>) -> String {
    ms.map_or("none".to_owned(), |ms| format!("{ms:.1}"))
}

/// Scheme, host and port.
pub(super) fn without_password(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    format!("{}://{}:{}", url.scheme(), url.host_str().unwrap_or_default(), url.port().unwrap_or_default())
}
