//! How a declared provider's credentials are tried.

use super::Declared;
use super::listing;
use super::order::Order;
use super::rules::{Condition, unnamed};
use super::template::Values;
use crate::outcome::Answer;
use crate::provider::http::Http;
use crate::provider::probe::{self, Probed};
use crate::provider::reply::Reply;
use crate::target::Scope;

impl Declared {
    pub(super) async fn try_own(
        &self,
        http: &Http,
        order: &Order,
        accepted: &[Condition],
        refused: &[Condition],
    ) -> Probed {
        let values = self.constants.values();
        let read = |reply: &Reply<'_>| {
            let fits = |conditions: &[Condition]| conditions.iter().any(|condition| condition.fits(reply));
            match (fits(accepted), fits(refused)) {
                (true, false) => reply.accepted(),
                (_, true) => reply.doubted(),
                (false, false) => unnamed(reply),
            }
        };
        let answer = self.send(http, order, &values, None, read).await.unwrap_or_else(|failure| failure);
        probe::read(answer, "check the credentials and the address of probe", true, probe::is_accepted)
    }

    pub(super) async fn try_nobody(
        &self,
        http: &Http,
        scope: Scope,
        lets_in: fn(&Answer) -> bool,
    ) -> Option<Probed> {
        let nobody = probe::unknown_name();
        let nobody = nobody.as_str();
        let constants = self.constants.values();
        let answer = match (scope, &self.token, self.subject.first(), &self.session) {
            (Scope::Token, Some(token), _, _) => {
                self.act(http, token, Values { token: nobody, ..constants }).await
            }
            (Scope::Wide, _, _, Some(session)) => {
                self.act(http, session, Values { sid: nobody, ..constants }).await
            }
            (Scope::Wide, _, Some(subject), _) => {
                self.act(http, subject, Values { sub: nobody, ..constants }).await
            }
            (Scope::Wide, ..) => listing::run(self, http, self.listing.as_ref()?, nobody).await,
            (Scope::Token, None, ..) => return None,
        };
        Some(probe::read(answer, "check the credentials", true, lets_in))
    }
}
