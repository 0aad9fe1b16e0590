//! The rules in words, for people who check a configuration.

use super::{Authority, Rights};
use crate::event::quoted;

impl Authority {
    /// What is in force, and what of it has no effect where these providers are configured: a sentence each.
    pub fn remarks(&self, providers: &[&str]) -> Vec<String> {
        let mut remarks: Vec<_> = self
            .users
            .iter()
            .map(|(user, rights)| format!("broker user {} may order {rights}", quoted(user)))
            .collect();
        remarks.extend(self.unnamed());
        if !self.operators.is_empty() {
            let operators: Vec<_> = self.operators.iter().map(|user| quoted(user)).collect();
            remarks.push(format!(
                "what {} put back from revocation.dead has the rights of who sent it first",
                operators.join(", ")
            ));
        }
        remarks.extend(self.users.iter().flat_map(|(user, rights)| self.doubts(user, rights, providers)));
        remarks
    }

    fn unnamed(&self) -> Option<String> {
        match &self.anonymous {
            Some(rights) => Some(format!("an event without user_id may order {rights}")),
            None if self.users.values().all(|rights| *rights == Rights::default()) => None,
            None => Some(
                "an event without user_id may order what every listed user may: say in \
                    authorization.anonymous what it shall"
                    .to_owned(),
            ),
        }
    }

    fn doubts(&self, user: &str, rights: &Rights, providers: &[&str]) -> Vec<String> {
        let is_listed = |users: &Vec<String>| users.iter().any(|listed| listed == user);
        let mut doubts = Vec::new();
        let mut doubt = |what: String| doubts.push(format!("authorization.users: {} {what}", quoted(user)));
        if self.logout_users.as_ref().is_some_and(|users| !is_listed(users))
            && !is_listed(&self.mass_revocation_users)
        {
            doubt("is in neither logout_users nor mass_revocation_users, and may order nothing".to_owned());
        }
        if *rights == Rights::default() {
            doubt(
                "has no limit: name sources, kinds, providers or wide_targets_per_minute, or leave the \
                user out"
                    .to_owned(),
            );
        }
        for provider in
            rights.providers.iter().flatten().filter(|provider| !providers.contains(&provider.as_str()))
        {
            doubt(format!("names provider {}, which is not configured", quoted(provider)));
        }
        for source in
            rights.sources.iter().flatten().filter(|source| source.trim_end_matches('*').contains('*'))
        {
            doubt(format!(
                "has source {}, where only a star at the end stands for any ending",
                quoted(source)
            ));
        }
        doubts
    }
}

/// Writes what they allow.
impl std::fmt::Display for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |what: &str, words: Option<Vec<String>>| {
            words.map_or_else(
                || format!("any {what}"),
                |words| {
                    if words.is_empty() {
                        format!("no {what}")
                    } else {
                        format!("{what} {}", words.join(", "))
                    }
                },
            )
        };
        let quote = |words: &Option<Vec<String>>| {
            words.as_ref().map(|words| words.iter().map(|word| quoted(word)).collect())
        };
        let kinds =
            self.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.as_str().to_owned()).collect());
        write!(
            f,
            "{}; {}; {}; ",
            list("source", quote(&self.sources)),
            list("kind", kinds),
            list("provider", quote(&self.providers))
        )?;
        match self.wide_targets_per_minute {
            None => f.write_str("any number of targets"),
            Some(number) => {
                write!(f, "{number} targets a minute that are no tokens, the others with a second person")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(rights: Rights) -> Authority {
        Authority { users: [("shop".to_owned(), rights)].into(), ..Authority::default() }
    }

    #[test]
    fn what_is_in_force_is_said() {
        assert_eq!(Authority::default().remarks(&[]), [""; 0]);
        let rights = Rights { kinds: Some(vec![]), wide_targets_per_minute: Some(9), ..Rights::default() };
        let mut authority = Authority { operators: vec!["ops".to_owned()], ..user(rights) };
        let says = authority.remarks(&[]).join("\n");
        assert!(
            says.contains("\"shop\" may order any source; no kind; any provider; 9 targets a minute"),
            "{says}"
        );
        assert!(
            says.contains("without user_id may order what every listed user may")
                && says.contains("what \"ops\" put back"),
            "{says}"
        );
        authority.anonymous = Some(Rights::default());
        assert!(
            authority.remarks(&[]).join("\n").contains(
                "an event without user_id may order any source; any kind; any provider; any number"
            )
        );
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let of = |rights| user(rights);
        let rows = [
            (of(Rights::default()), "has no limit"),
            (
                of(Rights { providers: list(&["main", "old"]), ..Rights::default() }),
                "names provider \"old\", which is not configured",
            ),
            (
                of(Rights { sources: list(&["/a*/b"]), ..Rights::default() }),
                "has source \"/a*/b\", where only a star at the end",
            ),
            (Authority { logout_users: list(&["portal"]), ..of(Rights::default()) }, "may order nothing"),
        ];
        for (authority, wanted) in rows {
            let says = authority.remarks(&["main"]).join("\n");
            assert!(says.contains(wanted), "{says}");
        }
        let fine =
            user(Rights { providers: list(&["main"]), sources: list(&["/a/*", "*"]), ..Rights::default() });
        assert!(!fine.remarks(&["main"]).iter().any(|says| says.starts_with("authorization.users")));
    }
}
