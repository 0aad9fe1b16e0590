//! A delivery in hand, and the ways to let go of it.

use std::time::Instant;

use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use lapin::{Acker, BasicProperties};

use super::window::Place;
use crate::event::Origin;
use crate::trace::Span;

/// What takes less stays where it is.
const LONG: usize = 16 * 1024;

/// A message's body. It holds raw tokens: no `Debug`, wiped on drop.
#[derive(Default)]
pub struct Body(pub(super) Vec<u8>);

impl Body {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Wipes at the speed of memory: the crate `zeroize` writes byte after byte, and a body of 16 MiB would keep
/// a runtime thread from others for so long.
impl Drop for Body {
    fn drop(&mut self) {
        self.0.fill(0);
        // The optimizer must believe that somebody reads the zeros.
        std::hint::black_box(&self.0);
        std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// A delivery, not yet acknowledged. Dropping it leaves it to the broker, which delivers it again when the
/// session ends.
pub struct Received {
    /// The body as published.
    pub body: Body,
    /// Where it came from.
    pub origin: Origin,
    /// When it came.
    pub came: Instant,
    pub(super) properties: BasicProperties,
    /// How many of its headers did not fit into a frame with the broker's own.
    pub(super) left_out: usize,
    pub(super) acker: Acker,
    pub(super) place: Place,
    pub(super) is_laid_down: bool,
    /// What is done with it, where that is recorded: it ends with the delivery.
    pub span: Option<Span>,
}

impl Received {
    /// Tells the broker that the message is dealt with. Returns false if the session has ended: the broker
    /// will deliver it again.
    pub async fn ack(self) -> bool {
        let Self { acker, body, place, .. } = self;
        // First: what the broker sends in its place finds room.
        drop((body, place));
        acker.ack(BasicAckOptions::default()).await.unwrap_or(false)
    }

    /// Has the broker put the message into `revocation.dead` itself, unchanged; until it can, it keeps the
    /// message where nobody waits behind it.
    pub(super) async fn dead_letter(&self) -> bool {
        self.acker.reject(BasicRejectOptions { requeue: false }).await.unwrap_or(false)
    }

    /// Whether its session has ended: the broker delivers it again, and this one is of no more use.
    pub fn is_stale(&self) -> bool {
        !self.acker.usable()
    }

    /// What is left to do for it is its record: others may be taken meanwhile.
    pub fn read(&mut self) {
        self.place.read();
    }

    /// The same of a message that waits to be refused.
    pub fn refuse(&mut self) {
        self.place.refuse();
    }

    /// Lets go of a message that takes much while nothing can be done with it. Nobody else is delivered it
    /// meanwhile.
    pub fn lay_down(&mut self) {
        if !self.is_laid_down && self.body.bytes().len().max(self.place.properties()) >= LONG {
            (self.body, self.properties) = (Body::default(), BasicProperties::default());
            self.origin.attributes = Vec::new();
            self.place.lay_down();
            self.is_laid_down = true;
        }
    }

    /// Lets go of all that takes memory, for as long as others wait that came before it.
    pub fn set_aside(&mut self) {
        (self.body, self.properties, self.origin) =
            (Body::default(), BasicProperties::default(), Origin::default());
        self.place.set_aside();
        self.is_laid_down = true;
    }

    /// Whether the body is no longer here: the message has to be [handed back](Self::hand_back) and taken
    /// again.
    pub fn is_laid_down(&self) -> bool {
        self.is_laid_down
    }

    /// Gives the message back to the broker, which delivers it again.
    pub async fn hand_back(self) {
        let Self { acker, place, .. } = self;
        drop(place);
        // Where the session has ended, it is back already.
        drop(acker.nack(BasicNackOptions { requeue: true, multiple: false }).await);
    }

    /// The message turned out to be an event with so many targets, which take memory.
    pub fn weigh(&mut self, targets: usize) {
        self.place.weigh(targets);
    }
}
