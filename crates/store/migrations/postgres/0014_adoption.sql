-- Adoption: its kinds of operations, what was read on the day, and whether its ports are open.

-- Whether the gateway listens on the app's ports: an adopted app's wait until a person exposes it.
ALTER TABLE apps ADD COLUMN exposed BIGINT NOT NULL DEFAULT 1 CHECK (exposed IN (0, 1));

ALTER TABLE operations DROP CONSTRAINT operations_kind_check;
ALTER TABLE operations ADD CONSTRAINT operations_kind_check
    CHECK (kind IN ('deploy', 'start', 'stop', 'restart', 'remove', 'adopt', 'forget'));

-- What a step read back where secrets are to be expected: sealed, instead of `output`.
ALTER TABLE steps ADD COLUMN output_sealed TEXT CHECK (output IS NULL OR output_sealed IS NULL);

-- What was read of a container on the day of its adoption. It outlives the app in the archive. Its configuration is sealed:
-- images expect passwords in it.
CREATE TABLE adoptions (
    app_id TEXT NOT NULL PRIMARY KEY REFERENCES apps (id),
    record TEXT NOT NULL,
    configuration_sealed TEXT NOT NULL,
    adopted_at BIGINT NOT NULL
);

CREATE TRIGGER adoptions_are_not_altered BEFORE UPDATE ON adoptions FOR EACH ROW
EXECUTE FUNCTION refuse('adoption records are not altered');

CREATE TRIGGER adoptions_are_not_removed BEFORE DELETE ON adoptions FOR EACH ROW
EXECUTE FUNCTION refuse('adoption records are not removed');
