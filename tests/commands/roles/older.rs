//! Rights as an older release gives them.

use sqlx::{AssertSqlSafe, Executor};

use super::filled;

/// An older release's `roles.sql` may run again, when its binaries come back: it knows no later function.
#[tokio::test(flavor = "multi_thread")]
async fn what_views_compute_with_stays_where_roles_of_an_older_release_are_given() {
    let stage = filled().await;
    stage
        .execute(
            "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA revocation FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION revocation.revocation_id(uuid, smallint),
                 revocation.stage(text, boolean), revocation.person(text),
                 revocation.standing(text, timestamptz) TO PUBLIC",
        )
        .await;
    let mut auditor = stage.login("auditor").await.session().await;
    for view in ["incidents", "revocations", "events", "providers", "workers"] {
        let rows = auditor.fetch_all(AssertSqlSafe(format!("SELECT * FROM audit.{view}"))).await;
        rows.unwrap_or_else(|error| panic!("audit.{view}: {error}"));
    }
}
