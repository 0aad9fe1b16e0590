use super::*;

fn error(bytes: &[u8], kind: &str) -> Option<String> {
    let body = Body::read(bytes, Some(kind), None);
    body.members()?.get("error")?.as_str().map(str::to_owned)
}

const JSON: &str = r#"{"error":"invalid_token","note":"é"}"#;

#[test]
fn an_error_is_found_in_every_encoding() {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| JSON.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let utf32 =
        |bytes: fn(u32) -> [u8; 4]| JSON.chars().flat_map(|c| bytes(u32::from(c))).collect::<Vec<_>>();
    let latin1: Vec<u8> = JSON.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
    let rows = [
        JSON.as_bytes().to_vec(),
        marked(b"\xef\xbb\xbf", JSON.into()),
        marked(b"\xef\xbb\xbf\xef\xbb\xbf \r\n", JSON.into()),
        latin1.clone(),
        marked(b"\xef\xbb\xbf", latin1),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        marked(b"\xff\xfe", utf16(u16::to_le_bytes)),
        marked(b"\xfe\xff", utf16(u16::to_be_bytes)),
        utf32(u32::to_le_bytes),
        utf32(u32::to_be_bytes),
        marked(b"\xff\xfe\0\0", utf32(u32::to_le_bytes)),
        marked(b"\0\0\xfe\xff", utf32(u32::to_be_bytes)),
        marked(b"\0\0\0\0\0", JSON.into()),
        marked(JSON.as_bytes(), vec![0; 100]),
        serde_json::json!(JSON).to_string().into(),
    ];
    for (place, bytes) in rows.iter().enumerate() {
        for kind in ["application/json", "text/plain; charset=ISO-8859-1", "text/html", ""] {
            assert_eq!(error(bytes, kind).as_deref(), Some("invalid_token"), "{place} {kind}");
        }
    }
}

#[test]
fn forms_are_read_as_json_is() {
    let form = "error=invalid_token&error_description=bad%20token+it+is";
    for body in [
        form,
        "error=invalid_token",
        " error=invalid_token\n",
        "error_description=no&error=invalid_token",
        "error=invalid_token\nx=y",
        "?error=invalid%5Ftoken",
    ] {
        for kind in ["application/x-www-form-urlencoded", "text/plain", "application/json", ""] {
            assert_eq!(error(body.as_bytes(), kind).as_deref(), Some("invalid_token"), "{body} {kind}");
        }
    }
    assert_eq!(error(b"error=a&error=b", ""), None, "which of the two is unknown");
    assert!(matches!(Body::read(b"all is well = revoked", None, None), Body::Text));
}

#[test]
fn a_body_that_nobody_asked_to_be_compressed_is_not_read() {
    for encoding in ["gzip", "br", "deflate, gzip"] {
        assert!(matches!(Body::read(b"\x1f\x8b\x08\0", None, Some(encoding)), Body::Encoded), "{encoding}");
        assert!(matches!(Body::read(b"", None, Some(encoding)), Body::Empty), "{encoding}");
    }
    assert!(matches!(Body::read(b"{}", None, Some("identity")), Body::Json(_)));
    // Deflate, zstandard, brotli, MessagePack and CBOR without a word about it.
    let unsaid: [&[u8]; 5] = [
        b"x\x9c\xabVJ-*\xca/R\xb2R\xca\xcc+K\xcc\xc9L\x89/\xc9\xcfN\xcdS\xaa\x05\0_\x1a\x07\x92",
        b"\x28\xb5\x2f\xfd\x04\x58\xc1\0\0{error}\x01",
        b"\xce\x02\x07{\"error\"}\x03!",
        b"\x81\xa5error\xad\x01invalid_token",
        b"\xa1\x65error\x6d\x02invalid_token",
    ];
    for bytes in unsaid {
        assert!(matches!(Body::read(bytes, None, None), Body::Encoded), "{bytes:?}");
    }
}

#[test]
fn json_within_other_text_says_no_and_never_yes() {
    for text in [
        "1f\r\n{\"error\":\"invalid_token\"}\r\n0\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{\"error\":\"invalid_token\"}",
        "--b\r\nContent-Type: application/json; a=b\r\n\r\n{\"error\":\"invalid_token\"}\r\n--b--",
        "PHP Notice: {} is odd, {0} too {\"error\":\"invalid_token\"}",
    ] {
        assert_eq!(error(text.as_bytes(), "text/plain").as_deref(), Some("invalid_token"), "{text}");
        let body = Body::read(text.as_bytes(), None, None);
        assert!(body.is_broken() && body.whole().is_none(), "{text}");
    }
    for text in ["all {is} well", "{0}", "well {", "Denied <html>{\"ok\":true}</html>"] {
        assert!(
            !matches!(Body::read(text.as_bytes(), None, None), Body::Json(_) | Body::Within(_)),
            "{text}"
        );
    }
}

#[test]
fn blank_bodies_are_empty() {
    for bytes in [b"".as_slice(), b" \r\n\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\0\0\0\0"] {
        assert!(matches!(Body::read(bytes, Some("text/html"), None), Body::Empty), "{bytes:?}");
    }
}
