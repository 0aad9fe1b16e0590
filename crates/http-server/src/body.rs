//! Reading a request's body: no more of it than may be, and no longer than a head may take.

use std::sync::Arc;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};

use super::Request;
use super::slot::{Phase, Slot};

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBody {
    /// It has more bytes than may be.
    TooLarge,
    /// It did not come to its end.
    Broken,
}

/// Reads all of a body that has at most `most` bytes. While it comes, a new connection may take this one's
/// place, as with a head that is on its way.
///
/// # Errors
/// See [`NoBody`]. Of one that is too large, nothing is kept.
pub async fn read_body(request: Request, most: usize) -> Result<Bytes, NoBody> {
    let slot = request.extensions().get::<Arc<Slot>>().cloned();
    let body = request.into_body();
    // One that announces too much is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(NoBody::TooLarge);
    }
    enter(slot.as_deref(), Phase::Body);
    let read = Limited::new(body, most).collect().await;
    enter(slot.as_deref(), Phase::Answer);
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(NoBody::TooLarge),
        Err(_) => Err(NoBody::Broken),
    }
}

fn enter(slot: Option<&Slot>, phase: Phase) {
    if let Some(slot) = slot {
        slot.enter(phase);
    }
}
