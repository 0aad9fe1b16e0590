//! Calls that brought no complete response: what the network error means.

use std::error::Error;
use std::io;
use std::iter;

use rustls::{AlertDescription, Error as TlsError};

use super::call::What;
use super::private::PrivateAddress;
use super::scrub::{limit, printable, scrub};
use crate::outcome::{Answer, Verdict};

/// How resolvers say that a name does not exist, as opposed to "try again" (glibc, musl, the BSDs and macOS).
const UNKNOWN_HOST: [&str; 4] = [
    "Name or service not known",
    "No address associated with hostname",
    "Name does not resolve",
    "nodename nor servname",
];

/// What is told of an answer that cannot be read.
pub(super) const UNREADABLE: &str =
    "the answer is no readable HTTP and the call may have worked; it will be tried again";

/// The answer to a call that failed below HTTP, or in the middle of a response with `status`.
pub(super) fn answer(
    what: &What<'_>,
    error: &reqwest::Error,
    status: Option<u16>,
    secrets: &[&str],
) -> Answer {
    let (verdict, why) = classify(error);
    let why = scrub(&why, secrets);
    let verdict = if is_unreadable(error) { Verdict::Unreadable } else { verdict };
    let advice = advice(verdict, error);
    Answer {
        verdict,
        http_status: status,
        error: Some(limit(&format!("{what} failed: {why}; {advice}"))),
        retry_after: None,
    }
}

fn advice(verdict: Verdict, error: &reqwest::Error) -> &'static str {
    match verdict {
        Verdict::Misconfigured => "mend this, and it goes on by itself",
        Verdict::Unreadable => UNREADABLE,
        _ if error.is_connect() => "nothing was sent, it will be tried again",
        _ => "whether it took effect is unknown, it will be tried again",
    }
}

/// Whether an answer came that is no HTTP which can be read, as opposed to none or half of one.
fn is_unreadable(error: &reqwest::Error) -> bool {
    let framing =
        |error: &io::Error| matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
    let unreadable = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
            || cause.downcast_ref().is_some_and(framing)
    };
    // A server that refuses a certificate may say so where its answer should begin.
    let is_alert = causes(error).any(|cause| cause.is::<TlsError>());
    !error.is_connect() && !is_alert && causes(error).any(unreadable)
}

fn classify(error: &reqwest::Error) -> (Verdict, String) {
    let cause = printable(&causes(error).last().map(ToString::to_string).unwrap_or_default());
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<TlsError>()) {
        return (tls_verdict(tls), format!("TLS: {cause} (host name, certificates and ca_file must fit)"));
    }
    if let Some(refusal) = causes(error).find_map(|cause| cause.downcast_ref::<PrivateAddress>()) {
        return (Verdict::Misconfigured, refusal.to_string());
    }
    if error.is_dns() {
        return (lookup_verdict(&cause), format!("host name lookup: {cause}"));
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => (Verdict::Transient, "no connection within connect_timeout".to_owned()),
        (true, false) => (Verdict::Transient, "no complete response within timeout".to_owned()),
        (false, _) => (Verdict::Transient, cause),
    }
}

/// Certificates and protocol versions need a person; anything else in a handshake may pass.
fn tls_verdict(error: &TlsError) -> Verdict {
    use AlertDescription as Alert;
    match error {
        TlsError::InvalidCertificate(_)
        | TlsError::NoCertificatesPresented
        | TlsError::PeerIncompatible(_) => Verdict::Misconfigured,
        TlsError::AlertReceived(
            Alert::ProtocolVersion
            | Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::UnrecognisedName,
        ) => Verdict::Misconfigured,
        _ => Verdict::Transient,
    }
}

/// The standard library hands the resolver's answer on as text only.
fn lookup_verdict(text: &str) -> Verdict {
    if UNKNOWN_HOST.iter().any(|known| text.contains(known)) {
        Verdict::Misconfigured
    } else {
        Verdict::Transient
    }
}

/// The error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |error| cause(*error))
}

/// The next cause. `io::Error::source` skips the error that an `io::Error` wraps, and TLS errors come wrapped
/// like that.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn an_unknown_host_needs_a_person_and_a_silent_resolver_does_not() {
        let lookup = |detail| lookup_verdict(&format!("failed to lookup address information: {detail}"));
        assert_eq!(lookup("Name or service not known"), Verdict::Misconfigured);
        assert_eq!(lookup("No address associated with hostname"), Verdict::Misconfigured);
        assert_eq!(lookup("nodename nor servname provided, or not known"), Verdict::Misconfigured);
        assert_eq!(lookup("Temporary failure in name resolution"), Verdict::Transient);
        assert_eq!(lookup("Non-recoverable failure in name resolution"), Verdict::Transient);
        assert_eq!(lookup("Try again"), Verdict::Transient);
    }

    #[test]
    fn certificates_need_a_person_and_broken_handshakes_do_not() {
        assert_eq!(
            tls_verdict(&TlsError::InvalidCertificate(CertificateError::Expired)),
            Verdict::Misconfigured
        );
        assert_eq!(
            tls_verdict(&TlsError::InvalidCertificate(CertificateError::UnknownIssuer)),
            Verdict::Misconfigured
        );
        assert_eq!(
            tls_verdict(&TlsError::AlertReceived(AlertDescription::ProtocolVersion)),
            Verdict::Misconfigured
        );
        assert_eq!(
            tls_verdict(&TlsError::AlertReceived(AlertDescription::InternalError)),
            Verdict::Transient
        );
        assert_eq!(tls_verdict(&TlsError::DecryptError), Verdict::Transient);
    }

    #[tokio::test]
    async fn what_was_not_sent_took_no_effect() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heard = listener.local_addr().unwrap();
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Read, so that the end is no reset; then hung up.
                drop(tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await);
            }
        });
        let refused = format!("http://{gone}/");
        let [no_tls, hung_up] = [format!("https://{heard}/"), format!("http://{heard}/")];
        for (url, was_sent) in [(refused, false), (no_tls, false), (hung_up, true)] {
            let error = reqwest::Client::new().post(&url).body("x").send().await.unwrap_err();
            let told = advice(classify(&error).0, &error);
            assert_eq!(told.starts_with("whether it took effect is unknown"), was_sent, "{url}: {told}");
            assert_eq!(told.starts_with("nothing was sent"), !was_sent, "{url}: {told}");
        }
    }

    #[test]
    fn the_error_inside_an_io_error_is_found() {
        let wrapped = io::Error::other(io::Error::other(TlsError::DecryptError));
        assert!(causes(&wrapped).any(|cause| cause.is::<TlsError>()));
    }
}
