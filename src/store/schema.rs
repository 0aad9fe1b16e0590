//! The schema's version: `migrate` brings it up to date, `run` refuses an older one.

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;

use super::{Store, StoreError};

/// SQLSTATE of a database that was never migrated.
const UNDEFINED_TABLE: &str = "42P01";

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Why the schema is not usable.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A migration failed.
    #[error("bring the schema up to date: {0}")]
    Migrate(#[from] MigrateError),
    /// Migrations are missing.
    #[error(
        "the database's schema is at version {found}, this program needs {needed}: run `revocation-worker migrate` (or `run --migrate`)"
    )]
    Outdated {
        /// Newest applied version; 0: none.
        found: i64,
        /// Newest embedded version.
        needed: i64,
    },
    /// Postgres failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Applies the missing migrations, under an advisory lock. A newer schema is left as it is.
    ///
    /// # Errors
    /// See [`SchemaError`]. Returns the schema's version.
    pub async fn migrate(&self) -> Result<i64, SchemaError> {
        // The limits of a worker's session are too tight for a migration.
        let options = self.options.clone().options([("statement_timeout", "10min"), ("lock_timeout", "0")]);
        let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|e| StoreError::new("connect to the database", e))?;
        let migrations = Migrator { ignore_missing: true, migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
        migrations.run(&pool).await.map_err(|e| match e {
            MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => {
                SchemaError::Store(StoreError::new("bring the schema up to date", e))
            }
            e => e.into(),
        })?;
        pool.close().await;
        self.check_schema().await
    }

    /// Refuses a schema older than this program. Returns its version.
    ///
    /// # Errors
    /// See [`SchemaError`].
    pub async fn check_schema(&self) -> Result<i64, SchemaError> {
        let mut connection = self.pool.acquire().await.map_err(|e| StoreError::new("connect to the database", e))?;
        let applied = match connection.list_applied_migrations("_sqlx_migrations").await {
            Ok(applied) => applied.iter().map(|migration| migration.version).max().unwrap_or(0),
            Err(MigrateError::Execute(sqlx::Error::Database(e))) if e.code().as_deref() == Some(UNDEFINED_TABLE) => 0,
            Err(MigrateError::Execute(e)) => return Err(StoreError::new("read the schema's version", e).into()),
            Err(e) => return Err(e.into()),
        };
        let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        if applied < needed { Err(SchemaError::Outdated { found: applied, needed }) } else { Ok(applied) }
    }
}
