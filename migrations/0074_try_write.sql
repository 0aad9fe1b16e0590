-- Whether Postgres takes what is to be written. With a full disk it answers every question, and changes rows in place.

SELECT set_config('lock_timeout', '5s', true);

-- A row fills more than half of a page, so that each needs a page of its own. All are taken back: vacuum makes it short again.
CREATE TABLE revocation.room (filler text NOT NULL) WITH (autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE revocation.room ALTER COLUMN filler SET STORAGE PLAIN;

-- Writes such a row and takes it back; fails as any write would.
CREATE FUNCTION revocation.try_write() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO revocation.room VALUES (repeat('x', 5000));
    RAISE EXCEPTION USING ERRCODE = 'RW001';
EXCEPTION WHEN SQLSTATE 'RW001' THEN
    NULL;
END $$;
REVOKE ALL ON FUNCTION revocation.try_write() FROM PUBLIC;
