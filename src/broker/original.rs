//! Header `x-original-user`: who sent a message first that was put back from `revocation.dead`.
//!
//! A long string, empty for a message without `user_id`; an array of those where it was put back by users
//! that are no operators, whose rights it needs, too. Anybody can set it: [`crate::authorization`] says when
//! it is believed.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};

use super::{QUEUES, headers};
use crate::event::{MAX_SENDERS, Origin, Original};

pub(super) const HEADER: &str = "x-original-user";
/// Longest name of a broker user, bytes.
const MAX_USER: usize = 255;

/// The headers that say whose a message is. Of a frame that is too large they are left out last.
pub(super) const SAY_WHO: [&str; 4] = [HEADER, headers::CODE, headers::USER, DEATHS];
/// Where the broker says out of which queue it took a message.
const DEATHS: &str = "x-death";

/// What the header says, unless it is among those that were `lost` on the way.
pub(super) fn read(headers: Option<&FieldTable>, lost: &[&str]) -> Original {
    if lost.contains(&HEADER) {
        return Original::Unreadable;
    }
    let senders = match headers.and_then(|headers| headers.inner().get(HEADER)) {
        None => return Original::NotSaid,
        Some(AMQPValue::FieldArray(senders)) if (1..=MAX_SENDERS).contains(&senders.as_slice().len()) => {
            senders.as_slice().iter().map(sender).collect()
        }
        Some(value) => sender(value).map(|sender| vec![sender]),
    };
    senders.map_or(Original::Unreadable, Original::Senders)
}

fn sender(value: &AMQPValue) -> Option<Option<String>> {
    let AMQPValue::LongString(name) = value else { return None };
    let name = std::str::from_utf8(name.as_bytes()).ok().filter(|name| name.len() <= MAX_USER)?;
    Some(Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// The header that says so.
pub(super) fn write<'a>(senders: impl Iterator<Item = Option<&'a str>>) -> AMQPValue {
    let mut names: Vec<_> =
        senders.map(|sender| AMQPValue::LongString(sender.unwrap_or_default().into())).collect();
    match names.len() {
        1 => names.remove(0),
        _ => AMQPValue::FieldArray(FieldArray::from(names)),
    }
}

/// The header for a message that is refused.
pub(super) fn of_refused(origin: &Origin, headers: &FieldTable) -> AMQPValue {
    match headers.inner().get(HEADER) {
        Some(value) if origin.original == Original::Unreadable => unreadable(value),
        _ => write(origin.senders()),
    }
}

/// What cannot be read stays so, but takes no room.
fn unreadable(value: &AMQPValue) -> AMQPValue {
    match value {
        AMQPValue::LongString(text) if text.as_bytes().len() > MAX_USER + 1 => AMQPValue::Void,
        AMQPValue::FieldTable(_) | AMQPValue::FieldArray(_) | AMQPValue::ByteArray(_) => AMQPValue::Void,
        value => value.clone(),
    }
}

/// The header for a message in `revocation.dead`. What a worker or the broker says of its sender counts
/// beside what it says itself, which its publisher may have made up. One that cannot be read stays as it is,
/// and is refused again, and so is a message whose headers may hide what the broker says.
pub(super) fn of_dead(properties: &BasicProperties, may_hide: bool) -> AMQPValue {
    if may_hide {
        return AMQPValue::Void;
    }
    let headers = properties.headers().as_ref();
    let mut senders = match read(headers, &[]) {
        Original::Unreadable => {
            return headers
                .and_then(|headers| headers.inner().get(HEADER))
                .map_or(AMQPValue::Void, unreadable);
        }
        Original::Senders(senders) => senders,
        Original::NotSaid => Vec::new(),
    };
    let mut add = |sender: Option<String>| {
        if !senders.contains(&sender) {
            senders.push(sender);
        }
    };
    let has = |name| headers.is_some_and(|headers| headers.inner().contains_key(name));
    if has(headers::CODE) {
        add(headers::header(properties, headers::USER));
    }
    if !has(headers::CODE) || headers.is_some_and(died_here) {
        add(properties.user_id().as_ref().map(ToString::to_string));
    }
    write(senders.iter().map(Option::as_deref))
}

/// Whether the broker took it out of one of our queues: then no worker refused it, whatever its headers say.
fn died_here(headers: &FieldTable) -> bool {
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get(DEATHS) else { return false };
    deaths.as_slice().iter().any(|death| match death {
        AMQPValue::FieldTable(death) => {
            let Some(AMQPValue::LongString(queue)) = death.inner().get("queue") else { return false };
            QUEUES.iter().any(|ours| queue.as_bytes() == ours.as_bytes())
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn list(names: &[&str]) -> AMQPValue {
        AMQPValue::FieldArray(FieldArray::from(names.iter().map(|name| text(name)).collect::<Vec<_>>()))
    }

    fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
        let mut headers = FieldTable::default();
        for (name, value) in entries {
            headers.insert((*name).into(), value.clone());
        }
        headers
    }

    fn senders(names: &[&str]) -> Original {
        Original::Senders(
            names.iter().map(|name| Some((*name).to_owned()).filter(|name| !name.is_empty())).collect(),
        )
    }

    #[test]
    fn only_names_are_read() {
        assert_eq!(read(None, &[]), Original::NotSaid);
        assert_eq!(read(Some(&table(&[("tenant", text("a"))])), &["x-death"]), Original::NotSaid);
        let rows = [
            (text("shop"), senders(&["shop"])),
            (text(""), senders(&[""])),
            (text(&"x".repeat(255)), senders(&[&"x".repeat(255)])),
            (list(&["shop", "", "soc"]), senders(&["shop", "", "soc"])),
            (text(&"x".repeat(256)), Original::Unreadable),
            (AMQPValue::LongString(vec![0xff, 0xfe].into()), Original::Unreadable),
            (AMQPValue::ShortString("shop".into()), Original::Unreadable),
            (AMQPValue::LongInt(7), Original::Unreadable),
            (AMQPValue::Boolean(true), Original::Unreadable),
            (AMQPValue::Void, Original::Unreadable),
            (AMQPValue::FieldTable(table(&[("a", text("soc"))])), Original::Unreadable),
            (list(&[]), Original::Unreadable),
            (list(&["soc"; MAX_SENDERS + 1]), Original::Unreadable),
            (
                AMQPValue::FieldArray(FieldArray::from(vec![text("soc"), AMQPValue::LongInt(7)])),
                Original::Unreadable,
            ),
            (AMQPValue::FieldArray(FieldArray::from(vec![list(&["soc"])])), Original::Unreadable),
        ];
        assert_eq!(read(None, &[HEADER]), Original::Unreadable, "it did not fit");
        for (value, wanted) in rows {
            assert_eq!(read(Some(&table(&[(HEADER, value.clone())])), &[]), wanted, "{value:?}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for names in [vec![Some("shop")], vec![None], vec![Some("shop"), None, Some("ops")]] {
            let wanted = names.iter().map(|name| name.map(str::to_owned)).collect();
            assert_eq!(
                read(Some(&table(&[(HEADER, write(names.into_iter()))])), &[]),
                Original::Senders(wanted)
            );
        }
    }

    /// Message in `revocation.dead`, and whose rights it needs when it is put back.
    #[test]
    fn a_dead_message_keeps_its_sender_and_wins_none() {
        let death = |queue| {
            AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::FieldTable(table(&[(
                "queue",
                text(queue),
            )]))]))
        };
        let (code, died, elsewhere) = (
            (headers::CODE, text("not_allowed")),
            ("x-death", death("revocation.mass")),
            ("x-death", death("retry")),
        );
        let (own, claimed) = (|name| (headers::USER, text(name)), |name| (HEADER, text(name)));
        let rows = [
            (vec![code.clone(), own("shop")], None, vec!["shop"]),
            (vec![code.clone()], None, vec![""]),
            (vec![code.clone(), own("shop"), elsewhere], None, vec!["shop"]),
            (vec![code.clone(), own("shop"), claimed("shop")], None, vec!["shop"]),
            (vec![code.clone(), own("shop"), claimed("soc")], None, vec!["soc", "shop"]),
            (vec![code.clone(), claimed("soc")], None, vec!["soc", ""]),
            (vec![code.clone(), own("ops"), (HEADER, list(&["shop", "ops"]))], None, vec!["shop", "ops"]),
            (vec![died.clone()], Some("shop"), vec!["shop"]),
            (vec![died.clone(), claimed("soc")], Some("shop"), vec!["soc", "shop"]),
            (vec![died.clone(), code, own("soc")], Some("shop"), vec!["soc", "shop"]),
            (vec![died], None, vec![""]),
            (vec![own("soc")], None, vec![""]),
        ];
        for (headers, user, wanted) in rows {
            let mut properties = BasicProperties::default().with_headers(table(&headers));
            if let Some(user) = user {
                properties = properties.with_user_id(user.into());
            }
            let put_back = |may_hide| read(Some(&table(&[(HEADER, of_dead(&properties, may_hide))])), &[]);
            assert_eq!(put_back(false), senders(&wanted), "{headers:?}, {user:?}");
            assert_eq!(put_back(true), Original::Unreadable, "{headers:?}, {user:?}");
        }
        let odd = AMQPValue::LongInt(7);
        assert_eq!(
            of_dead(&BasicProperties::default().with_headers(table(&[(HEADER, odd.clone())])), false),
            odd,
            "refused again"
        );
    }
}
