-- What was created, also if it is deleted since; rows older than a day are of no use.
CREATE TABLE creations (
    creation_id INTEGER PRIMARY KEY,
    project_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX creations_by_project ON creations (project_id, kind, created_ms);
CREATE INDEX creations_by_time ON creations (created_ms);

INSERT INTO creations (project_id, kind, created_ms) SELECT project_id, 'task', created_ms FROM tasks WHERE group_id = '';
INSERT INTO creations (project_id, kind, created_ms) SELECT project_id, 'group', created_ms FROM task_groups;

CREATE INDEX tasks_by_project_state ON tasks (project_id, state);
