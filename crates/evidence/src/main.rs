//! `revocation-evidence`: verifies an archive for an auditor who has no worker. Prints the report as JSON.
//! Exit codes: 0 intact and signed by a key to trust, 1 not so, 2 wrong usage.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use revocation_evidence::{PublicKey, Report, verify};

const USAGE: &str = "usage: revocation-evidence [--any-signer] [--public-key KEY]... FILE

Verifies every byte of FILE, which `revocation-worker incident export` wrote.
KEY is a public key as `revocation-worker keygen --signing` printed it; several may be given.
--any-signer accepts a file that is intact, whoever signed it: compare the fingerprint yourself.
";

struct Order {
    file: String,
    trusted: Vec<PublicKey>,
    any_signer: bool,
}

fn main() -> ExitCode {
    match order(std::env::args().skip(1)) {
        Ok(order) => match check(&order) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => complain(&format!("{}: {error}", order.file), ExitCode::FAILURE),
        },
        Err(why) => complain(&format!("{why}\n{USAGE}"), ExitCode::from(2)),
    }
}

fn order(mut arguments: impl Iterator<Item = String>) -> Result<Order, String> {
    let (mut files, mut trusted, mut any_signer) = (Vec::new(), Vec::new(), false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--any-signer" => any_signer = true,
            "--public-key" => {
                let key = arguments.next().unwrap_or_default();
                trusted.push(PublicKey::parse(&key).ok_or("--public-key: not an Ed25519 public key")?);
            }
            option if option.starts_with("--") => return Err(format!("there is no option {option}")),
            _ => files.push(argument),
        }
    }
    match <[String; 1]>::try_from(files) {
        Ok([file]) => Ok(Order { file, trusted, any_signer }),
        Err(_) => Err("one file is needed".to_owned()),
    }
}

/// Prints the report; returns whether the archive is to be believed.
fn check(order: &Order) -> io::Result<bool> {
    let verified = verify(File::open(&order.file)?, &order.trusted)?;
    let report = Report::of(&verified);
    writeln!(io::stdout(), "{}", ascii(&serde_json::to_string_pretty(&report)?))?;
    Ok(report.intact && (report.signer_known || order.any_signer))
}

/// JSON without a character that a terminal would obey or hide: a forged archive may hold any.
fn ascii(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a text cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
        text
    })
}

fn complain(what: &str, code: ExitCode) -> ExitCode {
    // There is nowhere left to say that this failed.
    drop(writeln!(io::stderr(), "revocation-evidence: {what}"));
    code
}
