//! What is taken of files as spreadsheets, editors and people write them: what a person sees of a line, or
//! the line is refused by its number.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Stage, logout_of};
use crate::program::{Ran, bare, command, feed, run};
use crate::queue::{Broker, declare};

/// Nothing listens there.
const NO_BROKER: [(&str, &str); 1] = [("AMQP_URL", "amqp://soc@127.0.0.1:1")];

/// A file of a test's own, removed at its end.
struct File(PathBuf);

impl File {
    fn new(extension: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("input-{}{extension}", uuid::Uuid::now_v7()));
        std::fs::write(&path, bytes).expect("write the file");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("remove the file");
    }
}

/// What an order of this file would do.
fn dry(extension: &str, bytes: &[u8]) -> Ran {
    let file = File::new(extension, bytes);
    let ordered = ["incident", "open", "leak", "--reason", "theft", "--dry-run", "--json"];
    run(&mut bare(&NO_BROKER), &[&ordered[..], &[file.0.to_str().expect("UTF-8")]].concat())
}

/// How many targets are taken, and the numbers of the lines that are refused.
fn taken(summary: &Value) -> (u64, Vec<u64>) {
    let refused = summary["refused"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line["line"].as_u64().expect("a number"));
    (summary["targets"]["total"].as_u64().expect("a number"), refused.collect())
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn every_cell_of_csv_is_what_a_person_sees_or_its_line_is_refused() {
    let cases: [(&str, u64, &[u64]); 31] = [
        ("sub\nuser-1\n", 1, &[]),
        ("\u{feff}sub\r\nuser-1\r\nuser-2\r\n", 2, &[]),
        ("sub\r\nuser-1\nuser-2\r\n\r\n\nuser-3", 3, &[]),
        ("sub\nuser-1\ruser-2\ruser-3\n", 0, &[2]),
        ("sub\nuser-1\r\r\nuser-2\n", 1, &[2]),
        ("sub\n\"user-1\ruser-2\"\nuser-3\n", 1, &[2]),
        ("sub\n user-1\nuser-2 \n user-3 \nuser-4\n", 1, &[2, 3, 4]),
        ("sub\n\u{a0}user-1\nuser-2\u{a0}\nus\u{a0}er\n", 0, &[2, 3, 4]),
        ("sub\nuser-1\u{200b}\n\u{200b}user-2\nuser-3\n", 1, &[2, 3]),
        ("sub\nuser-1\t\n\tuser-2\nuser-3\n", 1, &[2, 3]),
        ("sub\nuser-1\u{2028}user-2\nuser-3\u{2029}\n", 0, &[2, 3]),
        ("sub\n\u{feff}user-1\nuser\u{feff}-2\nuser-3\n", 1, &[2, 3]),
        ("sub\n\u{3000}user-1\nuser-2\u{2003}\nuser-3\u{202f}\n\u{1680}u\n", 0, &[2, 3, 4, 5]),
        ("sub\nuser\0-1\nuser-2\n", 1, &[2]),
        ("sub\nuser-1\u{1b}[2J\nuser\u{7}-2\nuser\u{85}-3\nuser-4\u{9b}\n", 0, &[2, 3, 4, 5]),
        ("sub\nuser-1\u{202e}\n\u{2066}user-2\nuser-3\u{200f}\nuser-4\u{ad}\n", 0, &[2, 3, 4, 5]),
        ("sub,sid\n,\n\"\",\"\"\nuser-1,\n", 1, &[2, 3]),
        ("sub\n   \n\u{a0}\n\" \"\nuser-1\n", 1, &[3, 4]),
        ("sub\nuser-1,\n,user-2\nuser-3,,\nuser-4\n", 1, &[2, 3, 4]),
        ("sub\n\"user-1\nuser-2\n", 1, &[2]),
        ("sub\nuser-1\"\n\"user\"-2\nus\"er\"-3\n \"user-4\"\n\"user-5\" \n", 0, &[2, 3, 4, 5, 6]),
        ("sub\n\"user \"\"1\"\"\"\n\"a,b\"\n", 2, &[]),
        ("sub\nsub\nuser-1\n", 1, &[2]),
        ("sub\nsep=;\nuser-1\n", 1, &[2]),
        ("sub,sid\nsub,sid\nu,s\n", 1, &[2]),
        ("sub,sid\nu;s\nu\ts\nu,s\n", 1, &[2, 3]),
        ("sub,token\nuser-1,a b\nuser-2,t-2\u{a0}\nuser-3,t-3\n", 1, &[2, 3]),
        ("client_id,provider\nshop,main \nshop,\u{a0}main\nshop,main\n", 1, &[2, 3]),
        (
            "iss\nhttps://id.example.com/ \nhttps://id.example.com/\u{200b}\nhttps://id.example.com/\n",
            1,
            &[2, 3],
        ),
        ("sub\nuser\u{fffd}\nm\u{fc}ller\n", 1, &[2]),
        ("sub\nJohn Smith\n", 1, &[]),
    ];
    for (text, targets, refused) in cases {
        let ran = dry(".csv", text.as_bytes());
        assert_eq!(taken(&ran.json()), (targets, refused.to_vec()), "{text:?}: {}", ran.stdout);
        assert_eq!(ran.code, i32::from(!refused.is_empty()), "{text:?}");
    }
    let latin = dry(".csv", b"sub\nm\xfcller\nuser-2\n");
    assert_eq!((latin.code, taken(&latin.json())), (1, (1, vec![2])), "not UTF-8");
}

#[test]
fn a_file_that_cannot_be_read_as_csv_is_refused_whole_with_what_to_do() {
    let marked = utf_16("\u{feff}sub\nuser-1\n");
    let (unmarked, zip) = (utf_16("sub\nuser-1\n"), b"PK\x03\x04\x14\0\x06\0sub".to_vec());
    let cases: [(&[u8], i32, &str); 16] = [
        (b"sub\ruser-1\ruser-2\r", 2, "line 1 has a carriage return in it"),
        (b"sep=;\nsub\nuser-1\n", 2, "remove the line"),
        (b"\"sep=,\"\nsub\nuser-1\n", 2, "remove the line"),
        (b"sub;sid\nu;s\n", 2, "has semicolons between the columns: save the file with commas"),
        (b"sub\tsid\nu\ts\n", 2, "has tabs between the columns"),
        (b"sub,sub\nu,v\n", 2, "names column sub twice"),
        (b"sub,\nu,\n", 2, "names no column in cell 2"),
        (b"sub, \nu,\n", 2, "names no column in cell 2"),
        (b"\"sub\nuser-1\n", 2, "has a quote that is not closed"),
        (b"user-1\nuser-2\n", 2, "is no header"),
        (b"sub\xc2\xa0,sid\nu,s\n", 2, "has a column (number 1"),
        (&marked, 1, "it is UTF-16: save it as UTF-8"),
        (&unmarked, 1, "it is UTF-16 or no text: save it as UTF-8"),
        (&zip, 1, "save it as CSV in UTF-8"),
        (b"sub\n", 2, "has no line with a target"),
        (b"\xef\xbb\xbf\r\n \r\n", 2, "has no line with a target"),
    ];
    for (bytes, code, sentence) in cases {
        let ran = dry(".csv", bytes);
        let error = ran.json()["error"].as_str().expect("a sentence").to_owned();
        assert!(
            ran.code == code && error.contains(sentence) && ran.stderr.ends_with(&format!("{error}\n")),
            "{bytes:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn ndjson_names_what_a_person_sees_too() {
    let cases: [(&str, u64, &[u64]); 10] = [
        ("\u{feff}{\"sub\":\"user-1\"}\r\n\n{\"sub\":\"user-2\"}", 2, &[]),
        ("{\"sub\":\"user-1\"}\r{\"sub\":\"user-2\"}\n{\"sub\":\"user-3\"}\n", 1, &[1]),
        ("{\"sub\":\"user-1 \"}\n{\"sub\":\" user-2\"}\n{\"sub\":\" \"}\n", 0, &[1, 2, 3]),
        ("{\"sub\":\"user-1\u{a0}\"}\n{\"sub\":\"user-2\\u00a0\"}\n", 0, &[1, 2]),
        (
            "{\"sub\":\"user-1\u{200b}\"}\n{\"sub\":\"user-2\\u200B\"}\n{\"sid\":\"\\ufeffs\"}\n",
            0,
            &[1, 2, 3],
        ),
        (
            "{\"sub\":\"a\\tb\"}\n{\"sub\":\"a\\nb\"}\n{\"sub\":\"a\\rb\"}\n{\"sub\":\"a\\u0000b\"}\n",
            0,
            &[1, 2, 3, 4],
        ),
        ("{\"sub\":\"a\u{202e}b\"}\n{\"sub\":\"a\\u202eb\"}\n{\"sub\":\"a\u{2028}b\"}\n", 0, &[1, 2, 3]),
        ("{\"sub\":\"u\"}\n\u{feff}{\"sub\":\"v\"}\n", 1, &[2]),
        ("\t{ \"sub\" :\t\"John Smith\" }\t\n", 1, &[]),
        (
            "{\"sub\":\"u\",\"provider\":\"main\\u200b\"}\n{\"client_id\":\"shop \
                \"}\n{\"iss\":\"https://id\\u2060\"}\n",
            0,
            &[1, 2, 3],
        ),
    ];
    for (text, targets, refused) in cases {
        let ran = dry(".ndjson", text.as_bytes());
        assert_eq!(taken(&ran.json()), (targets, refused.to_vec()), "{text:?}: {}", ran.stdout);
    }
    let ran = dry(".ndjson", &utf_16("{\"sub\":\"u\"}\n"));
    assert!(
        ran.code == 1 && ran.stderr.contains("it is UTF-16 or no text: save it as UTF-8"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_flag_names_what_a_person_sees() {
    for flag in ["--sub", "--sid", "--client", "--iss"] {
        for value in ["u ", "\u{a0}u", "u\u{200b}", "u\u{1b}[2J", "a\rb"] {
            let ran = run(
                &mut bare(&NO_BROKER),
                &["incident", "open", "leak", "--reason", "theft", "--dry-run", flag, value],
            );
            assert!(
                ran.code == 2
                    && ran.stderr.contains("the target of the command line: ")
                    && ran.stderr.contains("remove it"),
                "{}",
                ran.stderr
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submit_reads_lines_as_an_order_does() {
    let stage = Stage::new().await;
    declare(&stage).await;
    let event = |id: &str| logout_of(id, json!([{ "sub": "u" }])).to_string();
    let input = format!(
        "\u{feff}{}\r\n\r\n  \n{}\n{}\r{}\n{}",
        event("e-1"),
        event("e-2"),
        event("e-3"),
        event("e-4"),
        event("e-5")
    );
    let ran = feed(&mut command(&stage), &["submit", "--json"], &input);
    let summary = ran.json();
    assert_eq!((ran.code, &summary["lines"], &summary["published"]), (1, &json!(4), &json!(3)), "{summary}");
    assert_eq!(summary["refused"][0]["line"], 5);
    assert!(
        summary["refused"][0]["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("has a carriage return in it")),
        "{summary}"
    );
    let broker = Broker::connect(&stage).await;
    let bodies: Vec<_> =
        broker.drain("revocation.logout").await.into_iter().map(|message| message.data).collect();
    assert_eq!(bodies, ["e-1", "e-2", "e-5"].map(|id| event(id).into_bytes()), "without the byte order mark");

    for (bytes, sentence) in
        [(utf_16(&event("e-6")), "it is UTF-16 or no text"), (b"\x1f\x8b\x08\0".to_vec(), "it is compressed")]
    {
        let file = File::new(".ndjson", &bytes);
        let ran = run(&mut command(&stage), &["submit", "--json", file.0.to_str().expect("UTF-8")]);
        assert!(
            ran.code == 1 && ran.stderr.contains(sentence) && ran.json()["published"] == 0,
            "{}",
            ran.stderr
        );
    }
    let folder = run(&mut command(&stage), &["submit", "/tmp"]);
    assert!(folder.code == 1 && folder.stderr.contains("Is a directory"), "{}", folder.stderr);
}

/// What fails before anything was published does not say how far it came, nor how it goes on.
#[test]
fn a_failed_order_ends_with_what_to_do() {
    let ran = run(&mut bare(&NO_BROKER), &["incident", "open", "leak", "--reason", "theft", "--sub", "u"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(
        ran.stderr.contains("reach the broker at amqp://127.0.0.1:1: ")
            && ran.stderr.ends_with("goes on from there\n"),
        "{}",
        ran.stderr
    );
    let ran = run(&mut bare(&[]), &["status", "--json"]);
    assert!(
        ran.code == 2
            && ran.json()["error"].as_str().is_some_and(|error| error.starts_with("database.url: not set")),
        "{}",
        ran.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_like_an_option_can_be_pasted() {
    let stage = Stage::new().await;
    declare(&stage).await;
    for (name, pasted) in
        [("-x", "-- -x"), ("it's bad", r"'it'\''s bad'"), ("$(id)", "'$(id)'"), ("--help", "-- --help")]
    {
        let ran =
            run(&mut command(&stage), &["incident", "open", "--reason", "theft", "--sub", "u", "--", name]);
        let told = format!(
            "1 event with 1 target published; see how it goes: revocation-worker incident watch {pasted}\n"
        );
        assert_eq!((ran.code, ran.stdout), (0, told), "{}", ran.stderr);
    }
}
