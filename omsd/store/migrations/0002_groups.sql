ALTER TABLE tasks ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN expected_num INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN expected_size_bytes INTEGER NOT NULL DEFAULT 0;

-- Sums over thousands of tasks are read from this alone: the rows themselves are twenty times as large.
CREATE INDEX tasks_by_group ON tasks (
    group_id, task_id, state, listing_over, expected_num, expected_size_bytes, listed_num, listed_size_bytes, successful_num,
    skipped_num, failed_num, successful_size_bytes, skipped_size_bytes, failed_size_bytes, parts_size_bytes
) WHERE group_id <> '';

-- Deleted groups stay for a day: a project may create only so many.
CREATE TABLE task_groups (
    number INTEGER PRIMARY KEY,
    group_id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    state INTEGER NOT NULL,
    windows TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    request_fingerprint TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    active_ms INTEGER NOT NULL,
    active_since_ms INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    position TEXT NOT NULL,
    goal TEXT NOT NULL,
    goal_after INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX groups_by_request ON task_groups (project_id, request_id) WHERE request_id <> '' AND state <> 9;
CREATE INDEX groups_by_project ON task_groups (project_id, number);

CREATE TABLE group_credentials (
    number INTEGER PRIMARY KEY REFERENCES task_groups ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;
