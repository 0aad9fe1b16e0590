//! Ctrl-C, SIGTERM and the terminal's end: the first asks a command for an orderly end, the second ends it at
//! once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::CommandError;

/// A token that the first signal cancels.
///
/// # Errors
/// The system takes no more signal handlers.
pub(super) fn interruption() -> Result<CancellationToken, CommandError> {
    let listen =
        |kind| signal(kind).map_err(|error| CommandError::failed(format!("listen for signals: {error}")));
    let [mut interrupt, mut terminate, mut hangup] =
        [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?];
    let interrupted = CancellationToken::new();
    let asked = interrupted.clone();
    tokio::spawn(async move {
        for number in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if number > 1 {
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(interrupted)
}
