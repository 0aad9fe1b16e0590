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
