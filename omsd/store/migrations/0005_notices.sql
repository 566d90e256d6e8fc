-- A notice refers to no task: one that is due is sent even if its task is deleted. hidden: it is not the latest of its owner any more, and
-- goes when it is settled.
CREATE TABLE notices (
    notice_id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner_kind TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    config TEXT NOT NULL,
    facts TEXT NOT NULL,
    state TEXT NOT NULL,
    hidden INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX notices_by_owner ON notices (owner_kind, owner_id);
CREATE INDEX notices_due ON notices (notice_id) WHERE state = 'due';
