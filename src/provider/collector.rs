//! The HTTP client for the receiver of spans.

use std::time::Duration;

use reqwest::{Client, redirect, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client whose requests take so long at most. Nothing is followed: a redirect would hand its headers on.
///
/// # Errors
/// A sentence: there is no TLS on this machine.
pub fn collector(timeout: Duration) -> Result<Client, String> {
    let builder = Client::builder().http1_only().connect_timeout(CONNECT_TIMEOUT).timeout(timeout);
    let builder = builder.redirect(redirect::Policy::none()).retry(retry::never()).referer(false).no_proxy();
    builder.build().map_err(|error| format!("no TLS client can be built ({error})"))
}
