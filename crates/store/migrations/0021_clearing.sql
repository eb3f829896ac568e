-- What of the journals was cleared away, so that what is left can still be held against what there was.

-- An operation that has ended loses its steps and its lines at this moment; what asked for it and what came of it stays.
ALTER TABLE operations ADD COLUMN cleared_at BIGINT CHECK (cleared_at IS NULL OR finished_at IS NOT NULL);
CREATE INDEX operations_uncleared ON operations (finished_at, id)
    WHERE finished_at IS NOT NULL AND cleared_at IS NULL;

-- How many rows of each journal are gone: of events those with the lowest numbers.
CREATE TABLE clearings (
    journal TEXT NOT NULL PRIMARY KEY CHECK (journal IN ('events', 'log_lines', 'operations')),
    cleared BIGINT NOT NULL CHECK (cleared >= 0)
);
INSERT INTO clearings (journal, cleared) VALUES ('events', 0), ('log_lines', 0), ('operations', 0);
