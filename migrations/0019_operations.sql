-- A worker adds rows to the record of operations for what was added to incidents, and for nothing else. All other
-- rows are written by functions that run as the owner and take the person from the session: an approval that
-- nobody gave cannot be put on record.
CREATE FUNCTION revocation.refuse_operation() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.action <> 'add' AND NOT pg_has_role(
        current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE')
    THEN
        RAISE EXCEPTION 'operation % refused: % notes only what was added to incidents; the functions of '
            'revocation note the others', NEW.action, current_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER by_its_function BEFORE INSERT ON revocation.operations
    FOR EACH ROW EXECUTE FUNCTION revocation.refuse_operation();
