//! Settings that come from files.

use std::os::unix::fs::PermissionsExt;

use super::{Gate, NO_BROKER, assert_refused};

#[test]
fn the_url_may_come_from_a_file_with_a_newline_at_its_end() {
    let path = std::env::temp_dir().join(format!("gate-url-{}", std::process::id()));
    std::fs::write(&path, format!("{NO_BROKER}\n")).expect("write the file");
    let gate = Gate::start(&[("AMQP_URL", ""), ("AMQP_URL_FILE", path.to_str().expect("UTF-8"))]);
    drop(std::fs::remove_file(&path));
    assert!(gate.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_file_that_everybody_may_write_is_refused_and_a_byte_order_mark_is_not() {
    let path = std::env::temp_dir().join(format!("gate-file-{}", std::process::id()));
    let text = path.to_str().expect("UTF-8").to_owned();
    let modes = [0o666, 0o602, 0o622].map(|mode| ("AMQP_URL_FILE", mode));
    for (setting, mode) in modes.into_iter().chain([("AMQP_CA_FILE", 0o646)]) {
        std::fs::write(&path, NO_BROKER).expect("write the file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("set its mode");
        let url = if setting == "AMQP_URL_FILE" { "" } else { NO_BROKER };
        assert_refused(&[("AMQP_URL", url), (setting, &text)], &["may be written by everybody"]);
    }
    std::fs::write(&path, format!("\u{feff}{NO_BROKER}\r\n")).expect("write the file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("set its mode");
    let gate = Gate::start(&[("AMQP_URL", ""), ("AMQP_URL_FILE", &text)]);
    drop(std::fs::remove_file(&path));
    assert!(gate.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200 OK\r\n"));
}
