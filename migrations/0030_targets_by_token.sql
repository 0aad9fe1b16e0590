-- no-transaction
-- Questions of auditors, each by an index of its own, made while workers go on: hence one statement a file. Where it fails,
-- drop the invalid index that it left, and migrate again. Of finished targets alone: each then writes one entry, instead
-- of one with every change of its row. Those that are not finished are in targets_open (0035).
CREATE INDEX CONCURRENTLY targets_by_token ON revocation.targets (encode(token_sha256, 'hex'))
    WHERE finished_at IS NOT NULL AND token_sha256 IS NOT NULL;
