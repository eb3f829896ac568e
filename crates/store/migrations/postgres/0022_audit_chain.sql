-- The audit as a chain: the link of an entry is a digest of the entry and of the link before it. What has a number already is linked in
-- this transaction, too, by the program; what has none gets both from the sequencer.
ALTER TABLE audit ADD COLUMN link TEXT CHECK (length(link) = 64);

-- An entry gets its number and its link once, and is never altered again.
DROP TRIGGER audit_is_not_altered ON audit;
CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit FOR EACH ROW
WHEN (OLD.link IS NOT NULL OR NEW.link IS NULL OR NEW.seq IS NULL OR NEW.seq <> OLD.seq
    OR to_jsonb(NEW) - 'seq' - 'link' <> to_jsonb(OLD) - 'seq' - 'link')
EXECUTE FUNCTION refuse('audit entries are not altered');
