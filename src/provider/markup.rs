//! HTML and XML: told apart, and the elements of XML read, so far as an answer's error has to be found in
//! them.

use serde_json::{Map, Value};

use super::lenient::insert;
use super::normal::entities;

/// Elements that pages, and parts of pages, begin with.
const PAGE: &str = "\
    html head body title meta script style link base div span center font pre b strong em h1 h2 h3 p br hr \
    img ul table form iframe frameset noscript main section a i u tt small big h4 h5 h6 ol dl nav header \
    footer article aside button input label svg template blockquote";
/// Elements whose mere presence tells of a failure.
const FAILURES: [&str; 5] = ["error", "errors", "fault", "exception", "failure"];

/// Whether text that begins with none has the elements of a page in it.
pub(super) fn is_page(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["<html", "<!doctype html", "<head>", "<body", "<title>", "<h1"].iter().any(|tag| text.contains(tag))
}

/// The text without the comments before it, which proxies add to whatever they pass on. One that is all there
/// is stays.
pub(super) fn behind_comments(text: &str) -> &str {
    let mut behind = text;
    while let Some((_, rest)) = behind.strip_prefix("<!--").and_then(|comment| comment.split_once("-->")) {
        behind = rest.trim_start();
    }
    if behind.is_empty() { text } else { behind }
}

/// The attributes and the innermost elements of XML, by name without prefix. `None` for a page, and where
/// there is no element at all.
pub(super) fn elements(text: &str) -> Option<Value> {
    if is_page(text) {
        return None;
    }
    let mut members = Map::new();
    let mut open = None;
    for piece in text.split('<').skip(1) {
        match piece.chars().next() {
            Some('!') => character_data(piece, open)
                .into_iter()
                .for_each(|(name, text)| insert(&mut members, name, text.into())),
            Some('?' | '/') | None => open = None,
            Some(_) => open = Some(element(piece, open.is_none() && members.is_empty(), &mut members)?),
        }
    }
    (!members.is_empty() || open.is_some() || text.contains('>')).then_some(Value::Object(members))
}

/// One tag and the text behind it. Returns the element's name; `None` where it is the first and a page's.
fn element<'a>(piece: &'a str, is_first: bool, members: &mut Map<String, Value>) -> Option<&'a str> {
    let (tag, text) = piece.split_once('>').unwrap_or((piece, ""));
    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
    let name = name.rsplit(':').next().unwrap_or_default();
    if is_first && PAGE.split(' ').any(|tag| name.eq_ignore_ascii_case(tag)) {
        return None;
    }
    attributes(tag).for_each(|(name, value)| insert(members, name, value.into()));
    let text = entities(text.trim());
    if !text.is_empty() {
        insert(members, name.to_owned(), text.into());
    } else if FAILURES.iter().any(|tag| name.eq_ignore_ascii_case(tag)) {
        members.entry("failure").or_insert(Value::Bool(true));
    }
    Some(name)
}

fn character_data(piece: &str, open: Option<&str>) -> Option<(String, String)> {
    let text = piece.strip_prefix("![CDATA[")?.split("]]>").next()?;
    Some((open?.to_owned(), text.trim().to_owned()))
}

/// `name="value"` of a tag; namespaces are not among them.
fn attributes(tag: &str) -> impl Iterator<Item = (String, String)> {
    let mut pieces = tag.split(['"', '\'']);
    std::iter::from_fn(move || Some((pieces.next()?, pieces.next()?))).filter_map(|(before, value)| {
        let name = before.trim_end().strip_suffix('=')?.trim_end();
        let name = name.rsplit(char::is_whitespace).next()?;
        (!name.starts_with("xmlns")).then(|| (name.to_owned(), entities(value)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_are_known_however_they_begin() {
        let pages = [
            "<html>x</html>",
            "<HTML><BODY>",
            "<!DOCTYPE html>\n<html lang=en>",
            "<!-- a -->\n<!doctype HTML>",
            "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"x\"><html \
                xmlns=\"http://www.w3.org/1999/xhtml\">",
            "<script>location='/blocked'</script>",
            "<center><h1>403</h1></center>",
            "<meta http-equiv=refresh>",
            "<b>Access denied</b>",
        ];
        for page in pages {
            assert!(elements(page).is_none(), "{page}");
        }
        assert!(is_page("Request blocked.<HTML><body>"));
    }

    #[test]
    fn xml_gives_its_elements() {
        let rows = [
            (
                "<OAuth><error>invalid_token</error><error_description>a &amp; b</error_description></OAuth>",
                "error",
                json!("invalid_token"),
            ),
            (
                "<?xml version=\"1.0\"?><x:OAuth xmlns:x=\"u\"><x:error>e</x:error></x:OAuth>",
                "error",
                json!("e"),
            ),
            ("<rsp stat=\"fail\"/>", "stat", json!("fail")),
            ("<r><status><![CDATA[error]]></status></r>", "status", json!("error")),
            ("<Error><Code>AccessDenied</Code></Error>", "failure", json!(true)),
            (
                "<soap:Envelope><soap:Body><soap:Fault><faultcode>x</faultcode></soap:Fault></soap:Body>\
                    </soap:Envelope>",
                "failure",
                json!(true),
            ),
        ];
        for (text, name, value) in rows {
            assert_eq!(elements(text).unwrap()[name], value, "{text}");
        }
        assert_eq!(elements("<ok/>").unwrap(), json!({}));
    }
}
