//! Names, and whatever else people and servers chose: escaped, with what would not show made visible, and cut
//! where they are long, with the whole to open and copy.

use maud::{Markup, html};
use url::form_urlencoded;

use crate::visible::errors::brief;
use crate::visible::names::printable;

/// A name of so many characters is shown whole.
const LONGEST: usize = 40;
/// What is shown of a longer one: its beginning and its end.
const HEAD: usize = 24;
const TAIL: usize = 12;

/// A name.
pub(super) fn name(text: &str) -> Markup {
    let whole = printable(text);
    match cut(&whole) {
        None => html! { bdi.name { (whole) } },
        Some(short) => html! {
            details.long {
                summary { bdi.name { (short) } }
                code.whole { (whole) }
            }
        },
    }
}

/// A name that may be missing.
pub(super) fn or_dash(text: Option<&str>) -> Markup {
    text.map_or_else(|| html! { "–" }, name)
}

/// A call's error: the beginning of what tells most of it, with the whole to open.
pub(super) fn error(text: &str) -> Markup {
    let (whole, brief) = (printable(text), printable(brief(text)));
    if whole.chars().count() <= LONGEST {
        return name(text);
    }
    let short: String = match brief.chars().count() <= LONGEST {
        true => brief,
        false => brief.chars().take(LONGEST - 1).chain(['…']).collect(),
    };
    html! {
        details.long {
            summary { bdi.name { (short) } }
            code.whole { (whole) }
        }
    }
}

/// A name that leads somewhere.
pub(super) fn linked(to: &str, text: &str) -> Markup {
    let whole = printable(text);
    match cut(&whole) {
        None => html! { a href=(to) { bdi.name { (whole) } } },
        Some(short) => html! {
            a href=(to) { bdi.name { (short) } }
            " "
            details.long {
                summary { "whole name" }
                code.whole { (whole) }
            }
        },
    }
}

/// A command to paste.
pub(super) fn command(text: &str) -> Markup {
    html! { code.command { (printable(text)) } }
}

/// A name in a title, where nothing can be opened.
pub(super) fn short(text: &str) -> String {
    let whole = printable(text);
    cut(&whole).unwrap_or(whole)
}

/// The middle is left out: names that differ mostly do so at their ends.
fn cut(whole: &str) -> Option<String> {
    let characters: Vec<char> = whole.chars().collect();
    (characters.len() > LONGEST).then(|| {
        let (head, tail) = (&characters[..HEAD], &characters[characters.len() - TAIL..]);
        head.iter().chain(&['…']).chain(tail).collect()
    })
}

/// The page of an incident, from a page at the top.
pub(super) fn of_incident(incident: &str) -> String {
    let encoded = encoded(incident);
    // A browser takes these for the way up.
    if matches!(incident, "." | "..") {
        format!("incident?name={encoded}")
    } else {
        format!("incident/{encoded}")
    }
}

/// The page of an event, from a page at the top.
pub(super) fn of_event(source: &str, id: &str) -> String {
    format!("event?{}", query(&[("source", source), ("id", id)]))
}

/// What stands behind `?`.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// And back; a proxy may have put a slash in its place already.
pub(super) fn decoded(part: &str) -> String {
    let query = format!("n={}", part.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(query.as_bytes()).next().map(|(_, name)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_browser_is_text() {
        for (hostile, shown) in [
            ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("a\u{202e}b\u{0}", r"a\u{202e}b\0"),
            ("&amp;", "&amp;amp;"),
        ] {
            let markup = name(hostile).into_string();
            assert_eq!(markup, format!("<bdi class=\"name\">{shown}</bdi>"));
        }
    }

    #[test]
    fn a_long_name_is_cut_in_the_middle_and_whole_to_open() {
        let long = format!("rate-{}-2026", "x".repeat(500));
        let markup = name(&long).into_string();
        let shown = format!("<bdi class=\"name\">rate-{}…xxxxxxx-2026</bdi>", "x".repeat(19));
        assert!(markup.contains(&shown));
        assert!(markup.contains(&format!("<code class=\"whole\">{long}</code>")));
    }

    #[test]
    fn any_name_comes_back_from_an_address() {
        for name in ["leak", "a/b", "a b+c&d=e?f#g%2F", "é\u{202e}", "...", "-x"] {
            let path = of_incident(name);
            let part = path.strip_prefix("incident/").expect("a path");
            assert!(!part.contains(['/', '?', '#', '&', ' ']), "{part}");
            assert_eq!(decoded(part), name);
        }
        assert_eq!(of_incident(".."), "incident?name=..");
        assert_eq!(of_event("/apps/a&b", "1 2"), "event?source=%2Fapps%2Fa%26b&id=1+2");
    }
}
