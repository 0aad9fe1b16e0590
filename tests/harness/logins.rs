//! Logins with the roles of `migrations/roles.sql`, and whose they are.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use super::{Stage, eventually};

/// Roles are the whole server's: two tests must not make them at once.
static SERVER: Mutex<()> = Mutex::const_new(());

/// A role of the test's own that can log in.
pub(crate) struct Login {
    /// Its name.
    pub(crate) role: String,
    /// The test's database, as this role.
    pub(crate) url: String,
}

impl Stage {
    /// Gives everything to the owner, and each role its rights; again where it is the victim of a deadlock
    /// with a worker, as whoever runs it beside workers would.
    pub(crate) async fn roles(&self) {
        let _alone = SERVER.lock().await;
        eventually("roles.sql runs", async || {
            let ran = self.db.execute(include_str!("../../migrations/roles.sql")).await;
            let code = |error: &sqlx::Error| Some(error.as_database_error()?.code()?.into_owned());
            match ran {
                Err(error) if code(&error).as_deref() == Some("40P01") => None,
                ran => Some(ran.expect("roles.sql runs")),
            }
        })
        .await;
    }

    /// A new login that is a member of `group`; of nothing where that is empty.
    pub(crate) async fn login(&self, group: &str) -> Login {
        let _alone = SERVER.lock().await;
        let role =
            format!("{}_{}", if group.is_empty() { "stranger" } else { group }, Uuid::now_v7().simple());
        let make = format!("CREATE ROLE {role} LOGIN PASSWORD 'login-secret-canary'");
        self.db.execute(AssertSqlSafe(make)).await.expect("make a login");
        if !group.is_empty() {
            self.db
                .execute(AssertSqlSafe(format!("GRANT {group} TO {role}")))
                .await
                .expect("give it its role");
        }
        let mut url: Url = self.database_url.parse().expect("a URL");
        url.set_username(&role)
            .and_then(|()| url.set_password(Some("login-secret-canary")))
            .expect("a URL with credentials");
        Login { role, url: url.to_string() }
    }

    /// Tells the database who is who, as `migrate` does from `[people]`.
    pub(crate) async fn people(&self, people: &Value) {
        sqlx::query("SELECT revocation.set_people($1)")
            .bind(people)
            .execute(&self.db)
            .await
            .expect("tell who is who");
    }
}

impl Login {
    /// A session of this role.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("log in")
    }
}
