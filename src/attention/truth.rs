//! The one sentence: what may still work.

use super::mint;
use super::verifiers::silent;
use crate::store::{Status, StillOpen, VerifierRow};
use crate::visible::colour::Colour;
use crate::visible::times::utc;
use crate::visible::{apart, count};

/// What is said first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// `Fine`: nothing may still work. `Waits`: nobody can say so.
    pub colour: Colour,
    /// The sentence.
    pub says: String,
    /// What belongs to it, without the end of a sentence.
    pub besides: Vec<String>,
}

/// A credential may still work until its target is final and every verifier is known to refuse it;
/// afterwards, too, where its provider has not ended it, and where it was given up.
pub fn truth(status: &Status, open: &StillOpen) -> Truth {
    let Some(refused) = &status.refuses_writes else { return on_record(status, open, &status.verifiers) };
    // Nobody's reports are taken down, either: who is silent is not known.
    let heard: Vec<_> = status.verifiers.iter().filter(|row| !row.is_silent()).cloned().collect();
    let before = on_record(status, open, &heard);
    let mut besides = vec![
        "What has come since is denied, and neither revoked nor on record: it waits in the broker".to_owned(),
    ];
    if before.colour == Colour::Calls {
        besides.push(format!("On record before that: {}", before.says.trim_end_matches('.')));
        besides.extend(before.besides);
    }
    Truth { colour: Colour::Calls, says: format!("{refused}."), besides }
}

/// As far as everything is on record.
fn on_record(status: &Status, open: &StillOpen, verifiers: &[VerifierRow]) -> Truth {
    let unfinished: u64 = status.backlog.iter().map(|row| row.targets).sum();
    let given_up: u64 = status.given_up.iter().map(|row| row.targets).sum();
    let undenied: u64 = status.undenied.iter().map(|row| row.undenied).sum();
    let unapplied = status.unapplied.map_or(0, |unapplied| unapplied.targets);
    // What verifiers were not told of was given up, too.
    let credentials = unfinished + open.minting_finished + given_up.max(undenied) + unapplied;
    let is_part = status.unapplied.is_some_and(|unapplied| unapplied.is_part);
    if credentials == 0 && !is_part {
        return nothing(verifiers);
    }
    let ends = status.given_up.iter().map(|row| row.until.as_deref()).chain([open.until.as_deref()]);
    let until = ends.flatten().max().map_or_else(String::new, |until| {
        let or_later = if open.is_part || unapplied > 0 || is_part { " or later" } else { "" };
        format!(", the last until {}{or_later}", utc(Some(until)))
    });
    let many = match (credentials, is_part || open.wide > 0) {
        (0, _) => "Credentials".to_owned(),
        (1, true) => "1 credential or more".to_owned(),
        (many, true) => format!("{} credentials or more", apart(many)),
        (1, false) => "1 credential".to_owned(),
        (many, false) => format!("{} credentials", apart(many)),
    };
    let at_least = if open.is_part { "At least " } else { "" };
    let wide = (open.wide > 0).then(|| {
        format!(
            "{} of a user, session, client or issuer: {} for any number of tokens",
            count(open.wide, "target"),
            if open.wide == 1 { "it stands" } else { "each stands" }
        )
    });
    let minting = mint::sentence(open.minting + open.minting_finished + open.minting_given_up);
    let told = [
        wide,
        minting.map(|minting| format!("{at_least}{minting}")),
        (given_up > 0)
            .then(|| format!("{} given up: the provider still honours them", count(given_up, "target"))),
        (undenied > 0).then(|| {
            format!("{} given up before verifiers were told: they accept them", count(undenied, "target"))
        }),
        status.unapplied.map(|found| unknown(found.targets, found.is_part, verifiers)),
    ];
    let besides = told.into_iter().flatten().chain(silent(verifiers)).collect();
    Truth { colour: Colour::Calls, says: format!("{many} may still work{until}."), besides }
}

/// What not every verifier is known to refuse, and which verifiers those are.
fn unknown(targets: u64, is_part: bool, rows: &[VerifierRow]) -> String {
    let behind = rows.iter().filter(|row| row.may_accept() && !row.up_to_date).count();
    let by = match behind {
        0 => "each verifier, all of which kept up when they last reported".to_owned(),
        behind => format!("{} that may accept them", count(behind, "verifier")),
    };
    let or_more = if is_part { " or more" } else { "" };
    format!(
        "{}{or_more} denied and not yet known to be applied by {by}: that ends by itself with their next \
            reports; where one does not report, mend its connection to the broker, and start it again \
            only where its process is dead, since it forgets what it was told; until then it counts, or \
            until what it may accept has expired",
        count(targets, "target")
    )
}

fn unverified(verifiers: usize) -> String {
    let many = count(verifiers, "verifier");
    format!("reports for {many} are unverified, so that nobody can say what these accept")
}

/// What is said where nothing is open: it is as good as the word of the verifiers.
fn nothing(verifiers: &[VerifierRow]) -> Truth {
    let unsupported = "What a provider cannot revoke is refused by verifiers until it expires";
    let strangers = verifiers.iter().filter(|row| row.live && !row.verified).count();
    let doubt = if !verifiers.iter().any(VerifierRow::counts) {
        Some("no verifier has reported, so that nobody can say what still accepts them".to_owned())
    } else if strangers > 0 {
        Some(unverified(strangers))
    } else {
        None
    };
    match doubt {
        Some(doubt) => Truth {
            colour: Colour::Waits,
            says: format!("Nothing waits at the providers; {doubt}."),
            besides: Vec::new(),
        },
        None => Truth {
            colour: Colour::Fine,
            says: "All closed: nothing that was to be revoked may still work.".to_owned(),
            besides: std::iter::once(unsupported.to_owned()).chain(silent(verifiers)).collect(),
        },
    }
}

#[cfg(test)]
mod tests;
