//! AWS Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256, Key};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::visible::hex;

const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");
/// How many characters of the time are the day.
const DAY: usize = 8;

/// Who signs, for which service.
pub(super) struct Signature {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: Secret,
    pub(super) region: String,
    pub(super) service: &'static str,
}

/// What is signed. Headers have names in lower case, in their order.
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    pub(super) query: &'a str,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a str,
}

/// The header `x-amz-date`.
pub(super) fn date(now: OffsetDateTime) -> String {
    now.to_offset(time::UtcOffset::UTC).format(TIME).unwrap_or_default()
}

impl Signature {
    /// The header `Authorization` of a request to the path `/` at `date`, which is among its headers.
    pub(super) fn authorization(&self, request: &Request<'_>, date: &str) -> String {
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let headers: String =
            request.headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let Request { method, query, body, .. } = request;
        let canonical = format!("{method}\n/\n{query}\n{headers}\n{names}\n{}", hashed(body));
        let scope = format!("{}/{}/{}/aws4_request", day(date), self.region, self.service);
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hashed(&canonical));
        let signature = hex(hmac::sign(&self.key(date), text.as_bytes()).as_ref());
        let id = &self.access_key_id;
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    /// The key of one day, region and service.
    fn key(&self, date: &str) -> Key {
        let secret = Zeroizing::new(format!("AWS4{}", self.access_key_secret.expose()));
        let parts = [day(date), &self.region, self.service, "aws4_request"];
        parts.iter().fold(Key::new(HMAC_SHA256, secret.as_bytes()), |key, part| {
            Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        })
    }
}

fn day(date: &str) -> &str {
    date.get(..DAY).unwrap_or_default()
}

fn hashed(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of AWS's own documentation of the algorithm.
    #[test]
    fn the_example_of_the_documentation_has_its_signature() {
        let signature = Signature {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            access_key_secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            region: "us-east-1".to_owned(),
            service: "iam",
        };
        let date = "20150830T123600Z";
        let headers = [
            ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
            ("host", "iam.amazonaws.com"),
            ("x-amz-date", date),
        ];
        let query = "Action=ListUsers&Version=2010-05-08";
        let request = Request { method: "GET", query, headers: &headers, body: "" };
        assert_eq!(
            signature.authorization(&request, date),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                SignedHeaders=content-type;host;x-amz-date, \
                Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_date_is_utc_in_whole_seconds() {
        let at = time::macros::datetime!(2026-11-20 23:30:00.9 +1);
        assert_eq!(date(at), "20261120T223000Z");
    }
}
