use super::*;
use crate::store::PING_TIMEOUT;

#[test]
fn the_server_is_quoted_and_only_a_lost_connection_is_called_unreachable() {
    for (code, is_passing) in [
        ("53300", true),
        ("57P03", true),
        ("25006", true),
        ("40001", true),
        ("55P03", true),
        ("08006", true),
        ("53100", true),
        ("58030", true),
        ("XX000", true),
        ("57014", true),
        ("28P01", false),
        ("3D000", false),
        ("42501", false),
        ("42P01", false),
        ("23505", false),
        ("22021", false),
        ("54000", false),
        ("23514", false),
        ("", false),
        ("ü", false),
    ] {
        let error = StoreError::said("do it", "in its words", Some(code));
        assert_eq!(
            (error.to_string(), error.is_passing()),
            (format!("do it: in its words (SQLSTATE {code})"), is_passing)
        );
    }
    let io = |kind: std::io::ErrorKind| StoreError::new("do it", sqlx::Error::Io(kind.into()));
    for error in [
        io(std::io::ErrorKind::ConnectionRefused),
        io(std::io::ErrorKind::UnexpectedEof),
        io(std::io::ErrorKind::TimedOut),
    ] {
        assert!(
            error.to_string().starts_with("do it: Postgres cannot be reached: ") && error.is_passing(),
            "{error}"
        );
    }
    assert_eq!(
        StoreError::new("do it", sqlx::Error::PoolTimedOut).to_string().split(':').nth(1),
        Some(" no connection to Postgres within 3 s")
    );
    assert_eq!(
        StoreError::Timeout("do it", PING_TIMEOUT).to_string(),
        "do it: Postgres did not answer within 3 s"
    );
}

#[test]
fn a_refused_write_is_told_from_everything_else() {
    for (code, words, is_refused) in [
        ("53100", "could not extend file \"base/5/16384\": No space left on device", true),
        ("58030", "could not write block 7", true),
        ("25006", "cannot execute INSERT in a read-only transaction", true),
        ("XX000", "could not extend file \"base/5/16384\": Disk quota exceeded", true),
        ("53300", "sorry, too many clients already", false),
        ("57P03", "the database system is starting up", false),
        ("40001", "could not serialize access", false),
        ("23514", "new row violates check constraint", false),
        ("XX000", "cache lookup failed", false),
    ] {
        let error = StoreError::said("do it", words, Some(code));
        let told = is_refused.then(|| format!("{words} (SQLSTATE {code})"));
        assert_eq!(error.refused_write().map(str::to_owned), told, "{code}");
    }
}
