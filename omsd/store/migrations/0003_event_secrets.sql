-- SHA-256 of the secret with which notifications for the task are sent; the secret itself is nowhere.
CREATE TABLE sync_event_secrets (
    number INTEGER PRIMARY KEY REFERENCES sync_tasks ON DELETE CASCADE,
    digest BLOB NOT NULL
) STRICT;
