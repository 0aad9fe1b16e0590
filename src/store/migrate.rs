//! Applies migrations within limits: who waits for a table's lock holds up all that come after.

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, PgConnection, raw_sql};

use super::StoreError;
use crate::again::Again;

/// What this program needs.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// A migration gives up a lock that it does not get, and is tried again.
const LIMITS: &str = "SET lock_timeout = '1s'; SET statement_timeout = '10min'";

/// An index that is made while workers go on waits for others' transactions, and nobody waits for it.
const LIMITS_BESIDE_WORKERS: &str = "SET lock_timeout = 0; SET statement_timeout = '6h'";

/// Others are waited for by many looks. One long wait has a snapshot, whose end an index that is made
/// meanwhile would wait for.
const LIMITS_OF_A_LOOK: &str = "SET lock_timeout = '100ms'";

/// SQLSTATEs of a lock that was not to be had: a timeout, a deadlock.
const LOCKED: [&str; 2] = ["55P03", "40P01"];

/// How often a migration is tried that does not get its lock: some minutes.
const TRIES: u32 = 20;

/// Applies what is missing, alone among those who migrate.
pub(super) async fn apply(c: &mut PgConnection) -> Result<(), MigrateError> {
    raw_sql(LIMITS_OF_A_LOOK).execute(&mut *c).await?;
    let mut again = Again::until_it_works();
    while let Err(error) = c.lock().await {
        if !is_locked(&error) {
            return Err(error);
        }
        again.failed();
        again.rest().await;
    }
    again.worked();
    while let Err(error) = apply_each(c).await {
        if !is_locked(&error) || again.failed() >= TRIES {
            return Err(error);
        }
        tracing::warn!(%error, "a migration did not get its lock; trying again");
        again.rest().await;
    }
    c.unlock().await
}

async fn apply_each(c: &mut PgConnection) -> Result<(), MigrateError> {
    let mut until = 0;
    for group in MIGRATIONS.migrations.chunk_by(|a, b| a.no_tx == b.no_tx) {
        until += group.len();
        if is_beside_workers(group) {
            raw_sql(LIMITS_BESIDE_WORKERS).execute(&mut *c).await?;
            drop_unfinished(c).await?;
        } else {
            raw_sql(LIMITS).execute(&mut *c).await?;
        }
        // Those before were applied; a newer schema is left as it is.
        let migrator = Migrator {
            migrations: MIGRATIONS.migrations[..until].to_vec().into(),
            ignore_missing: true,
            locking: false,
            ..Migrator::DEFAULT
        };
        migrator.run_direct(None, &mut *c, false).await?;
    }
    Ok(())
}

fn is_beside_workers(group: &[Migration]) -> bool {
    group.iter().any(|migration| migration.no_tx)
}

/// Indexes that were being made when whoever made them was stopped. A migration would find its name taken.
async fn drop_unfinished(c: &mut PgConnection) -> Result<(), sqlx::Error> {
    const UNFINISHED: &str = "SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %s', indexrelid::regclass)
        FROM pg_index JOIN pg_class t ON t.oid = indrelid
        WHERE NOT indisvalid AND t.relnamespace = to_regnamespace('revocation')";
    let unfinished: Vec<String> = sqlx::query_scalar(UNFINISHED).fetch_all(&mut *c).await?;
    for statement in unfinished {
        raw_sql(AssertSqlSafe(statement)).execute(&mut *c).await?;
    }
    Ok(())
}

fn is_locked(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| LOCKED.contains(&&*code))
}

/// In the store's words.
pub(super) fn store_error(error: MigrateError) -> Result<StoreError, MigrateError> {
    match error {
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => {
            Ok(StoreError::new("bring the schema up to date", e))
        }
        e => Err(e),
    }
}
