//! The one sentence: what may still work.

use super::mint;
use crate::store::{Status, StillOpen};
use crate::visible::times::utc;
use crate::visible::{apart, count};

/// What is said first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Whether nothing may still work.
    pub is_closed: bool,
    /// The sentence.
    pub says: String,
    /// What belongs to it.
    pub besides: Vec<String>,
}

/// A credential may still work until its target is final; afterwards, too, where its provider has not ended
/// what gets new tokens, and where it was given up before verifiers were told.
pub fn truth(status: &Status, open: &StillOpen) -> Truth {
    let unfinished: u64 = status.backlog.iter().map(|row| row.targets).sum();
    let undenied: u64 = status.undenied.iter().map(|row| row.undenied).sum();
    let credentials = unfinished + open.minting_finished + undenied;
    if credentials == 0 {
        let unsupported = "What a provider cannot revoke is refused by verifiers until it expires.";
        return Truth {
            is_closed: true,
            says: "All closed: nothing that was to be revoked may still work.".to_owned(),
            besides: vec![unsupported.to_owned()],
        };
    }
    let until = open.until.as_deref().map_or_else(String::new, |until| {
        let or_later = if open.is_part { " or later" } else { "" };
        format!(", the last until {}{or_later}", utc(Some(until)))
    });
    let at_least = if open.is_part { "At least " } else { "" };
    let many = match credentials {
        1 => "1 credential".to_owned(),
        many => format!("{} credentials", apart(many)),
    };
    let minting = mint::sentence(open.minting + open.minting_finished);
    let undenied = (undenied > 0).then(|| {
        format!("{} given up before verifiers were told: they accept them", count(undenied, "target"))
    });
    let besides = minting.map(|minting| format!("{at_least}{minting}")).into_iter().chain(undenied);
    Truth { is_closed: false, says: format!("{many} may still work{until}."), besides: besides.collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(backlog: Value, undenied: Value, open: Value) -> Truth {
        let status = json!({ "incidents": [], "backlog": backlog, "providers": [], "workers": [],
            "dead_letters": [], "verifiers": [], "undenied": undenied });
        let open = serde_json::from_value(open).unwrap();
        truth(&serde_json::from_value(status).unwrap(), &open)
    }

    fn backlog(targets: u64) -> Value {
        json!([{ "provider": "main", "lane": "interactive", "state": "pending", "targets": targets }])
    }

    #[test]
    fn it_is_never_safer_than_things_are() {
        let none = json!({ "minting": 0, "minting_finished": 0, "until": null, "is_part": false });
        assert!(told(json!([]), json!([]), none.clone()).is_closed);
        let until = json!({ "minting": 0, "minting_finished": 0, "until": "2026-12-01T14:32:10+00:00",
            "is_part": false });
        let says = told(backlog(17), json!([]), until).says;
        assert_eq!(says, "17 credentials may still work, the last until 2026-12-01 14:32 UTC.");
        // Final, and yet it gets new tokens.
        let minting = json!({ "minting": 0, "minting_finished": 1, "until": "2026-12-01T14:32:10+00:00",
            "is_part": false });
        let minting = told(json!([]), json!([]), minting);
        assert!(!minting.is_closed && minting.says.starts_with("1 credential may still work"));
        assert!(minting.besides[0].starts_with("1 target may still get new access tokens"));
        // Final, and verifiers never heard of it.
        let undenied = json!([{ "incident": "x", "undenied": 3 }]);
        let undenied = told(json!([]), undenied, none);
        assert!(!undenied.is_closed && undenied.besides[0].starts_with("3 targets given up before"));
        // Not all were looked at.
        let part = json!({ "minting": 2, "minting_finished": 0, "until": "2026-12-01T14:32:10+00:00",
            "is_part": true });
        let part = told(backlog(20_000), json!([]), part);
        assert!(part.says.ends_with("14:32 UTC or later."), "{part:?}");
        assert!(part.besides[0].starts_with("At least 2 targets may"), "{part:?}");
    }
}
