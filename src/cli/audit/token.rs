//! A token that is looked for: it is read, hashed and wiped here; only digests leave the process.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};

use zeroize::Zeroizing;

use crate::cli::CommandError;
use crate::target::Token;

/// No token is longer.
const LONGEST: u64 = 64 * 1024;

/// The SHA-256 of the token in a file, and that of its signed parts, where it has any; else the same again.
pub(super) fn digests(file: &str) -> Result<[String; 2], CommandError> {
    let token = if file == "-" { from_input()? } else { from_file(file)? };
    let text = token.trim();
    if text.is_empty() {
        return Err(CommandError::Usage("--token: nothing is in it".to_owned()));
    }
    let (whole, signed) = Token::new(text.to_owned()).fingerprints();
    Ok([whole.to_string(), signed.unwrap_or(whole).to_string()])
}

fn from_input() -> Result<Zeroizing<String>, CommandError> {
    if stdin().is_terminal() {
        let why = "a terminal would show the token, and cut a long one: printf %s \"$TOKEN\" | \
            revocation-worker audit --token -";
        return Err(CommandError::Usage(format!("--token -: {why}")));
    }
    read(stdin().lock()).map_err(|why| CommandError::Usage(format!("--token -: {why}")))
}

/// What was given is not told: it may be the token itself.
fn from_file(file: &str) -> Result<Zeroizing<String>, CommandError> {
    let refused = |why: String| {
        let takes =
            "it takes a file, or - for standard input, never the token itself, which others would see";
        CommandError::Usage(format!("--token: {why}; {takes}"))
    };
    let opened = File::open(file).map_err(|error| refused(error.kind().to_string()))?;
    read(opened).map_err(refused)
}

fn read(from: impl Read) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    from.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| error.kind().to_string())?;
    if text.len() as u64 > LONGEST { Err(format!("longer than {LONGEST} bytes")) } else { Ok(text) }
}
