//! Reading a request's body: no more of it than may be, and no longer than a head may take.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};

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
    // One that announces much more is not waited for.
    if body.size_hint().lower() > 2 * most as u64 {
        return Err(NoBody::TooLarge);
    }
    enter(slot.as_deref(), Phase::Body);
    let read = read(body, most).await;
    enter(slot.as_deref(), Phase::Answer);
    read
}

/// What is a little too large is read to its end and thrown away: a client that still sends when the
/// connection is closed may never see the answer.
async fn read(mut body: Incoming, most: usize) -> Result<Bytes, NoBody> {
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| NoBody::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        match length {
            _ if length <= most => kept.extend_from_slice(&data),
            _ if length <= 2 * most => kept = Vec::new(),
            _ => break,
        }
    }
    if length > most { Err(NoBody::TooLarge) } else { Ok(kept.into()) }
}

fn enter(slot: Option<&Slot>, phase: Phase) {
    if let Some(slot) = slot {
        slot.enter(phase);
    }
}
