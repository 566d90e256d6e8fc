CREATE TABLE tasks (
    task_id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    state INTEGER NOT NULL,
    priority TEXT NOT NULL,
    windows TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    request_fingerprint TEXT NOT NULL,
    run INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    active_ms INTEGER NOT NULL,
    active_since_ms INTEGER NOT NULL,
    listing_over INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    error_code TEXT NOT NULL,
    error_message TEXT NOT NULL,
    listed_num INTEGER NOT NULL,
    listed_size_bytes INTEGER NOT NULL,
    successful_num INTEGER NOT NULL,
    skipped_num INTEGER NOT NULL,
    failed_num INTEGER NOT NULL,
    successful_size_bytes INTEGER NOT NULL,
    skipped_size_bytes INTEGER NOT NULL,
    failed_size_bytes INTEGER NOT NULL,
    lists TEXT NOT NULL,
    caveats TEXT NOT NULL,
    parts_size_bytes INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX tasks_by_request ON tasks (project_id, request_id) WHERE request_id <> '';
CREATE INDEX tasks_by_project ON tasks (project_id, task_id);
CREATE INDEX tasks_by_state ON tasks (state, task_id);

CREATE TABLE credentials (
    task_id INTEGER PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE shards (
    shard_id INTEGER PRIMARY KEY,
    task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    prefix TEXT NOT NULL,
    after_key TEXT NOT NULL,
    until_key TEXT NOT NULL,
    keys TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    position INTEGER NOT NULL,
    checkpoint_after TEXT NOT NULL,
    checkpoint_fingerprint TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    already_listed INTEGER NOT NULL,
    done INTEGER NOT NULL,
    manifest TEXT NOT NULL,
    restore_since_s REAL NOT NULL,
    large_key TEXT NOT NULL,
    large_size_bytes INTEGER NOT NULL
) STRICT;

CREATE INDEX shards_by_task ON shards (task_id, done, shard_id);

CREATE TABLE failed_objects (
    row_id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    run INTEGER NOT NULL,
    key TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

CREATE INDEX failed_by_task ON failed_objects (task_id, row_id);

CREATE TABLE failure_tally (
    task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    code TEXT NOT NULL,
    failed_num INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (task_id, code)
) STRICT;

-- What is open at a destination outlives its task until it is swept, so these refer to no task.
CREATE TABLE uploads (
    task_id INTEGER NOT NULL,
    shard_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    plan TEXT NOT NULL,
    PRIMARY KEY (task_id, key, upload_id)
) STRICT;

CREATE TABLE upload_parts (
    task_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    part_number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    etag TEXT NOT NULL,
    crc64_xz TEXT,
    crc64_nvme TEXT,
    PRIMARY KEY (task_id, key, upload_id, part_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload_intents (
    task_id INTEGER NOT NULL,
    shard_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    at_s REAL NOT NULL,
    known TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (task_id, key)
) STRICT;

CREATE TABLE sweeps (
    task_id INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    sealed BLOB NOT NULL,
    due INTEGER NOT NULL
) STRICT;

CREATE TABLE list_parts (
    task_id INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    lines_num INTEGER NOT NULL,
    PRIMARY KEY (task_id, kind, number)
) STRICT;

CREATE TABLE sync_tasks (
    number INTEGER PRIMARY KEY,
    sync_task_id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    spec TEXT NOT NULL,
    deletes INTEGER NOT NULL,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    last_started_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE sync_credentials (
    number INTEGER PRIMARY KEY REFERENCES sync_tasks ON DELETE CASCADE,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE sync_events (
    event_id INTEGER PRIMARY KEY,
    number INTEGER NOT NULL REFERENCES sync_tasks ON DELETE CASCADE,
    key TEXT NOT NULL,
    literal TEXT NOT NULL,
    accepted_ms INTEGER NOT NULL,
    restore_since_s REAL NOT NULL
) STRICT;

CREATE INDEX sync_events_by_task ON sync_events (number, event_id);

CREATE TABLE sync_uploads (
    number INTEGER NOT NULL REFERENCES sync_tasks ON DELETE CASCADE,
    event_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    upload_id TEXT NOT NULL,
    PRIMARY KEY (number, key, upload_id)
) STRICT;

-- Intervals of five minutes, by the start of the interval.
CREATE TABLE sync_figures (
    number INTEGER NOT NULL REFERENCES sync_tasks ON DELETE CASCADE,
    start_ms INTEGER NOT NULL,
    request_num INTEGER NOT NULL,
    success_num INTEGER NOT NULL,
    failure_num INTEGER NOT NULL,
    skip_num INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (number, start_ms)
) STRICT, WITHOUT ROWID;
