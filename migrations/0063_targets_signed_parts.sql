-- no-transaction
-- In the place of 0032, as 0062 is of 0030.
CREATE INDEX CONCURRENTLY targets_signed_parts ON revocation.targets USING hash (encode(signed_sha256, 'hex'))
    WHERE finished_at IS NOT NULL AND signed_sha256 IS NOT NULL;
