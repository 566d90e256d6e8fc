-- As upload_intents, for copies of synchronization tasks.
CREATE TABLE sync_upload_intents (
    number INTEGER NOT NULL REFERENCES sync_tasks ON DELETE CASCADE,
    event_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    at_s REAL NOT NULL,
    known TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (number, key)
) STRICT;
