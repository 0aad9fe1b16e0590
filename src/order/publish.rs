//! Publishes events with some of them unconfirmed at a time: the loop that `submit` and `incident open`
//! share.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::error::OrderError;
use crate::broker::{EventPublisher, PublishError, Unconfirmed};

/// An event that is ready to send.
pub(crate) struct Event<T> {
    /// For the exchange `auth.events`.
    pub(crate) routing_key: &'static str,
    /// The CloudEvents `id`, in the message's properties too.
    pub(crate) id: String,
    /// It holds raw tokens.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// What its [`Publication`] knows it by.
    pub(crate) known_as: T,
}

/// Where events come from, and who is told what became of them.
pub(crate) trait Publication {
    /// What an event is known by.
    type KnownAs;

    /// The next event; `None`: there are no more. Dropping the future loses no event.
    ///
    /// # Errors
    /// The input cannot be read any further.
    async fn next(&mut self) -> Result<Option<Event<Self::KnownAs>>, OrderError>;

    /// The broker has confirmed an event; in a dry run, it would have been sent.
    fn confirmed(&mut self, event: &Self::KnownAs);

    /// The sentence for an event that the broker did not take.
    fn failure(&self, event: &Self::KnownAs, error: &PublishError) -> OrderError;
}

/// Publishes all events, with up to `window` of them unconfirmed; without a publisher it is a dry run, which
/// takes the same way up to the sending. After the first failure, or once `stop` is cancelled, nothing more
/// is sent, but what is unconfirmed still counts. Returns whether it was stopped.
///
/// # Errors
/// The first failure.
pub(crate) async fn publish<P: Publication>(
    publication: &mut P,
    publisher: Option<&EventPublisher>,
    window: usize,
    stop: &CancellationToken,
) -> Result<bool, OrderError> {
    let mut unconfirmed = FuturesUnordered::new();
    let (mut failure, mut is_open, mut is_stopped) = (None, true, false);
    while is_open || !unconfirmed.is_empty() {
        tokio::select! {
            Some((event, confirmed)) = unconfirmed.next(), if !unconfirmed.is_empty() => match confirmed {
                Ok(()) => publication.confirmed(&event),
                Err(error) => failure = failure.or(Some(publication.failure(&event, &error))),
            },
            () = stop.cancelled(), if is_open => (is_open, is_stopped) = (false, true),
            event = publication.next(), if is_open && unconfirmed.len() < window => match event {
                Ok(Some(event)) => match send(publisher, &event).await {
                    Ok(sent) => unconfirmed.push(async { (event.known_as, confirmation(sent).await) }),
                    Err(error) => failure = Some(publication.failure(&event.known_as, &error)),
                },
                Ok(None) => is_open = false,
                Err(error) => failure = failure.or(Some(error)),
            },
        }
        is_open &= failure.is_none();
    }
    failure.map_or(Ok(is_stopped), Err)
}

async fn confirmation(sent: Option<Unconfirmed>) -> Result<(), PublishError> {
    match sent {
        Some(sent) => sent.confirmed().await,
        None => Ok(()),
    }
}

async fn send<T>(
    publisher: Option<&EventPublisher>,
    event: &Event<T>,
) -> Result<Option<Unconfirmed>, PublishError> {
    match publisher {
        Some(publisher) => publisher.send(event.routing_key, &event.id, &event.body).await.map(Some),
        None => Ok(None),
    }
}
