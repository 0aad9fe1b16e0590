//! Texts with names in braces, and what is filled in for them, escaped for where it stands.

use zeroize::Zeroizing;

use crate::outcome::{Answer, Verdict};

/// What a name in braces stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Name {
    /// The token of the target.
    Token,
    /// Its type by RFC 7009: `access_token` or `refresh_token`; empty where it is not known.
    Hint,
    /// The target's session.
    Sid,
    /// The target's user.
    Sub,
    /// The target's client.
    Client,
    /// The client's id.
    ClientId,
    /// The client's secret.
    ClientSecret,
    /// Client id and secret as HTTP Basic has them.
    Basic,
    /// The setting `api_key`.
    ApiKey,
    /// The token that the client is granted.
    Granted,
}

/// How each is written.
const NAMES: [(&str, Name); 10] = [
    ("token", Name::Token),
    ("hint", Name::Hint),
    ("sid", Name::Sid),
    ("sub", Name::Sub),
    ("client", Name::Client),
    ("client_id", Name::ClientId),
    ("client_secret", Name::ClientSecret),
    ("basic", Name::Basic),
    ("api_key", Name::ApiKey),
    ("granted", Name::Granted),
];

impl Name {
    /// How it is written, in braces.
    pub(super) fn written(self) -> String {
        let name = NAMES.iter().find(|(_, name)| *name == self).map_or("", |(written, _)| written);
        format!("{{{name}}}")
    }
}

/// A text with names in braces.
#[derive(Clone)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone)]
enum Piece {
    Text(String),
    Name(Name),
}

impl Template {
    /// Reads `text`; the refusal says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            if let Some(after) = behind.strip_prefix("{}") {
                pieces.push(Piece::Text(format!("{before}{{")));
                rest = after;
                continue;
            }
            let known = behind.split_once('}').and_then(|(name, after)| {
                NAMES.iter().find(|(written, _)| *written == name).map(|(_, name)| (*name, after))
            });
            let (name, after) = known.ok_or_else(unknown)?;
            pieces.extend([Piece::Text(before.to_owned()), Piece::Name(name)]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// The names in it.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(*name),
            Piece::Text(_) => None,
        })
    }

    /// The text, with each name's value as `escape` writes it; `Refused` where it cannot stand there.
    pub(super) fn fill(
        &self,
        values: &Values<'_>,
        escape: fn(&str) -> Option<String>,
    ) -> Result<Zeroizing<String>, Answer> {
        let mut filled = Zeroizing::new(String::new());
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Name(name) => {
                    let value = Zeroizing::new(escape(values.of(*name)).ok_or_else(unpresentable)?);
                    filled.push_str(&value);
                }
            }
        }
        Ok(filled)
    }
}

fn unknown() -> String {
    let names: Vec<String> = NAMES.iter().map(|(written, _)| format!("{{{written}}}")).collect();
    format!("has a brace that begins no name; names are {}; write {{{{}} for a brace", names.join(", "))
}

fn unpresentable() -> Answer {
    let why = "a value of this target cannot stand where the call has it: it is none of this provider's";
    Answer::failed(Verdict::Refused, None, why)
}

/// What the names stand for in one call.
#[derive(Clone, Copy, Default)]
pub(in crate::provider) struct Values<'a> {
    pub(in crate::provider) token: &'a str,
    pub(in crate::provider) hint: &'a str,
    pub(in crate::provider) sid: &'a str,
    pub(in crate::provider) sub: &'a str,
    pub(in crate::provider) client: &'a str,
    pub(in crate::provider) client_id: &'a str,
    pub(in crate::provider) client_secret: &'a str,
    pub(in crate::provider) basic: &'a str,
    pub(in crate::provider) api_key: &'a str,
}

impl<'a> Values<'a> {
    fn of(&self, name: Name) -> &'a str {
        match name {
            Name::Token => self.token,
            Name::Hint => self.hint,
            Name::Sid => self.sid,
            Name::Sub => self.sub,
            Name::Client => self.client,
            Name::ClientId => self.client_id,
            Name::ClientSecret => self.client_secret,
            Name::Basic => self.basic,
            Name::ApiKey => self.api_key,
            // Such a header is set where the call is sent.
            Name::Granted => "",
        }
    }

    /// What no error text may repeat: all but the ids of clients and the token's type.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &'a str> {
        let Self { token, sid, sub, client_secret, basic, api_key, .. } = *self;
        [token, sid, sub, client_secret, basic, api_key].into_iter().filter(|secret| !secret.is_empty())
    }
}

/// As it is, for where nothing has to be escaped.
pub(super) fn plain(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// For a header: no control character, which could begin another header, and no space at either end, which
/// whoever reads it takes off.
pub(super) fn header(value: &str) -> Option<String> {
    let stays = !value.chars().any(char::is_control) && !value.starts_with(' ') && !value.ends_with(' ');
    stays.then(|| value.to_owned())
}

/// For a query.
pub(super) fn query(value: &str) -> Option<String> {
    Some(url::form_urlencoded::byte_serialize(value.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::address::segment;

    const HOSTILE: &str = "a/../b?c=d&e#f\r\ng: h\"{sub}%2e +é";

    fn filled(template: &str, escape: fn(&str) -> Option<String>) -> Option<String> {
        let values = Values { token: HOSTILE, ..Values::default() };
        Template::parse(template).unwrap().fill(&values, escape).ok().map(|text| text.to_string())
    }

    #[test]
    fn a_value_stays_where_it_is_put() {
        let escaped = "a%2F..%2Fb%3Fc%3Dd%26e%23f%0D%0Ag%3A%20h%22%7Bsub%7D%252e%20%2B%C3%A9";
        assert_eq!(filled("/x/{token}/y", segment), Some(format!("/x/{escaped}/y")));
        assert_eq!(filled("t={token}&u=1", query), Some(format!("t={}&u=1", escaped.replace("%20", "+"))));
        assert_eq!(filled("Bearer {token}", header), None);
        assert_eq!(filled("<{token}>", plain), Some(format!("<{HOSTILE}>")));
        assert_eq!(
            filled("m {{} r(t: {token}) {{}ok} }", plain),
            Some(format!("m {{ r(t: {HOSTILE}) {{ok}} }}"))
        );
    }

    #[test]
    fn a_header_takes_what_shows_and_a_path_takes_a_name() {
        for (value, in_header, in_path) in [
            ("tok+/=1", true, true),
            ("a\tb", false, true),
            (" a", false, true),
            ("a ", false, true),
            ("a b", true, true),
            ("ü€😀", true, true),
            ("", true, false),
            ("..", true, false),
            (".", true, false),
        ] {
            assert_eq!(header(value).is_some(), in_header, "{value:?}");
            assert_eq!(segment(value).is_some(), in_path, "{value:?}");
        }
    }

    #[test]
    fn names_are_known_or_refused() {
        let names = |text| Template::parse(text).map(|template| template.names().collect::<Vec<_>>());
        assert_eq!(names("{sub}/{sid}{token}"), Ok(vec![Name::Sub, Name::Sid, Name::Token]));
        assert_eq!(names("no names"), Ok(vec![]));
        assert_eq!(names("a {{}b} {{}{sub}}"), Ok(vec![Name::Sub]));
        for text in ["{user}", "{", "{token", "{Token}", "{ token }", "{}", "{{token}}", "{{", "{{{}"] {
            assert!(names(text).is_err_and(|why| why.contains("{token}")), "{text}");
        }
    }
}
