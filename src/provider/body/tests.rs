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
}

#[test]
fn blank_bodies_are_empty() {
    for bytes in [b"".as_slice(), b" \r\n\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\0\0\0\0"] {
        assert!(matches!(Body::read(bytes, Some("text/html"), None), Body::Empty), "{bytes:?}");
    }
}
