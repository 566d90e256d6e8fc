-- Named queries: "-- name: x" begins one. Parameters are named as the fields they come from.

-- name: insert_task
INSERT INTO tasks VALUES (
    :task_id, :project_id, :name, :spec, :state, :priority, :windows, :created_ms, :request_id, :request_fingerprint, :run,
    :started_ms, :ended_ms, :active_ms, :active_since_ms, :listing_over, :planned, :error_code, :error_message, :listed_num,
    :listed_size_bytes, :successful_num, :skipped_num, :failed_num, :successful_size_bytes, :skipped_size_bytes,
    :failed_size_bytes, :lists, :caveats
);

-- name: update_task
UPDATE tasks SET
    state = :state, priority = :priority, windows = :windows, run = :run, started_ms = :started_ms, ended_ms = :ended_ms,
    active_ms = :active_ms, active_since_ms = :active_since_ms, listing_over = :listing_over, planned = :planned,
    error_code = :error_code, error_message = :error_message, listed_num = :listed_num,
    listed_size_bytes = :listed_size_bytes, successful_num = :successful_num, skipped_num = :skipped_num,
    failed_num = :failed_num, successful_size_bytes = :successful_size_bytes, skipped_size_bytes = :skipped_size_bytes,
    failed_size_bytes = :failed_size_bytes, lists = :lists, caveats = :caveats
WHERE task_id = :task_id;

-- name: delete_task
DELETE FROM tasks WHERE task_id = :task_id;

-- name: put_credentials
INSERT OR REPLACE INTO credentials VALUES (:task_id, :sealed);

-- name: drop_credentials
DELETE FROM credentials WHERE task_id = :task_id;

-- name: add_shard
INSERT INTO shards VALUES (
    :shard_id, :task_id, :run, :kind, :prefix, :after_key, :until_key, :keys, :fingerprint, :position, :checkpoint_after,
    :checkpoint_fingerprint, :attempt, :already_listed, 0, :manifest, :restore_since_s
);

-- name: lease_shard
UPDATE shards SET attempt = :attempt WHERE shard_id = :shard_id;

-- name: advance_shard
UPDATE shards SET
    position = :position, checkpoint_after = :checkpoint_after, checkpoint_fingerprint = :checkpoint_fingerprint
WHERE shard_id = :shard_id;

-- name: narrow_shard
UPDATE shards SET until_key = :until_key, manifest = :manifest, fingerprint = :fingerprint WHERE shard_id = :shard_id;

-- name: finish_shard
UPDATE shards SET done = 1 WHERE shard_id = :shard_id;

-- name: drop_shards
DELETE FROM shards WHERE task_id = :task_id;

-- name: add_failed
INSERT INTO failed_objects (task_id, run, key, size_bytes, code, message)
VALUES (:task_id, :run, :key, :size_bytes, :code, :message);

-- name: drop_failed
DELETE FROM failed_objects WHERE task_id = :task_id;

-- name: drop_tally
DELETE FROM failure_tally WHERE task_id = :task_id;

-- name: tally_failures
INSERT INTO failure_tally VALUES (:task_id, :code, :failed_num, :message)
ON CONFLICT (task_id, code) DO UPDATE SET failed_num = failed_num + excluded.failed_num;

-- name: put_upload
INSERT OR REPLACE INTO uploads VALUES (:task_id, :shard_id, :key, :upload_id);

-- name: drop_upload
DELETE FROM uploads WHERE task_id = :task_id AND key = :key AND upload_id = :upload_id;

-- name: put_list_part
INSERT OR REPLACE INTO list_parts VALUES (:task_id, :kind, :number, :size_bytes, :text_bytes, :lines_num);

-- name: drop_list_part
DELETE FROM list_parts WHERE task_id = :task_id AND kind = :kind AND number = :number;

-- name: drop_list_parts
DELETE FROM list_parts WHERE task_id = :task_id AND (:kind = '' OR kind = :kind);

-- name: get_task
SELECT * FROM tasks WHERE task_id = :task_id;

-- name: find_request
SELECT * FROM tasks WHERE project_id = :project_id AND request_id = :request_id AND request_id <> '';

-- name: list_tasks
SELECT * FROM tasks
WHERE project_id = :project_id AND (:state = 0 OR state = :state) AND instr(name, :name_part) > 0
ORDER BY task_id DESC LIMIT :limit OFFSET :offset;

-- name: count_tasks
SELECT count(*) FROM tasks
WHERE project_id = :project_id AND (:state = 0 OR state = :state) AND instr(name, :name_part) > 0;

-- name: tasks_in_state
SELECT * FROM tasks WHERE state = :state ORDER BY task_id;

-- name: get_credentials
SELECT sealed FROM credentials WHERE task_id = :task_id;

-- name: open_shards
SELECT shard_id, already_listed, kind FROM shards WHERE task_id = :task_id AND done = 0 ORDER BY shard_id;

-- name: get_shard
SELECT * FROM shards WHERE shard_id = :shard_id;

-- name: stale_uploads
SELECT key, upload_id FROM uploads
WHERE task_id = :task_id AND (
    shard_id = :shard_id OR shard_id NOT IN (SELECT shard_id FROM shards WHERE task_id = :task_id AND done = 0)
)
ORDER BY rowid;

-- name: failed_page
SELECT row_id, key, size_bytes, code, message FROM failed_objects
WHERE task_id = :task_id AND row_id > :after_row ORDER BY row_id LIMIT :limit;

-- name: failure_tally
SELECT code, failed_num, message FROM failure_tally WHERE task_id = :task_id ORDER BY rowid;

-- name: list_parts
SELECT kind, number, size_bytes, text_bytes, lines_num FROM list_parts WHERE task_id = :task_id ORDER BY kind, number;

-- name: last_ids
SELECT (SELECT coalesce(max(task_id), 0) FROM tasks), (SELECT coalesce(max(shard_id), 0) FROM shards);
