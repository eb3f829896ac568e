-- What no program of ours may do, said where no program can forget it. Triggers are SQLite's own dialect.

CREATE TRIGGER apps_class_is_fixed BEFORE UPDATE OF class ON apps
WHEN NEW.class <> OLD.class
BEGIN
    SELECT RAISE(ABORT, 'the class of an app is fixed at birth');
END;

CREATE TRIGGER guests_class_is_fixed BEFORE UPDATE OF class ON guests
WHEN NEW.class <> OLD.class
BEGIN
    SELECT RAISE(ABORT, 'the class of a guest is fixed at birth');
END;

CREATE TRIGGER guests_identity_is_fixed BEFORE UPDATE OF mark, net0_mac, vmid, host_id, app_id, created_by ON guests
WHEN NEW.mark IS NOT OLD.mark OR NEW.net0_mac <> OLD.net0_mac OR NEW.vmid <> OLD.vmid
    OR NEW.host_id <> OLD.host_id OR NEW.app_id IS NOT OLD.app_id OR NEW.created_by <> OLD.created_by
BEGIN
    SELECT RAISE(ABORT, 'the identity of a guest is fixed at birth');
END;

CREATE TRIGGER guests_volume_is_learned_once BEFORE UPDATE OF rootfs_volid ON guests
WHEN OLD.rootfs_volid IS NOT NULL AND NEW.rootfs_volid IS NOT OLD.rootfs_volid
BEGIN
    SELECT RAISE(ABORT, 'the volume of a guest is learned once');
END;

CREATE TRIGGER guests_stay_recorded BEFORE DELETE ON guests
BEGIN
    SELECT RAISE(ABORT, 'identity rows are kept');
END;

CREATE TRIGGER operations_epoch_never_falls BEFORE UPDATE OF epoch ON operations
WHEN NEW.epoch < OLD.epoch
BEGIN
    SELECT RAISE(ABORT, 'an epoch never falls');
END;

CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not altered');
END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not removed');
END;

CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are not altered');
END;
