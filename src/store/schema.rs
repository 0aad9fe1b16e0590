//! The schema's version: `migrate` brings it up to date, `run` refuses an older one.

use sqlx::PgConnection;
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::migrate::{self, MIGRATIONS};
use super::{Store, StoreError};
use crate::config::People;

/// SQLSTATEs of a table, a function or a schema that is not there: of a database that was never migrated, or
/// not since long.
const UNDEFINED: [&str; 3] = ["42P01", "42883", "3F000"];

/// Where the migrations that were applied are on record.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The role of `migrations/roles.sql` that owns the schema.
const OWNER: &str = "revocation_owner";

/// Why the schema is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A migration failed.
    #[error("bring the schema up to date: {0}")]
    Migrate(#[from] MigrateError),
    /// Migrations are missing.
    #[error(
        "the database's schema is at version {found}, this program needs {needed}: run `revocation-worker \
            migrate` (or `run --migrate`)"
    )]
    Outdated {
        /// Newest applied version; 0: none.
        found: i64,
        /// Newest embedded version.
        needed: i64,
    },
    /// Somebody else's.
    #[error(
        "bring the schema up to date: role {role} must not, since the schema belongs to {owner}: run \
            `revocation-worker migrate` as a member of that role, and `run` without --migrate"
    )]
    NotOwner {
        /// Whose schema, or database, it is.
        owner: String,
        /// The session's role.
        role: String,
    },
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who owns the schema, and whether this session may act as that role.
struct Ownership {
    owner: String,
    role: String,
    is_member: bool,
}

impl Store {
    /// Applies the missing migrations, under an advisory lock, as the schema's owner, and tells the database
    /// who is who. A newer schema is left as it is; without `people`, so is what the database was told
    /// before.
    ///
    /// # Errors
    /// See [`SchemaError`]. Returns the schema's version.
    pub async fn migrate(&self, people: Option<&People>) -> Result<i64, SchemaError> {
        let mut options = self.options.clone();
        let Ownership { owner, role, is_member } = self.ownership().await?;
        if !is_member {
            return Err(SchemaError::NotOwner { owner, role });
        }
        if owner == OWNER {
            // What a member of it makes is its own from the start.
            options = options.options([("role", OWNER)]);
        }
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|e| StoreError::new("connect to the database", e))?;
        let mut connection =
            pool.acquire().await.map_err(|e| StoreError::new("connect to the database", e))?;
        migrate::apply(&mut connection).await.map_err(|e| match migrate::store_error(e) {
            Ok(error) => SchemaError::Store(error),
            Err(error) => error.into(),
        })?;
        drop(connection);
        if let Some(people) = people {
            tell_people(&pool, people).await?;
        }
        pool.close().await;
        self.check_schema().await
    }

    /// Whether the database was told the same of who is who. It takes no right to read that.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn is_told(&self, people: &People) -> Result<bool, StoreError> {
        let people = json_of(people)?;
        within!(self, "compare who is who", |c| {
            sqlx::query_scalar!(r#"SELECT revocation.are_people($1) AS "same!""#, people).fetch_one(c).await
        })
    }

    /// The owner of the schema or, where there is none yet, of the database.
    async fn ownership(&self) -> Result<Ownership, StoreError> {
        within!(self, "ask who owns the schema", |c| {
            sqlx::query_as!(
                Ownership,
                r#"SELECT pg_get_userbyid(o.owner)::text AS "owner!", session_user::text AS "role!",
                       o.is_member AS "is_member!"
                   FROM (
                       SELECT nspowner AS owner, pg_has_role(nspowner, 'USAGE') AS is_member, 1 AS preference
                       FROM pg_namespace WHERE nspname = 'revocation'
                       UNION ALL
                       SELECT datdba, has_database_privilege(oid, 'CREATE'), 2
                       FROM pg_database WHERE datname = current_database()
                   ) o
                   ORDER BY o.preference LIMIT 1"#
            )
            .fetch_one(c)
            .await
        })
    }

    /// Refuses a schema older than this program. Returns its version. It takes no right but to the audit
    /// views.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub async fn check_schema(&self) -> Result<i64, SchemaError> {
        let mut connection =
            self.pool.acquire().await.map_err(|e| StoreError::new("connect to the database", e))?;
        let version = sqlx::query_scalar("SELECT audit.schema_version()").fetch_one(&mut *connection).await;
        let applied = match version {
            Ok(version) => Option::unwrap_or(version, 0),
            Err(sqlx::Error::Database(e)) if e.code().is_some_and(|code| UNDEFINED.contains(&&*code)) => {
                older(&mut connection).await?
            }
            Err(e) => return Err(StoreError::new("read the schema's version", e).into()),
        };
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        if applied < needed { Err(SchemaError::Outdated { found: applied, needed }) } else { Ok(applied) }
    }

    /// What `migrate` would refuse to go on from, in sentences; none where this role may not look.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(super) async fn migration_faults(&self) -> Result<Vec<String>, StoreError> {
        let mut c = self.pool.acquire().await.map_err(|e| StoreError::new("connect to the database", e))?;
        let (Ok(dirty), Ok(applied)) =
            (c.dirty_version(MIGRATIONS_TABLE).await, c.list_applied_migrations(MIGRATIONS_TABLE).await)
        else {
            return Ok(Vec::new());
        };
        let of_version = |version| MIGRATIONS.iter().find(|migration| migration.version == version);
        let altered = applied.iter().filter(|applied| {
            of_version(applied.version).is_some_and(|known| known.checksum != applied.checksum)
        });
        let altered = altered.map(|applied| {
            format!(
                "migration {} is on record with another checksum than this program's: `migrate` refuses to \
                 go on; find out who changed the schema or its record",
                applied.version
            )
        });
        let in_part = dirty.map(|version| {
            format!(
                "migration {version} was applied in part: `migrate` refuses to go on; finish or undo it by \
                 hand, then correct its row of _sqlx_migrations"
            )
        });
        Ok(altered.chain(in_part).collect())
    }
}

/// The version of a schema that does not tell it itself; 0 where there is none, or where this role may not
/// know.
async fn older(connection: &mut PgConnection) -> Result<i64, SchemaError> {
    match connection.list_applied_migrations(MIGRATIONS_TABLE).await {
        Ok(applied) => Ok(applied.iter().map(|migration| migration.version).max().unwrap_or(0)),
        Err(MigrateError::Execute(sqlx::Error::Database(e)))
            if e.code().is_some_and(|code| UNDEFINED.contains(&&*code)) =>
        {
            Ok(0)
        }
        Err(MigrateError::Execute(e)) => Err(StoreError::new("read the schema's version", e).into()),
        Err(e) => Err(e.into()),
    }
}

async fn tell_people(pool: &PgPool, people: &People) -> Result<(), StoreError> {
    let told = sqlx::query!("SELECT revocation.set_people($1)::text AS told", json_of(people)?)
        .fetch_one(pool)
        .await;
    told.map(drop).map_err(|e| StoreError::new("tell the database who is who", e))
}

fn json_of(people: &People) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(people).map_err(|e| StoreError::Refused("write down who is who", e.to_string()))
}

/// What to say where the database was told something else.
pub const OTHER_PEOPLE: &str = "[people] is not what the database was told, by which incidents are approved: \
    run `revocation-worker migrate` as its owner";
