-- no-transaction
-- In the place of 0030: of each digest a hash of 4 bytes, where a B-tree holds 64 characters. As there, of finished targets
-- alone. It answers equality, and nothing else is asked of a digest.
CREATE INDEX CONCURRENTLY targets_token ON revocation.targets USING hash (encode(token_sha256, 'hex'))
    WHERE finished_at IS NOT NULL AND token_sha256 IS NOT NULL;
