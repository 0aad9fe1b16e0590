-- no-transaction
-- See 0030. Of a token that was spelled otherwise.
CREATE INDEX CONCURRENTLY targets_by_signed_parts ON revocation.targets (encode(signed_sha256, 'hex'))
    WHERE finished_at IS NOT NULL AND signed_sha256 IS NOT NULL;
