-- What no program of ours may do, in PostgreSQL's dialect, and what transactions beside each other need.

-- Writers lock it in ROW SHARE MODE; one that lost too often takes it alone.
CREATE TABLE write_gate (only_row BIGINT NOT NULL PRIMARY KEY CHECK (only_row = 1));

-- Log lines, events and audit entries are committed without a number, so that nobody waits at a counter. A sequencer
-- numbers them afterwards, without gaps; what has no number yet is not read.
ALTER TABLE log_lines DROP CONSTRAINT log_lines_pkey;
ALTER TABLE log_lines ALTER COLUMN seq DROP NOT NULL;
ALTER TABLE log_lines ADD COLUMN id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE log_lines ADD UNIQUE (seq);
CREATE INDEX log_lines_unnumbered ON log_lines (id) WHERE seq IS NULL;

ALTER TABLE events DROP CONSTRAINT events_pkey;
ALTER TABLE events ALTER COLUMN seq DROP NOT NULL;
ALTER TABLE events ADD COLUMN id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE events ADD UNIQUE (seq);
CREATE INDEX events_unnumbered ON events (id) WHERE seq IS NULL;

ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ALTER COLUMN seq DROP NOT NULL;
ALTER TABLE audit ADD COLUMN id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE audit ADD UNIQUE (seq);
CREATE INDEX audit_unnumbered ON audit (id) WHERE seq IS NULL;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;

CREATE TRIGGER apps_class_is_fixed BEFORE UPDATE ON apps FOR EACH ROW
WHEN (NEW.class <> OLD.class)
EXECUTE FUNCTION refuse('the class of an app is fixed at birth');

CREATE TRIGGER guests_class_is_fixed BEFORE UPDATE ON guests FOR EACH ROW
WHEN (NEW.class <> OLD.class)
EXECUTE FUNCTION refuse('the class of a guest is fixed at birth');

CREATE TRIGGER guests_identity_is_fixed BEFORE UPDATE ON guests FOR EACH ROW
WHEN (NEW.mark IS DISTINCT FROM OLD.mark OR NEW.net0_mac <> OLD.net0_mac OR NEW.vmid <> OLD.vmid
    OR NEW.host_id <> OLD.host_id OR NEW.app_id IS DISTINCT FROM OLD.app_id OR NEW.created_by <> OLD.created_by)
EXECUTE FUNCTION refuse('the identity of a guest is fixed at birth');

CREATE TRIGGER guests_volume_is_learned_once BEFORE UPDATE ON guests FOR EACH ROW
WHEN (OLD.rootfs_volid IS NOT NULL AND NEW.rootfs_volid IS DISTINCT FROM OLD.rootfs_volid)
EXECUTE FUNCTION refuse('the volume of a guest is learned once');

CREATE TRIGGER guests_stay_recorded BEFORE DELETE ON guests FOR EACH ROW
EXECUTE FUNCTION refuse('identity rows are kept');

CREATE TRIGGER operations_epoch_never_falls BEFORE UPDATE ON operations FOR EACH ROW
WHEN (NEW.epoch < OLD.epoch)
EXECUTE FUNCTION refuse('an epoch never falls');

CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit FOR EACH ROW
WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL OR to_jsonb(NEW) - 'seq' <> to_jsonb(OLD) - 'seq')
EXECUTE FUNCTION refuse('audit entries are not altered');

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit FOR EACH ROW
EXECUTE FUNCTION refuse('audit entries are not removed');

CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events FOR EACH ROW
WHEN (OLD.seq IS NOT NULL OR NEW.seq IS NULL OR to_jsonb(NEW) - 'seq' <> to_jsonb(OLD) - 'seq')
EXECUTE FUNCTION refuse('events are not altered');
