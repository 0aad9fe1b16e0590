//! `traceparent` as others send it (W3C Trace Context, section 3.2).

use super::Trace;

/// `version-trace id-parent id-flags` of version 00.
const LENGTH: usize = 55;

impl Trace {
    /// `None` where it is malformed: then there is no trace. Versions to come may have more behind a dash.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.as_bytes().split_at_checked(LENGTH)?;
        let [version] = bytes(&known[..2])?;
        let is_complete = match version {
            0x00 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more[0] == b'-',
        };
        let has_dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let [flags] = bytes(&known[53..])?;
        if !is_complete || !has_dashes {
            return None;
        }
        Self::of(bytes(&known[3..35])?, bytes(&known[36..52])?, flags)
    }
}

/// Lower-case hexadecimal digits, two a byte.
fn bytes<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_is_well_formed_is_read() {
        let rows = [
            (format!("00-{ID}-{SPAN}-00"), "00"),
            (format!("00-{ID}-{SPAN}-01"), "01"),
            (format!("00-{ID}-{SPAN}-03"), "03"),
            // Flags that this version does not know are not passed on.
            (format!("00-{ID}-{SPAN}-ff"), "03"),
            (format!("00-{ID}-{SPAN}-08"), "00"),
            // Later versions, as far as they are like this one.
            (format!("01-{ID}-{SPAN}-01"), "01"),
            (format!("cc-{ID}-{SPAN}-01-what-the-future-will-be-like"), "01"),
            (format!("fe-{ID}-{SPAN}-01-"), "01"),
        ];
        for (given, flags) in rows {
            let read = Trace::parse(&given).map(|trace| trace.to_string());
            assert_eq!(read, Some(format!("00-{ID}-{SPAN}-{flags}")), "{given}");
        }
    }

    #[test]
    fn what_is_malformed_is_none() {
        let (zeros, nil) = ("0".repeat(32), "0".repeat(16));
        let malformed = [
            String::new(),
            "-".repeat(LENGTH),
            "0".repeat(LENGTH),
            format!("00-{ID}-{SPAN}"),
            format!("00-{ID}-{SPAN}-"),
            format!("00-{ID}-{SPAN}-1"),
            format!("00-{ID}-{SPAN}-001"),
            format!("00-{ID}-{SPAN}-01-"),
            format!("00-{ID}-{SPAN}-01-more"),
            format!("00-{ID}-{SPAN}-01 "),
            format!(" 00-{ID}-{SPAN}-01"),
            format!("00-{ID}-{SPAN}-0g"),
            format!("00-{ID}-{SPAN}-+1"),
            format!("00-{}-{SPAN}-01", ID.to_uppercase()),
            format!("00-{ID}-{}-01", SPAN.to_uppercase()),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{ID}-{nil}-01"),
            format!("ff-{ID}-{SPAN}-01"),
            format!("FF-{ID}-{SPAN}-01"),
            format!("0x-{ID}-{SPAN}-01"),
            format!("0-{ID}-{SPAN}-01"),
            format!("01-{ID}-{SPAN}-01.more"),
            format!("00_{ID}-{SPAN}-01"),
            format!("00-{ID}_{SPAN}-01"),
            format!("00-{ID}-{SPAN}_01"),
            format!("00-{}-{SPAN}-01", &ID[1..]),
            format!("00-{ID}0-{}-01", &SPAN[1..]),
            format!("00-{}é-{SPAN}-01", &ID[2..]),
            format!("{ID}-{SPAN}-01-00"),
        ];
        for given in malformed {
            assert_eq!(Trace::parse(&given), None, "{given:?}");
        }
    }
}
