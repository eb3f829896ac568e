-- The log of events as a chain, as the audit is one: the link of an event is a digest of the event and of the link before it. What has a
-- number already is linked in this transaction, too, by the program; what has none gets both from the sequencer.
ALTER TABLE events ADD COLUMN link TEXT CHECK (length(link) = 64);

-- Of the rows that were cleared away of a chain: the link of the last one, behind which what is left begins.
ALTER TABLE clearings ADD COLUMN link TEXT CHECK (length(link) = 64);

-- An event gets its number and its link once, and is never altered again.
DROP TRIGGER events_are_not_altered ON events;
CREATE TRIGGER events_are_not_altered BEFORE UPDATE ON events FOR EACH ROW
WHEN (OLD.link IS NOT NULL OR NEW.link IS NULL OR NEW.seq IS NULL OR NEW.seq <> OLD.seq
    OR to_jsonb(NEW) - 'seq' - 'link' <> to_jsonb(OLD) - 'seq' - 'link')
EXECUTE FUNCTION refuse('events are not altered');
