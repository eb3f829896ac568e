-- An app is changed in place by an operation of a kind of its own. What it is given beside its input, secrets above all, is
-- sealed, and goes when it has ended.

ALTER TABLE operations DROP CONSTRAINT operations_kind_check;
ALTER TABLE operations ADD CONSTRAINT operations_kind_check
    CHECK (kind IN ('deploy', 'start', 'stop', 'restart', 'remove', 'adopt', 'forget', 'restore_keys', 'update'));
ALTER TABLE operations ADD COLUMN input_sealed TEXT CHECK (input_sealed IS NULL OR finished_at IS NULL);
