//! A request's walk: whose is it, what does it order, publish it, answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use revocation_evidence::Hash;
use revocation_http_server::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use revocation_http_server::{Method, NoBody, Reply, Request, StatusCode, read_body, text};

use super::answer::Input;
use super::refusals::Refusals;
use crate::broker::EventSource;
use crate::clock::Clock;
use crate::event::EventType;
use crate::failpoint;
use crate::receive::shared_signals::{self, Signal};
use crate::receive::{Code, KeySet, Order, Refused, global_token_revocation, logout_token};
use crate::senders::{Failed, Known};
use crate::telemetry::ReceiverMetrics;

/// Largest body, bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// How long the broker may take: a sender does not wait for ever.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(4);
/// How long a sender is asked to wait while the broker is away.
const BROKER_AWAY: Duration = Duration::from_secs(5);

/// What requests are answered by.
pub(super) struct Receiver {
    pub(super) senders: BTreeMap<String, Known>,
    pub(super) events: EventSource,
    pub(super) refusals: Refusals,
    pub(super) metrics: ReceiverMetrics,
    pub(super) clock: Clock,
}

/// Answers one request: `POST /<input>/<sender>`.
pub(super) async fn answer(receiver: Arc<Receiver>, request: Request) -> Reply {
    let path = request.uri().path().to_owned();
    let (input, name) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let input = Input::ALL.into_iter().find(|(word, _)| *word == input);
    let (Some((_, input)), Some(known)) = (input, receiver.senders.get(name)) else {
        return text(StatusCode::NOT_FOUND, "no such input or sender\n");
    };
    if request.method() != Method::POST {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n");
        reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return reply;
    }
    let headers = request.headers().clone();
    let body = match read_body(request, MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(why) => return receiver.concluded(input, known, &[], Err(unread(why).into())),
    };
    let outcome = receiver.taken(input, known, &headers, &body).await;
    receiver.concluded(input, known, &body, outcome)
}

fn unread(why: NoBody) -> Refused {
    match why {
        NoBody::TooLarge => {
            Refused::new(Code::TooLarge, format!("the body has more than {MAX_BODY_BYTES} bytes"))
        }
        NoBody::Broken => Refused::new(Code::BadRequest, "the body did not come to its end"),
    }
}

impl Receiver {
    /// What a request says, published where it orders something.
    async fn taken(
        &self,
        input: Input,
        known: &Known,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Signal, Failed> {
        let signal = match input {
            Input::BackchannelLogout => Signal::Order(self.logout_token(known, headers, body).await?),
            Input::GlobalTokenRevocation => {
                Signal::Order(self.global_token_revocation(known, headers, body).await?)
            }
            Input::SignalPush | Input::SignalPoll => {
                known.check_authorization(authorization(headers))?;
                check_media(headers, "application/secevent+jwt")?;
                let token = std::str::from_utf8(body);
                let token = token.map_err(|_| Refused::new(Code::BadToken, "the body is no token"))?;
                self.signal(known, token).await?
            }
        };
        self.acted_on(known, signal).await
    }

    /// The same of a token that was fetched.
    pub(super) async fn fetched(&self, known: &Known, token: &str) -> Result<Signal, Failed> {
        let signal = self.signal(known, token).await?;
        self.acted_on(known, signal).await
    }

    async fn acted_on(&self, known: &Known, signal: Signal) -> Result<Signal, Failed> {
        if let Signal::Order(order) = &signal {
            known.count()?;
            failpoint!("verified");
            self.publish(known, order).await?;
        }
        Ok(signal)
    }

    async fn signal(&self, known: &Known, token: &str) -> Result<Signal, Failed> {
        let (token, now) = (shared_signals::read(token.trim())?, self.clock.now());
        known
            .judged_for_few(&self.metrics.key_fetches, |keys| {
                shared_signals::signal(&token, keys, &known.sender, now)
            })
            .await
    }

    async fn global_token_revocation(
        &self,
        known: &Known,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Order, Failed> {
        let token = global_token_revocation::bearer(authorization(headers))?;
        check_media(headers, "application/json")?;
        let (token, now) = (global_token_revocation::read(token)?, self.clock.now());
        let judge = |keys: &KeySet| global_token_revocation::order(&token, body, keys, &known.sender, now);
        known.judged_for_few(&self.metrics.key_fetches, judge).await
    }

    async fn logout_token(&self, known: &Known, headers: &HeaderMap, body: &[u8]) -> Result<Order, Failed> {
        check_media(headers, "application/x-www-form-urlencoded")?;
        let form = logout_token::of_form(body)?;
        let (token, now) = (logout_token::read(&form)?, self.clock.now());
        known
            .judged_for_few(&self.metrics.key_fetches, |keys| {
                logout_token::order(&token, keys, &known.sender, now)
            })
            .await
    }

    /// Returns once the broker has confirmed it.
    async fn publish(&self, known: &Known, order: &Order) -> Result<(), Failed> {
        let event = order.event(&known.sender);
        let published = self.events.publish(EventType::Logout.routing_key(), &order.id, &event);
        let away = |why: String| Failed::Unavailable(why, BROKER_AWAY);
        match tokio::time::timeout(CONFIRMED_WITHIN, published).await {
            Ok(Ok(())) => {
                failpoint!("published");
                Ok(())
            }
            Ok(Err(error)) => Err(away(error.to_string())),
            Err(_) => Err(away(format!("the broker did not confirm it within {CONFIRMED_WITHIN:?}"))),
        }
    }

    /// Counts, logs and answers.
    pub(super) fn concluded(
        &self,
        input: Input,
        known: &Known,
        body: &[u8],
        outcome: Result<Signal, Failed>,
    ) -> Reply {
        let (sender, standard) = (&*known.sender.name, input.as_str());
        let result = match &outcome {
            Ok(Signal::Nothing(reason)) => {
                tracing::info!(sender, input = standard, reason, "event received; there is nothing to do");
                "nothing_to_do"
            }
            Ok(Signal::Order(order)) => {
                tracing::info!(
                    sender,
                    input = standard,
                    event_source = known.sender.issuer,
                    event_id = order.id,
                    reason = order.reason,
                    "logout received and published"
                );
                "published"
            }
            Err(Failed::Refused(refused)) => {
                let now = (self.clock.now(), &self.metrics);
                let body_digest = Hash::of(&[body]);
                let body_bytes = body.len() as u64;
                self.refusals.note((sender, standard), refused, (body_digest, body_bytes), now);
                let Refused { code, why: detail, .. } = refused;
                let code = code.as_str();
                tracing::warn!(
                    sender,
                    input = standard,
                    code,
                    detail,
                    %body_digest,
                    body_bytes,
                    "request refused"
                );
                code
            }
            Err(Failed::Unavailable(error, _)) => {
                tracing::warn!(sender, input = standard, error, "request to be sent again: not published");
                "unavailable"
            }
            Err(Failed::OverRate(_)) => {
                tracing::warn!(
                    sender,
                    input = standard,
                    "request to be sent again: orders_per_minute is used up"
                );
                "over_rate"
            }
        };
        self.metrics.came(sender, standard, result);
        match &outcome {
            Ok(_) => input.done(),
            Err(failed) => input.failed(failed),
        }
    }
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok())
}

fn check_media(headers: &HeaderMap, wanted: &'static str) -> Result<(), Refused> {
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Refused::new(Code::BadRequest, format!("the content type must be {wanted}")))
}
