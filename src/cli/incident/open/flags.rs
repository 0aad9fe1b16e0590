//! The targets that are named on the command line. What could be read in two ways is refused: the wider
//! reading would log out everybody.

use clap::builder::NonEmptyStringValueParser as Word;

use crate::cli::CommandError;
use crate::order::raw_target::RawTarget;

/// Options that name wide targets.
#[derive(clap::Args)]
#[command(next_help_heading = "Targets without a file")]
pub(super) struct Flags {
    /// Everything of a user: all tokens with this `sub`, issued up to now (see --not-before). May be repeated
    #[arg(long = "sub", value_name = "SUB", value_parser = Word::new())]
    subs: Vec<String>,
    /// One session: all tokens with this `sid`. May be repeated
    #[arg(long = "sid", value_name = "SID", value_parser = Word::new())]
    sids: Vec<String>,
    /// EVERYBODY's tokens of an OAuth client, by its client_id. May be repeated
    #[arg(long = "client", visible_alias = "client-id", value_name = "CLIENT_ID", value_parser = Word::new())]
    clients: Vec<String>,
    /// EVERYBODY's tokens of an issuer, as `iss` has it. May be repeated. Beside --sub or --sid it is no
    /// target: it says whose users or sessions those are
    #[arg(long = "iss", visible_alias = "issuer", value_name = "ISSUER", value_parser = Word::new())]
    issuers: Vec<String>,
}

impl Flags {
    /// Whether any is given.
    pub(super) fn is_given(&self) -> bool {
        [&self.subs, &self.sids, &self.clients, &self.issuers].iter().any(|given| !given.is_empty())
    }

    /// The targets.
    ///
    /// # Errors
    /// A sentence, where the flags can be read in two ways.
    pub(super) fn targets(&self, has_file: bool) -> Result<Vec<RawTarget>, CommandError> {
        self.check(has_file).map_err(|why| CommandError::Usage(why.to_owned()))?;
        let named = [("sub", &self.subs), ("sid", &self.sids), ("client_id", &self.clients)];
        let raw: Result<_, String> = if named.iter().all(|(_, values)| values.is_empty()) {
            self.issuers.iter().map(|issuer| RawTarget::of_members([("iss", issuer.as_str())])).collect()
        } else {
            let issuer = self.issuers.first().map(|issuer| ("iss", issuer.as_str()));
            let each = named
                .into_iter()
                .flat_map(|(member, values)| values.iter().map(move |value| (member, value.as_str())));
            each.map(|target| RawTarget::of_members([target].into_iter().chain(issuer))).collect()
        };
        raw.map_err(|why| CommandError::Usage(format!("the target of the command line: {why}")))
    }

    fn check(&self, has_file: bool) -> Result<(), &'static str> {
        let [subs, sids, clients, issuers] =
            [&self.subs, &self.sids, &self.clients, &self.issuers].map(|given: &Vec<String>| given.len());
        match () {
            () if has_file && clients + issuers > 0 => Err(BESIDE_FILE),
            () if clients > 0 && subs + sids > 0 => Err(CLIENT_BESIDE_USER),
            () if clients > 0 && issuers > 0 => Err(CLIENT_BESIDE_ISSUER),
            () if subs > 0 && sids > 0 => Err(SUB_BESIDE_SID),
            () if issuers > 1 && subs + sids > 0 => Err(ISSUERS_BESIDE_USER),
            () => Ok(()),
        }
    }
}

const BESIDE_FILE: &str = "--client or --iss beside FILE: a client or an issuer is a target of its own, \
    which logs out everybody there, and does not \
    narrow the lines of FILE. To narrow them, give them members (columns) client_id or iss; to have the \
    whole client or issuer killed as well, \
    open the same incident once more without FILE";
const CLIENT_BESIDE_USER: &str = "--client beside --sub or --sid: the client is a target of its own, which \
    logs out everybody there, and no target \
    is \"this user at this client\". To kill both, open the incident twice with the same NAME; for one user \
    at one client, give a FILE with the tokens";
const CLIENT_BESIDE_ISSUER: &str = "--client beside --iss: it is not clear whether the whole issuer is meant \
    or only that client of it. To kill both, \
    open the incident twice with the same NAME; for the client at that issuer, give --provider, or a FILE \
    with one line that has client_id and iss";
const SUB_BESIDE_SID: &str = "--sub beside --sid: it is not clear whether all of the user is meant or only \
    that session. --sid alone kills the \
    session, --sub alone kills all of the user; to kill both, open the incident twice with the same NAME";
const ISSUERS_BESIDE_USER: &str = "several --iss beside --sub or --sid: it is not clear which user belongs \
    to which issuer. Give one --iss, or a FILE \
    with one line a user that has sub and iss";

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &str) -> Flags {
        let mut flags = Flags { subs: vec![], sids: vec![], clients: vec![], issuers: vec![] };
        for word in given.split_whitespace() {
            let (flag, value) = word.split_once('=').unwrap();
            let list = match flag {
                "sub" => &mut flags.subs,
                "sid" => &mut flags.sids,
                "client" => &mut flags.clients,
                _ => &mut flags.issuers,
            };
            list.push(value.to_owned());
        }
        flags
    }

    fn targets(given: &str) -> Vec<String> {
        flags(given).targets(false).unwrap().iter().map(|target| target.json.to_string()).collect()
    }

    fn refusal(given: &str, has_file: bool) -> String {
        match flags(given).targets(has_file) {
            Err(CommandError::Usage(why)) => why,
            _ => panic!("{given} must be refused"),
        }
    }

    #[test]
    fn each_flag_makes_a_target() {
        assert_eq!(targets("sub=a sub=b"), [r#"{"sub":"a"}"#, r#"{"sub":"b"}"#]);
        assert_eq!(targets("sid=s"), [r#"{"sid":"s"}"#]);
        assert_eq!(targets("client=shop client=app"), [r#"{"client_id":"shop"}"#, r#"{"client_id":"app"}"#]);
        assert_eq!(targets("iss=i iss=j"), [r#"{"iss":"i"}"#, r#"{"iss":"j"}"#]);
        assert!(targets("").is_empty() && !flags("").is_given() && flags("iss=i").is_given());
    }

    #[test]
    fn one_issuer_qualifies_users_and_sessions_and_is_no_target() {
        assert_eq!(targets("sub=a sub=b iss=i"), [r#"{"sub":"a","iss":"i"}"#, r#"{"sub":"b","iss":"i"}"#]);
        assert_eq!(targets("sid=s iss=i"), [r#"{"sid":"s","iss":"i"}"#]);
    }

    #[test]
    fn what_could_mean_more_than_was_meant_is_refused() {
        for (given, sentence) in [
            ("client=c sub=u", "--client beside --sub"),
            ("client=c sid=s", "--client beside --sub or --sid"),
            ("client=c iss=i", "--client beside --iss"),
            ("client=c iss=i sub=u", "--client beside --sub"),
            ("sub=u sid=s", "--sub beside --sid"),
            ("sub=u iss=i iss=j", "several --iss"),
        ] {
            assert!(refusal(given, false).starts_with(sentence), "{given}");
        }
        for given in ["client=c", "iss=i", "sub=u iss=i"] {
            assert!(refusal(given, true).starts_with("--client or --iss beside FILE"), "{given}");
        }
        assert!(flags("sub=u").targets(true).is_ok() && flags("sid=u").targets(true).is_ok());
    }
}
