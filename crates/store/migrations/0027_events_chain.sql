-- The log of events as a chain, as the audit is one: the link of an event is a digest of the event and of the link before it. What is there
-- already is linked in this transaction, too, by the program.
ALTER TABLE events ADD COLUMN link TEXT CHECK (length(link) = 64);

-- Of the rows that were cleared away of a chain: the link of the last one, behind which what is left begins.
ALTER TABLE clearings ADD COLUMN link TEXT CHECK (length(link) = 64);

-- An event gets its link once, and is never altered again.
DROP TRIGGER events_are_not_altered;
CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events
WHEN OLD.link IS NOT NULL OR NEW.link IS NULL
BEGIN
    SELECT RAISE(ABORT, 'events are not altered');
END;
