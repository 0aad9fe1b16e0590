use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn only_our_variables_are_kept_and_bad_bytes_are_noted() {
    let bad = || OsString::from_vec(vec![0xff]);
    let variables = [
        ("AMQP_URL".into(), "amqp://b".into()),
        ("HOME".into(), "/root".into()),
        ("REVOCATION__HTTP__LISTEN".into(), bad()),
        ("PATH".into(), bad()),
        (bad(), "x".into()),
    ];
    let environment = Environment::from_os(variables.into_iter());
    assert_eq!(environment.variables.keys().collect::<Vec<_>>(), ["AMQP_URL"]);
    assert_eq!(environment.unreadable(), ["REVOCATION__HTTP__LISTEN"]);
    let problems =
        super::super::DatabaseSettings::load(None, &environment).err().map(|error| error.to_string());
    assert!(problems.is_some_and(|problems| {
        problems.starts_with("REVOCATION__HTTP__LISTEN: the value of this environment variable")
    }));
}

#[test]
fn the_hosts_own_name_comes_first() {
    let named = Environment { host: Some("node-1\n".into()), ..Environment::new([("HOSTNAME", "other")]) };
    assert_eq!(named.host(), "node-1");
    assert_eq!(Environment { host: Some("\n".into()), ..named }.host(), "other");
}
