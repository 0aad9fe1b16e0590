//! Addresses with ids of users, sessions and clients in their path.

use url::Url;
use url::form_urlencoded::byte_serialize;

use super::setup::place;
use crate::outcome::{Answer, Verdict};

/// Where a call goes, and how error texts name it: with `{}` for each id.
pub(super) struct Address {
    url: Url,
    shown: String,
}

impl Address {
    /// `path` after `base`, with its first `{}` filled by the first of `ids`, and so on. The ids are
    /// percent-encoded; a query in `path` stays.
    ///
    /// `Refused` where an id cannot stand in a path: URLs know no way to write `.` and `..` as names, and
    /// nothing is named by the empty one.
    pub(super) fn new(base: &Url, path: &str, ids: &[&str]) -> Result<Self, Answer> {
        let mut filled = String::from(base.as_str().trim_end_matches('/'));
        let mut ids = ids.iter();
        for (place, piece) in path.split("{}").enumerate() {
            if place > 0 {
                filled.push_str(&segment(ids.next().copied().unwrap_or_default()).ok_or_else(unpresentable)?);
            }
            filled.push_str(piece);
        }
        let url = Url::parse(&filled).map_err(|_| unpresentable())?;
        let shown =
            format!("{}{}", place(base).trim_end_matches('/'), path.split('?').next().unwrap_or_default());
        Ok(Self { url, shown })
    }

    /// An address that holds ids already, and how error texts name it.
    pub(super) fn of(url: Url, shown: String) -> Self {
        Self { url, shown }
    }

    /// Where the call goes.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// How error texts name it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

/// `id` as one segment of a path.
pub(super) fn segment(id: &str) -> Option<String> {
    if matches!(id, "" | "." | "..") {
        return None;
    }
    // The form encoding differs from the percent encoding in the space alone.
    Some(byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20"))
}

fn unpresentable() -> Answer {
    Answer::failed(
        Verdict::Refused,
        None,
        "the id cannot stand in a URL's path: it is no id of this provider",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(id: &str) -> Result<Address, Answer> {
        Address::new(
            &Url::parse("https://id.example.com/auth/").unwrap(),
            "/users/{}/sessions?all=true",
            &[id],
        )
    }

    #[test]
    fn an_id_stays_one_segment() {
        let rows = [
            ("user-1", "user-1"),
            ("a/b", "a%2Fb"),
            ("../x", "..%2Fx"),
            ("%2e%2e", "%252e%252e"),
            ("a?b#c", "a%3Fb%23c"),
            ("a b+c", "a%20b%2Bc"),
            ("a;b\\c", "a%3Bb%5Cc"),
            ("ü@example.com", "%C3%BC%40example.com"),
            ("a\r\nb", "a%0D%0Ab"),
            ("...", "..."),
        ];
        for (id, written) in rows {
            let address = address(id).ok().unwrap();
            assert_eq!(
                address.url().as_str(),
                format!("https://id.example.com/auth/users/{written}/sessions?all=true")
            );
            assert_eq!(address.shown(), "https://id.example.com/auth/users/{}/sessions");
        }
    }

    #[test]
    fn what_no_path_can_hold_is_refused_not_sent_elsewhere() {
        for id in ["", ".", ".."] {
            assert_eq!(address(id).err().unwrap().verdict, Verdict::Refused, "{id}");
        }
    }
}
