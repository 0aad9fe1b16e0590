use std::os::unix::fs::PermissionsExt;

use super::*;

/// A file of a test's own in a folder of its own, removed at its end.
struct Secret(std::path::PathBuf);

impl Secret {
    fn new(bytes: &[u8], mode: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("secret-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("secret");
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        Self(file)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        std::fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
    }
}

fn read_bytes(bytes: &[u8]) -> Result<String, String> {
    read(&Secret::new(bytes, 0o600).0, false).map(|secret| secret.to_string())
}

#[test]
fn a_secret_is_what_an_editor_shows_of_its_file() {
    for bytes in ["hunter2", "hunter2\n", "hunter2\r\n", "\u{feff}hunter2", "\u{feff}hunter2\r\n"] {
        assert_eq!(read_bytes(bytes.as_bytes()).as_deref(), Ok("hunter2"), "{bytes:?}");
    }
    for text in ["pass word", "pässwörd", "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"] {
        assert_eq!(read_bytes(format!("{text}\n").as_bytes()).as_deref(), Ok(text));
    }
}

#[test]
fn blanks_around_a_secret_are_kept_and_told() {
    for secret in [" hunter2", "hunter2 ", " "] {
        assert!(
            read_bytes(format!("{secret}\n").as_bytes()).as_deref() == Ok(secret) && oddity(secret).is_some()
        );
    }
    assert_eq!(oddity("pass word"), None);
}

#[test]
fn a_list_has_lines() {
    let list = |text: &str| read(&Secret::new(text.as_bytes(), 0o600).0, true).map(|list| list.to_string());
    assert_eq!(list("\u{feff}a:x\r\nb:y\r\n").as_deref(), Ok("a:x\r\nb:y"));
    assert!(list("a:x\n\u{200b}b:y").is_err_and(|why| why.contains("U+200B")));
}

#[test]
fn what_does_not_show_is_refused_by_name_and_the_secret_is_not_told() {
    let utf_16: Vec<u8> = "hunter2".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked: Vec<u8> = [b"\xff\xfe", &utf_16[..]].concat();
    for (bytes, sentence) in [
        (utf_16.as_slice(), "UTF-16"),
        (&marked, "is not UTF-8 text"),
        ("hunter2\n\n".as_bytes(), "U+000A (a line feed)"),
        ("hunter2\nhunter3\n".as_bytes(), "U+000A"),
        ("\nhunter2".as_bytes(), "U+000A"),
        ("hunter2\r\r\n".as_bytes(), "U+000D"),
        ("hunter2\t".as_bytes(), "U+0009"),
        ("hun\u{feff}ter2".as_bytes(), "U+FEFF"),
        ("hunter2\u{200b}".as_bytes(), "U+200B"),
        ("hunter2\u{a0}".as_bytes(), "U+00A0"),
        ("hunter2\u{202e}".as_bytes(), "U+202E"),
        (b"hunter2\xe4", "is not UTF-8 text"),
    ] {
        let why = read_bytes(bytes).unwrap_err();
        assert!(why.contains(sentence) && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn others_have_no_business_with_a_secret() {
    for (mode, exposed) in [
        (0o600, None),
        (0o400, None),
        (0o640, None),
        (0o440, None),
        (0o644, Some("read by everybody")),
        (0o604, Some("read by")),
    ] {
        let secret = Secret::new(b"x", mode);
        assert_eq!(
            exposure(&secret.0).map(|why| why.contains(exposed.unwrap_or("?"))),
            exposed.map(|_| true),
            "{mode:o}"
        );
        assert!(read(&secret.0, false).is_ok(), "{mode:o}");
    }
    assert!(exposure(&Secret::new(b"x", 0o660).0).is_some_and(|why| why.contains("its group")));
    for mode in [0o666, 0o602, 0o622, 0o777] {
        let why = read(&Secret::new(b"x", mode).0, false).unwrap_err();
        assert!(why.contains("may be written by everybody"), "{mode:o}: {why}");
    }
}

#[test]
fn what_kubernetes_mounts_is_as_it_must_be() {
    let secret = Secret::new(b"x", 0o644);
    std::os::unix::fs::symlink(".", secret.0.parent().unwrap().join("..data")).unwrap();
    assert_eq!(exposure(&secret.0), None);
    assert!(is_mounted(Path::new("/run/secrets/shop")) && !is_mounted(Path::new("/run/secrets2/shop")));
}

#[test]
fn whom_to_trust_is_in_no_file_that_everybody_may_write() {
    use crate::config::{Config, Environment};
    let sender = [("ISSUER", "https://op.example.com"), ("CLIENT_ID", "shop"), ("PROVIDER", "main")];
    let sender =
        sender.map(|(key, value)| (format!("REVOCATION__RECEIVE__SENDERS__OP__{key}"), value.to_owned()));
    for (key, setting) in [
        ("AMQP__CA_FILE", "amqp.ca_file"),
        ("PROVIDERS__MAIN__CA_FILE", "providers.main.ca_file"),
        ("RECEIVE__SENDERS__OP__CA_FILE", "receive.senders.op.ca_file"),
    ] {
        for (mode, is_refused) in [(0o644, false), (0o664, false), (0o666, true), (0o602, true)] {
            let file = Secret::new(b"x", mode);
            let path = file.0.to_str().unwrap().to_owned();
            let set = sender.clone().into_iter().chain([
                (format!("REVOCATION__{key}"), path),
                ("REVOCATION__PROVIDERS__MAIN__KIND".to_owned(), "rfc7009".to_owned()),
            ]);
            let refused = Config::load(None, &Environment::new(set)).err().unwrap();
            let told = format!("{} may be written by everybody", file.0.display());
            let is_told = |problem: &String| problem.starts_with(setting) && problem.contains(&told);
            assert_eq!(refused.problems().iter().any(is_told), is_refused, "{mode:o}: {refused}");
        }
    }
}
