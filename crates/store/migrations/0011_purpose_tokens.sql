-- Tokens of a host for single purposes, beside its main one: JSON from purpose to the token's id and its sealed secret.
ALTER TABLE hosts ADD COLUMN purpose_tokens TEXT NOT NULL DEFAULT '{}';
