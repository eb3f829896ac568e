-- Keys of an adopted container's configuration are brought back by an operation of a kind of its own.

ALTER TABLE operations DROP CONSTRAINT operations_kind_check;
ALTER TABLE operations ADD CONSTRAINT operations_kind_check
    CHECK (kind IN ('deploy', 'start', 'stop', 'restart', 'remove', 'adopt', 'forget', 'restore_keys'));
