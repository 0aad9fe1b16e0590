//! Who gives an order, and where it is recorded.

use super::CommandError;
use crate::config::DatabaseConfig;
use crate::store::Store;
use crate::visible::{flaw, is_seen};

/// Option of every command that writes `audit.operations`.
#[derive(clap::Args)]
pub(super) struct Operator {
    /// Who orders it, for the record [default: $USER, else $LOGNAME, else unknown]; where the database role
    /// is somebody's ([people]), that person does
    #[arg(long, value_name = "NAME", value_parser = person)]
    actor: Option<String>,
}

/// Without the blanks around it, and nothing in it that does not show: that must not make one person two.
fn person(name: &str) -> Result<String, String> {
    match name.trim() {
        "" => Err("it must name somebody".to_owned()),
        name => flaw(name).map_or_else(|| Ok(name.to_owned()), |flaw| Err(format!("it {flaw}"))),
    }
}

/// Why something is ordered: what whoever reads the record can see.
pub(super) fn reason(text: &str) -> Result<String, &'static str> {
    let says_something = text.chars().any(|c| c != ' ' && is_seen(c));
    says_something.then(|| text.to_owned()).ok_or("it must say something")
}

impl Operator {
    /// The name for the record.
    pub(super) fn name(&self) -> String {
        let variable = |name| std::env::var(name).ok().and_then(|value| person(&value).ok());
        let known = self.actor.clone().or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        known.unwrap_or_else(|| "unknown".to_owned())
    }
}

/// The database, reached and with a schema that fits: before anything is done that must be recorded there.
pub(super) async fn open_store(config: &DatabaseConfig) -> Result<Store, CommandError> {
    let store = Store::new(config).map_err(|e| CommandError::Usage(e.to_string()))?;
    store.ping().await?;
    store.check_schema().await?;
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_who_they_look_like() {
        for (name, wanted) in [("bob", "bob"), (" bob ", "bob"), ("Bob O'Neil", "Bob O'Neil"), ("ü", "ü")] {
            assert_eq!(person(name).as_deref(), Ok(wanted));
        }
        for name in [
            "",
            " ",
            "\u{3000}",
            "\u{3164}",
            "bo\u{200b}b",
            "bob\u{202e}",
            "\u{feff}bob",
            "bo\u{a0}b",
            "b\nob",
        ] {
            assert!(person(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_reason_can_be_read() {
        for text in ["x", " a typo ", "wrong\nclient", "誤り", "\u{200b}why"] {
            assert_eq!(reason(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            " ",
            "\n\t",
            "\u{a0}",
            "\u{3000}",
            "\u{2800}",
            "\u{3164}",
            "\u{200b}\u{feff}",
            "\0",
            "\u{fffd}",
        ] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }
}
