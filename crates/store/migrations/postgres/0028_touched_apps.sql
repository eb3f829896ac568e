-- Which apps were written, they themselves, a guest or an operation of theirs, as far as the record of guests depends on it: who keeps a
-- copy of that reads those alone that were written since. Each with the transaction that wrote it last, for numbers of transactions are
-- not given in the order in which they are committed: a snapshot says of each of them whether it shows it, and of two that wrote the
-- same app the later one waited here for the end of the other, so that whoever sees the one that is named sees both.
CREATE TABLE touched_apps (
    app_id TEXT NOT NULL PRIMARY KEY,
    written_by XID8 NOT NULL
);
CREATE INDEX touched_apps_by_transaction ON touched_apps (written_by);

-- NEW is nothing in a removal, and OLD in an addition.
CREATE FUNCTION touch_app() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    touched TEXT;
BEGIN
    IF TG_TABLE_NAME = 'apps' THEN
        touched := COALESCE(NEW.id, OLD.id);
    ELSE
        touched := COALESCE(NEW.app_id, OLD.app_id);
    END IF;
    IF touched IS NOT NULL THEN
        INSERT INTO touched_apps (app_id, written_by) VALUES (touched, pg_current_xact_id())
        ON CONFLICT (app_id) DO UPDATE SET written_by = excluded.written_by
        WHERE touched_apps.written_by <> excluded.written_by;
    END IF;
    RETURN NULL;
END
$$;

-- At the end of the transaction, when it waits for nobody's rows any more: whoever waited for rows while it holds this one could wait in a ring.
CREATE CONSTRAINT TRIGGER apps_touch AFTER INSERT OR DELETE ON apps
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION touch_app();
CREATE CONSTRAINT TRIGGER guests_touch AFTER INSERT OR DELETE ON guests
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION touch_app();
CREATE CONSTRAINT TRIGGER operations_touch AFTER INSERT OR DELETE ON operations
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
EXECUTE FUNCTION touch_app();

-- The columns that the record of guests is made of; a lease that is renewed, to name one, is none of them.
CREATE CONSTRAINT TRIGGER apps_touch_changed AFTER UPDATE ON apps
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (ROW(NEW.hostname, NEW.status, NEW.archived_at) IS DISTINCT FROM ROW(OLD.hostname, OLD.status, OLD.archived_at))
EXECUTE FUNCTION touch_app();
CREATE CONSTRAINT TRIGGER guests_touch_changed AFTER UPDATE ON guests
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (ROW(NEW.class, NEW.host_id, NEW.node, NEW.vmid, NEW.rootfs_volid, NEW.gone_at)
    IS DISTINCT FROM ROW(OLD.class, OLD.host_id, OLD.node, OLD.vmid, OLD.rootfs_volid, OLD.gone_at))
EXECUTE FUNCTION touch_app();
CREATE CONSTRAINT TRIGGER operations_touch_changed AFTER UPDATE ON operations
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
WHEN (NEW.state IS DISTINCT FROM OLD.state)
EXECUTE FUNCTION touch_app();
