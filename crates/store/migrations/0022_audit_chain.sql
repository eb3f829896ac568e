-- The audit as a chain: the link of an entry is a digest of the entry and of the link before it. What is there already is linked in
-- this transaction, too, by the program: no database has the same digests.
ALTER TABLE audit ADD COLUMN link TEXT CHECK (length(link) = 64);

-- An entry gets its link once, and is never altered again.
DROP TRIGGER audit_is_not_altered;
CREATE TRIGGER audit_is_not_altered BEFORE UPDATE ON audit
WHEN OLD.link IS NOT NULL OR NEW.link IS NULL
BEGIN
    SELECT RAISE(ABORT, 'audit entries are not altered');
END;
