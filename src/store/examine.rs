//! What `run` would meet in the database, looked up without a change: for `check`.

mod needed;

use self::needed::{FUNCTIONS, NEEDED, VIEWS};
use super::{SchemaError, Store, StoreError};

const WORKER: &str = "revocation_worker";
/// Who has several has a worker's rights, if one of them is that.
const ROLES: [&str; 4] = [WORKER, "revocation_operator", "revocation_retention", "auditor"];

/// Open targets that are looked at for the keys that they are sealed with.
const SAMPLE: i64 = 10_000;

/// What was found of a database that can be reached.
pub struct Findings {
    /// The schema's version.
    pub version: i64,
    /// What keeps a worker from its work, each a sentence.
    pub problems: Vec<String>,
    /// Ids of the keys that open targets are sealed with.
    pub sealed_with: Vec<String>,
    /// The session is no worker's: it has the rights of this role of `migrations/roles.sql`.
    pub other_role: Option<String>,
}

/// What the server says of this session.
struct Session {
    is_standby: bool,
    is_read_only: bool,
    /// Where `default_transaction_read_only` has its value from, as `pg_settings` says it.
    read_only_by: String,
    may_enter: bool,
    /// Of the roles of `migrations/roles.sql`, the first that this one has the rights of.
    role: Option<String>,
    connections: i32,
}

impl Store {
    /// Looks whether a worker could write there: on no standby, with rights to its tables, with as many
    /// connections as it may have.
    ///
    /// # Errors
    /// The schema is missing or old, or see [`StoreError`].
    pub async fn examine(&self, max_connections: u32) -> Result<Findings, SchemaError> {
        let session = self.session().await?;
        let mut problems = session.problems(max_connections);
        let other_role = session.role.clone().filter(|role| role != WORKER);
        if let Some(role) = other_role
            && (!session.may_enter || !self.denied().await?.is_empty())
        {
            let version = self.check_schema().await?;
            return Ok(Findings { version, problems, sealed_with: Vec::new(), other_role: Some(role) });
        }
        if !session.may_enter {
            problems
                .push("its role has no USAGE on schema revocation and on schema audit: grant it".to_owned());
            return Ok(Findings { version: 0, problems, sealed_with: Vec::new(), other_role: None });
        }
        let version = match self.check_schema().await {
            // Of a standby, that is the smaller worry, and nobody could mend it there.
            Err(SchemaError::Outdated { found, .. }) if session.is_standby => found,
            version => version?,
        };
        problems.extend(self.migration_faults().await?);
        let missing = self.missing().await?;
        if !missing.is_empty() {
            problems.push(format!(
                "what its version has is not there: {}; restore the schema from a backup, or create them as \
                    the files of migrations/ do",
                missing.join(", ")
            ));
        }
        let denied = self.denied().await?;
        if !denied.is_empty() {
            problems.push(format!("its role may not do what a worker does: grant {}", denied.join(", ")));
        }
        // Of a session that is read-only, that is said already.
        if !session.is_read_only && missing.is_empty() {
            problems.extend(self.try_write().await.err().map(|error| no_writes(&error)));
        }
        let sealed_with = if denied.iter().any(|denied| denied.starts_with("SELECT on revocation.")) {
            Vec::new()
        } else {
            self.sealed_with().await?
        };
        Ok(Findings { version, problems, sealed_with, other_role: None })
    }

    async fn session(&self) -> Result<Session, StoreError> {
        within!(self, "look at the database", |c| {
            sqlx::query_as!(
                Session,
                r#"SELECT pg_is_in_recovery() AS "is_standby!",
                          current_setting('transaction_read_only') = 'on' AS "is_read_only!",
                          coalesce((SELECT source FROM pg_settings
                                    WHERE name = 'default_transaction_read_only'), '') AS "read_only_by!",
                          coalesce((
                              SELECT bool_and(has_schema_privilege(n.oid, 'USAGE'))
                              FROM pg_namespace n WHERE n.nspname IN ('revocation', 'audit')
                          ), true) AS "may_enter!",
                          (SELECT w.name FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place)
                           JOIN pg_roles given ON given.rolname = w.name
                           WHERE pg_has_role(given.oid, 'USAGE') ORDER BY w.place LIMIT 1) AS role,
                          -- The strictest of the limits of the role, the database and the server.
                          least(
                              nullif(r.rolconnlimit, -1),
                              nullif(d.datconnlimit, -1),
                              current_setting('max_connections')::integer
                                  - current_setting('superuser_reserved_connections')::integer
                          ) AS "connections!"
                   FROM pg_roles r, pg_database d
                   WHERE r.rolname = current_user AND d.datname = current_database()"#,
                &ROLES as &[&str]
            )
            .fetch_one(c)
            .await
        })
    }

    /// Tables, functions and views that somebody has removed.
    async fn missing(&self) -> Result<Vec<String>, StoreError> {
        let tables = NEEDED.map(|(table, _)| table);
        within!(self, "look for what the schema has", |c| {
            sqlx::query_scalar!(
                r#"SELECT 'table revocation.' || name AS "missing!" FROM unnest($1::text[]) name
                   WHERE to_regclass('revocation.' || name) IS NULL
                   UNION ALL
                   SELECT 'view audit.' || name FROM unnest($2::text[]) name
                   WHERE to_regclass('audit.' || name) IS NULL
                   UNION ALL
                   SELECT 'function revocation.' || name FROM unnest($3::text[]) name
                   WHERE NOT EXISTS (
                       SELECT FROM pg_proc
                       WHERE pronamespace = to_regnamespace('revocation') AND proname = name)"#,
                &tables as &[&str],
                &VIEWS as &[&str],
                &FUNCTIONS as &[&str]
            )
            .fetch_all(c)
            .await
        })
    }

    /// The rights that are missing, each as `GRANT` names it.
    async fn denied(&self) -> Result<Vec<String>, StoreError> {
        let columns = |of: &'static [&str]| if of.is_empty() { vec![""] } else { of.to_vec() };
        let needed = NEEDED.iter().flat_map(|(table, rights)| {
            let of = move |right, column| (*table, (right, column));
            rights.iter().flat_map(move |(right, of_right)| {
                columns(of_right).into_iter().map(move |column| of(*right, column))
            })
        });
        let (tables, (rights, columns)): (Vec<_>, (Vec<_>, Vec<_>)) = needed.unzip();
        within!(self, "look at the role's rights", |c| {
            sqlx::query_scalar!(
                r#"SELECT n.right
                       || CASE WHEN n.some THEN ' (' || string_agg(n.col, ', ') || ')' ELSE '' END
                       || ' on revocation.' || n.relation AS "denied!"
                   FROM (
                       SELECT n.relation, n."right", n.col,
                           CASE WHEN n.col = '' THEN has_table_privilege(t.oid, n."right")
                               ELSE has_column_privilege(t.oid, a.attnum, n."right") END AS is_given,
                           -- Of a role that has none of them, the right itself is missing.
                           n.col <> '' AND has_any_column_privilege(t.oid, n."right") AS some
                       FROM unnest($1::text[], $2::text[], $3::text[]) AS n (relation, "right", col)
                       CROSS JOIN LATERAL (SELECT to_regclass('revocation.' || n.relation)::oid) t (oid)
                       LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = n.col
                   ) n
                   WHERE NOT n.is_given GROUP BY n.relation, n."right", n.some
                   UNION ALL
                   SELECT 'SELECT on audit.' || v.relname
                   FROM pg_class v
                   WHERE v.relnamespace = to_regnamespace('audit') AND v.relname = ANY ($4)
                       AND NOT has_table_privilege(v.oid, 'SELECT')
                   UNION ALL
                   SELECT 'EXECUTE on function ' || p.oid::regprocedure
                   FROM pg_proc p
                   WHERE p.pronamespace = to_regnamespace('revocation') AND p.proname = ANY ($5)
                       AND NOT has_function_privilege(p.oid, 'EXECUTE')
                   ORDER BY 1 DESC"#,
                &tables as &[&str],
                &rights as &[&str],
                &columns as &[&str],
                &VIEWS as &[&str],
                &FUNCTIONS as &[&str]
            )
            .fetch_all(c)
            .await
        })
    }

    async fn sealed_with(&self) -> Result<Vec<String>, StoreError> {
        within!(self, "look which keys are in use", |c| {
            sqlx::query_scalar!(
                r#"SELECT DISTINCT sealed_key AS "key!"
                   FROM (
                       SELECT sealed_key FROM revocation.targets
                       WHERE lease_owner IS NULL AND finished_at IS NULL LIMIT $1
                   ) sample
                   WHERE sealed_key IS NOT NULL ORDER BY 1"#,
                SAMPLE
            )
            .fetch_all(c)
            .await
        })
    }
}

fn no_writes(error: &StoreError) -> String {
    format!(
        "it takes no writes: {error}; where its disk is full, give it room first: deleting rows needs \
            room, too"
    )
}

/// Where a setting is to be taken off that is from there.
fn advice(source: &str) -> &'static str {
    match source {
        "configuration file" => {
            "the server's configuration (ALTER SYSTEM RESET default_transaction_read_only, or the line in \
                postgresql.conf), then SELECT pg_reload_conf()"
        }
        "database" => "the database (ALTER DATABASE … RESET default_transaction_read_only)",
        "user" => "the role (ALTER ROLE … RESET default_transaction_read_only)",
        "database user" => {
            "the role in this database (ALTER ROLE … IN DATABASE … RESET default_transaction_read_only)"
        }
        "client" => "the options of database.url (or PGOPTIONS)",
        "command line" => "the command line that starts the server",
        _ => {
            "the role, the database, database.url and the server (postgresql.conf, ALTER SYSTEM), wherever \
                it is set"
        }
    }
}

impl Session {
    fn problems(&self, max_connections: u32) -> Vec<String> {
        let mut problems = Vec::new();
        if self.is_standby {
            problems.push("it is a read-only standby: database.url must lead to the primary".to_owned());
        } else if self.is_read_only {
            let advice = advice(&self.read_only_by);
            problems
                .push(format!("its sessions are read-only: take default_transaction_read_only off {advice}"));
        }
        if i64::from(self.connections) < i64::from(max_connections) {
            let limit = self.connections;
            problems.push(format!(
                "database.max_connections is {max_connections}, and it lets this role have {limit}: raise \
                    that, or lower the setting"
            ));
        }
        problems
    }
}
