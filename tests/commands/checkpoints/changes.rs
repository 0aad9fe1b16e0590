//! What the owner of the schema may do to the record, at random.

use rand::Rng;
use rand::seq::SliceRandom;
use revocation_evidence::Hash;
use revocation_worker::checkpoint::{Document, FORMAT};

use super::{Record, key};
use crate::harness::Chance;

/// Keeps a copy of the tables.
pub(super) const KEEP: &str = "
    CREATE SCHEMA kept;
    DO $$ DECLARE name text; BEGIN
        FOREACH name IN ARRAY ARRAY['events', 'targets', 'attempts', 'rejected_events', 'operations',
            'checkpoints', 'late_rows'] LOOP
            EXECUTE format('CREATE TABLE kept.%1$I AS TABLE revocation.%1$I', name);
        END LOOP;
    END $$;";

/// Undoes whatever was done.
pub(super) const RESTORE: &str = "
    DO $$ DECLARE name text; columns text; BEGIN
        FOREACH name IN ARRAY ARRAY['events', 'targets', 'attempts', 'rejected_events', 'operations',
            'checkpoints', 'late_rows'] LOOP
            SELECT string_agg(quote_ident(column_name), ', ') INTO columns FROM information_schema.columns
            WHERE table_schema = 'revocation' AND table_name = name AND is_generated = 'NEVER';
            EXECUTE format('DELETE FROM revocation.%I', name);
            EXECUTE format('INSERT INTO revocation.%1$I (%2$s) OVERRIDING SYSTEM VALUE
                SELECT %2$s FROM kept.%1$I', name, columns);
        END LOOP;
    END $$;";

/// What is covered: the table, what names its rows, and which of them.
const TABLES: [(&str, &str, &str); 4] = [
    ("attempts", "(event_id, ordinal, attempt, answered)", "true"),
    ("targets", "(event_id, ordinal)", "finished_at IS NOT NULL"),
    ("rejected_events", "rejected_no", "true"),
    ("operations", "operation_no", "true"),
];

/// A change of one column, by table; `$n` is a number that is not there yet.
const UPDATES: [(&str, &[&str]); 5] = [
    (
        "attempts",
        &[
            "outcome = 'rejected'",
            "error = 'e$n'",
            "error = NULL",
            "http_status = 500",
            "started_at = started_at + interval '$n ms'",
            "duration_ms = duration_ms + 1",
            "worker_no = worker_no + 1",
            "retry_after_ms = $n",
            "attempt = attempt + 7",
            "ordinal = ordinal + 2",
        ],
    ),
    (
        "targets",
        &[
            "proof = 'already_invalid'",
            "provider = 'p$n'",
            "sub = 's$n'",
            "sid = 's$n'",
            "iss = NULL",
            "token_sha256 = sha256('$n')",
            "finished_at = finished_at - interval '$n ms'",
            "revoked_at = NULL, state = 'unsupported', proof = NULL, confirmed_at = NULL",
            "attempts = attempts + 1",
            "last_http_status = 204",
            "last_error = 'e$n'",
            "call_began_at = call_began_at - interval '1 ms'",
            "state = 'parked', revoked_at = NULL, proof = NULL, finished_at = NULL, confirmed_at = NULL, \
                call_began_at = NULL, due_at = now(), sealed = 'x', sealed_key = 'k'",
        ],
    ),
    (
        "events",
        &[
            "actor = 'a$n'",
            "actor = NULL",
            "reason = 'r$n'",
            "source = 's$n'",
            "id = 'i$n'",
            "broker_user = 'b$n'",
            "received_at = received_at + interval '$n ms'",
            "not_before = not_before - interval '1 s'",
            "body_sha256 = sha256('$n')",
        ],
    ),
    (
        "rejected_events",
        &[
            "code = 'too_large'",
            "detail = 'd$n'",
            "broker_user = NULL",
            "body_bytes = body_bytes + 100",
            "rejected_at = rejected_at + interval '7 min'",
            "routing_key = 'k$n'",
        ],
    ),
    (
        "operations",
        &[
            "actor = 'a$n'",
            "role = 'r$n'",
            "action = 'cancel'",
            "incident = 'i$n'",
            "detail = detail || '{\"x\": $n}'",
            "at = at - interval '1 us'",
        ],
    ),
];

/// Two rows exchange this.
const EXCHANGED: [(&str, &str); 4] =
    [("attempts", "error"), ("targets", "sub"), ("rejected_events", "detail"), ("operations", "actor")];

/// A row more, like another one.
const INSERTS: [&str; 4] = [
    "INSERT INTO revocation.attempts (event_id, ordinal, attempt, answered, worker_no, started_at,
         duration_ms, outcome)
     SELECT event_id, ordinal, attempt + 3, true, 1, started_at, 5, 'transient' FROM revocation.attempts",
    "INSERT INTO revocation.targets (event_id, ordinal, provider, lane, kind, token_sha256, deny_until,
         give_up_at, state, proof, attempts, revoked_at, finished_at)
     SELECT event_id, ordinal + 5, provider, lane, kind, sha256('x'), deny_until, give_up_at, state, proof, 1,
         revoked_at, finished_at FROM revocation.targets WHERE finished_at IS NOT NULL",
    "INSERT INTO revocation.rejected_events (rejected_at, queue, routing_key, code, detail, body_sha256,
         body_bytes, worker_no)
     SELECT rejected_at, queue, routing_key, code, detail, body_sha256, body_bytes, worker_no
     FROM revocation.rejected_events",
    "INSERT INTO revocation.operations (at, actor, action)
     SELECT at, actor, action FROM revocation.operations",
];

/// One change.
pub(super) async fn any(chance: &mut Chance, record: &Record) -> String {
    let one_of = |count: usize, chance: &mut Chance| chance.gen_range(0..count);
    let row = |seed: u32| format!("ORDER BY md5(x::text || '{seed}') LIMIT 1");
    let seed = chance.gen_range(0..1_000_000_u32);
    match chance.gen_range(0..12_u8) {
        0..=3 => update(chance, seed),
        4 | 5 => {
            let (table, key, which) = TABLES[one_of(TABLES.len(), chance)];
            let rows = chance.gen_range(1..=3);
            let columns = key.trim_matches(['(', ')']);
            format!(
                "DELETE FROM revocation.{table} WHERE {key} IN (SELECT {columns} FROM revocation.{table} x \
                    WHERE {which} ORDER BY md5(x::text || '{seed}') LIMIT {rows})"
            )
        }
        6 => "DELETE FROM revocation.targets WHERE event_id = :e; DELETE FROM revocation.attempts WHERE \
              event_id = :e; DELETE FROM revocation.events WHERE event_id = :e"
            .replace(":e", &format!("(SELECT event_id FROM kept.events x {})", row(seed))),
        7 => {
            let insert = INSERTS[one_of(INSERTS.len(), chance)];
            format!("{insert} OFFSET {} LIMIT 1", chance.gen_range(0..40))
        }
        8 => exchange(chance, seed),
        _ => of_checkpoints(chance, record).await,
    }
}

fn update(chance: &mut Chance, seed: u32) -> String {
    let (table, changes) = UPDATES.choose(&mut **chance).expect("a table");
    let change = changes.choose(&mut **chance).expect("a change");
    let change = change.replace("$n", &chance.gen_range(1000..9000_u32).to_string());
    // Of events, those that have a finished target.
    let key = TABLES.iter().find(|(name, ..)| name == table).map_or("event_id", |(_, key, _)| key);
    let which = TABLES.iter().find(|(name, ..)| name == table).map_or("true", |(.., which)| which);
    format!(
        "UPDATE revocation.{table} SET {change} WHERE {key} = (SELECT {} FROM revocation.{table} x WHERE \
            {which} ORDER BY md5(x::text || '{seed}') LIMIT 1)",
        key.trim_matches(['(', ')'])
    )
}

fn exchange(chance: &mut Chance, seed: u32) -> String {
    let (table, column) = EXCHANGED[chance.gen_range(0..EXCHANGED.len())];
    let (_, key, which) = TABLES.iter().find(|(name, ..)| *name == table).expect("a table");
    let columns = key.trim_matches(['(', ')']);
    format!(
        "CREATE TEMPORARY TABLE two AS
             SELECT {columns}, {column}, row_number() OVER () AS n FROM (
                 SELECT * FROM revocation.{table} x WHERE {which}
                 ORDER BY md5(x::text || '{seed}') LIMIT 2) y;
         UPDATE revocation.{table} t SET {column} = other.{column}
         FROM two AS one JOIN two AS other ON one.n <> other.n
         WHERE ({}) = ({})",
        columns.split(", ").map(|c| format!("t.{c}")).collect::<Vec<_>>().join(", "),
        columns.split(", ").map(|c| format!("one.{c}")).collect::<Vec<_>>().join(", ")
    )
}

async fn of_checkpoints(chance: &mut Chance, record: &Record) -> String {
    let number = chance.gen_range(1..=10_i64);
    match chance.gen_range(0..8_u8) {
        0 => format!(
            "UPDATE revocation.checkpoints SET document = replace(document, '\"rows\":', '\"rows\":1') \
                WHERE checkpoint_no = {number}"
        ),
        1 => format!(
            "UPDATE revocation.checkpoints SET document = replace(document, '\"rows\":', '\"rows\":1'), \
                sha256 = sha256(convert_to(replace(document, '\"rows\":', '\"rows\":1'), 'UTF8')) \
                WHERE checkpoint_no = {number}"
        ),
        2 => format!("DELETE FROM revocation.checkpoints WHERE checkpoint_no = {number}"),
        3 => format!("DELETE FROM revocation.checkpoints WHERE checkpoint_no < {number}"),
        4 => format!("DELETE FROM revocation.checkpoints WHERE checkpoint_no >= {number}"),
        5 => format!(
            "UPDATE revocation.checkpoints SET until_at = until_at + interval '1 s' \
                WHERE checkpoint_no = {number}"
        ),
        6 => {
            let other = number % 10 + 1;
            format!(
                "UPDATE revocation.checkpoints SET checkpoint_no = -checkpoint_no + 1000 \
                    WHERE checkpoint_no IN ({number}, {other});
                 UPDATE revocation.checkpoints SET checkpoint_no = \
                     CASE 1000 - checkpoint_no WHEN {number} THEN {other} ELSE {number} END \
                    WHERE checkpoint_no > 900"
            )
        }
        _ => forged(record).await,
    }
}

/// The last checkpoint anew, as somebody else signs it, who knows how it is done.
async fn forged(record: &Record) -> String {
    let last = "SELECT document FROM revocation.checkpoints ORDER BY checkpoint_no DESC LIMIT 1";
    let mut document = Document::parse(&record.stage.text(last).await.expect("a row")).expect("a document");
    document.parts.clear();
    assert_eq!(document.format, FORMAT);
    let (text, forger) = (document.render(), key(8));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        "UPDATE revocation.checkpoints SET document = '{text}', sha256 = '\\x{}', public_key = '{}', \
            signature = '\\x{}' WHERE checkpoint_no = {}",
        Hash::of(&[text.as_bytes()]),
        forger.public(),
        hex(&forger.sign(text.as_bytes())),
        document.checkpoint
    )
}
