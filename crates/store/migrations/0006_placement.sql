-- What a host entry says about where new containers go (JSON), and the nodes its cluster was ever seen to have (JSON list):
-- a listing that lacks one of them is not complete.
ALTER TABLE hosts ADD COLUMN placement TEXT NOT NULL DEFAULT '{}';
ALTER TABLE hosts ADD COLUMN known_nodes TEXT NOT NULL DEFAULT '[]';
