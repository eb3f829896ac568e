-- What a step has asked PVE for is looked at before it is asked for again, however long the audit is.
CREATE INDEX audit_by_step ON audit (operation_id, step_index) WHERE step_index IS NOT NULL;

-- Free ports keep the side of the range they are in: a change of ranges before this version has left some on the wrong
-- one, where nobody looks for them. The spans and sides are made anew at the next start.
DELETE FROM port_ranges;
