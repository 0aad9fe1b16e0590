-- Fair shares of a provider's calls among broker users, also of what waits in Postgres.
--
-- party: a small number that stands for the broker user who sent the event; 0: nobody's name, or a worker from before this column.
ALTER TABLE revocation.targets ADD COLUMN party smallint NOT NULL DEFAULT 0;

-- What is due, user by user: a claim steps from one to the next, however many rows each has. Workers from before it need targets_due, and so do
-- the views of what waits; a row that a worker holds is in neither.
CREATE INDEX targets_shares ON revocation.targets (provider, lane, incident, wide, party, due_at)
    WHERE lease_owner IS NULL AND finished_at IS NULL AND NOT waiting;
