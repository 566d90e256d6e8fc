-- Named queries: "-- name: x" begins one. Parameters are named as the fields they come from.

-- name: insert_task
INSERT INTO tasks (
    task_id, project_id, name, spec, state, priority, windows, created_ms, request_id, request_fingerprint, run,
    started_ms, ended_ms, active_ms, active_since_ms, listing_over, planned, error_code, error_message, listed_num,
    listed_size_bytes, successful_num, skipped_num, failed_num, successful_size_bytes, skipped_size_bytes,
    failed_size_bytes, lists, caveats, parts_size_bytes, group_id, expected_num, expected_size_bytes
) VALUES (
    :task_id, :project_id, :name, :spec, :state, :priority, :windows, :created_ms, :request_id, :request_fingerprint, :run,
    :started_ms, :ended_ms, :active_ms, :active_since_ms, :listing_over, :planned, :error_code, :error_message, :listed_num,
    :listed_size_bytes, :successful_num, :skipped_num, :failed_num, :successful_size_bytes, :skipped_size_bytes,
    :failed_size_bytes, :lists, :caveats, :parts_size_bytes, :group_id, :expected_num, :expected_size_bytes
);

-- name: update_task
UPDATE tasks SET
    state = :state, priority = :priority, windows = :windows, run = :run, started_ms = :started_ms, ended_ms = :ended_ms,
    active_ms = :active_ms, active_since_ms = :active_since_ms, listing_over = :listing_over, planned = :planned,
    error_code = :error_code, error_message = :error_message, listed_num = :listed_num,
    listed_size_bytes = :listed_size_bytes, successful_num = :successful_num, skipped_num = :skipped_num,
    failed_num = :failed_num, successful_size_bytes = :successful_size_bytes, skipped_size_bytes = :skipped_size_bytes,
    failed_size_bytes = :failed_size_bytes, lists = :lists, caveats = :caveats,
    parts_size_bytes = :parts_size_bytes
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
    :checkpoint_fingerprint, :attempt, :already_listed, 0, :manifest, :restore_since_s, :large_key,
    :large_size_bytes
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
INSERT OR REPLACE INTO uploads VALUES (:task_id, :shard_id, :key, :upload_id, :plan);

-- name: drop_upload
DELETE FROM uploads WHERE task_id = :task_id AND key = :key AND upload_id = :upload_id;

-- name: drop_plans
UPDATE uploads SET plan = '' WHERE task_id = :task_id;

-- name: put_part
INSERT OR REPLACE INTO upload_parts
VALUES (:task_id, :key, :upload_id, :part_number, :size_bytes, :etag, :crc64_xz, :crc64_nvme);

-- name: drop_parts
DELETE FROM upload_parts WHERE task_id = :task_id AND key = :key AND upload_id = :upload_id;

-- name: put_intent
INSERT OR REPLACE INTO upload_intents VALUES (:task_id, :shard_id, :key, :at_s, :known, :attempts);

-- name: drop_intent
DELETE FROM upload_intents WHERE task_id = :task_id AND key = :key;

-- name: put_sweep
INSERT OR REPLACE INTO sweeps VALUES (:task_id, :destination, :sealed, :due);

-- name: rekey_sweep
UPDATE sweeps SET sealed = :sealed, due = 0 WHERE task_id = :task_id;

-- name: due_sweep
UPDATE sweeps SET due = 1 WHERE task_id = :task_id;

-- name: drop_sweep
DELETE FROM sweeps WHERE task_id = :task_id;

-- name: end_sweep
DELETE FROM sweeps WHERE task_id = :task_id
AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.task_id = sweeps.task_id)
AND NOT EXISTS (SELECT 1 FROM upload_intents WHERE upload_intents.task_id = sweeps.task_id);

-- name: drop_unswept_uploads
DELETE FROM uploads WHERE task_id = :task_id AND task_id NOT IN (SELECT task_id FROM sweeps);

-- name: drop_unswept_intents
DELETE FROM upload_intents WHERE task_id = :task_id AND task_id NOT IN (SELECT task_id FROM sweeps);

-- name: drop_task_parts
DELETE FROM upload_parts WHERE task_id = :task_id;

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
-- With the number of all matches in one statement: between two, tasks may be deleted.
SELECT *, (
    SELECT count(*) FROM tasks
    WHERE project_id = :project_id AND (:state = 0 OR state = :state) AND instr(name, :name_part) > 0
) AS matches_num
FROM tasks
WHERE project_id = :project_id AND (:state = 0 OR state = :state) AND instr(name, :name_part) > 0
ORDER BY task_id DESC LIMIT :limit OFFSET :offset;

-- name: count_tasks
SELECT count(*) FROM tasks
WHERE project_id = :project_id AND (:state = 0 OR state = :state) AND instr(name, :name_part) > 0;

-- name: count_tasks_in
SELECT count(*) FROM tasks WHERE project_id = :project_id AND state = :state;

-- name: add_creation
INSERT INTO creations (project_id, kind, created_ms) VALUES (:project_id, :kind, :created_ms);

-- name: prune_creations
DELETE FROM creations WHERE created_ms <= :before_ms;
-- name: list_group_tasks
SELECT *, (
    SELECT count(*) FROM tasks
    WHERE group_id = :group_id AND group_id <> '' AND project_id = :project_id AND (:state = 0 OR state = :state)
        AND instr(name, :name_part) > 0
) AS matches_num
FROM tasks
WHERE group_id = :group_id AND group_id <> '' AND project_id = :project_id AND (:state = 0 OR state = :state)
    AND instr(name, :name_part) > 0
ORDER BY task_id DESC LIMIT :limit OFFSET :offset;

-- name: count_group_tasks
SELECT count(*) FROM tasks
WHERE group_id = :group_id AND group_id <> '' AND project_id = :project_id AND (:state = 0 OR state = :state)
    AND instr(name, :name_part) > 0;

-- name: count_created
SELECT count(*) FROM creations WHERE project_id = :project_id AND kind = :kind AND created_ms > :since_ms;

-- name: created_at
SELECT created_ms FROM creations WHERE project_id = :project_id AND kind = :kind AND created_ms > :since_ms
ORDER BY created_ms LIMIT 1 OFFSET :place;

-- name: tasks_in_state
SELECT * FROM tasks WHERE state = :state ORDER BY task_id;

-- name: get_credentials
SELECT sealed FROM credentials WHERE task_id = :task_id;

-- name: open_shards
SELECT shard_id, already_listed, kind, after_key, large_key FROM shards WHERE task_id = :task_id AND done = 0 ORDER BY shard_id;

-- name: get_shard
SELECT * FROM shards WHERE shard_id = :shard_id;

-- name: stale_uploads
SELECT key, upload_id FROM uploads
WHERE task_id = :task_id AND plan = '' AND (
    shard_id = :shard_id
    OR shard_id NOT IN (SELECT shard_id FROM shards WHERE task_id = :task_id AND done = 0)
)
ORDER BY rowid;

-- name: stale_intents
SELECT key, at_s, known, attempts FROM upload_intents
WHERE task_id = :task_id AND (
    :shard_id = 0 OR shard_id = :shard_id
    OR shard_id NOT IN (SELECT shard_id FROM shards WHERE task_id = :task_id AND done = 0)
)
ORDER BY rowid;

-- name: uploads_of_key
SELECT upload_id FROM uploads WHERE key = :key UNION SELECT upload_id FROM sync_uploads WHERE key = :key;

-- name: kept_upload
SELECT upload_id, plan FROM uploads WHERE task_id = :task_id AND key = :key AND plan <> '' ORDER BY rowid DESC LIMIT 1;

-- name: upload_parts
SELECT part_number, size_bytes, etag, crc64_xz, crc64_nvme FROM upload_parts
WHERE task_id = :task_id AND key = :key AND upload_id = :upload_id ORDER BY part_number;

-- name: open_uploads
SELECT key, upload_id, plan FROM uploads WHERE task_id = :task_id ORDER BY rowid;

-- name: part_sizes
SELECT key, upload_id, part_number, size_bytes FROM upload_parts WHERE task_id = :task_id;

-- name: due_sweeps
SELECT task_id FROM sweeps WHERE due = 1 ORDER BY task_id;

-- name: get_sweep
SELECT destination, sealed FROM sweeps WHERE task_id = :task_id;

-- name: failed_page
SELECT row_id, key, size_bytes, code, message FROM failed_objects
WHERE task_id = :task_id AND row_id > :after_row ORDER BY row_id LIMIT :limit;

-- name: failure_tally
SELECT code, failed_num, message FROM failure_tally WHERE task_id = :task_id ORDER BY rowid;

-- name: list_parts
SELECT kind, number, size_bytes, text_bytes, lines_num FROM list_parts WHERE task_id = :task_id ORDER BY kind, number;

-- name: last_ids
SELECT (SELECT coalesce(max(task_id), 0) FROM tasks), (SELECT coalesce(max(shard_id), 0) FROM shards);

-- name: insert_sync
INSERT INTO sync_tasks VALUES (
    :number, :sync_task_id, :project_id, :spec, :deletes, :state, :created_ms, :last_started_ms
);

-- name: update_sync
UPDATE sync_tasks SET state = :state, last_started_ms = :last_started_ms WHERE number = :number;

-- name: delete_sync
DELETE FROM sync_tasks WHERE number = :number;

-- name: put_sync_credentials
INSERT OR REPLACE INTO sync_credentials VALUES (:number, :sealed);

-- name: drop_sync_credentials
DELETE FROM sync_credentials WHERE number = :number;

-- name: put_sync_secret
INSERT OR REPLACE INTO sync_event_secrets VALUES (:number, :digest);

-- name: add_sync_event
INSERT INTO sync_events VALUES (:event_id, :number, :key, :literal, :accepted_ms, :restore_since_s);

-- name: put_sync_restore
UPDATE sync_events SET restore_since_s = :restore_since_s WHERE event_id = :event_id;

-- name: drop_sync_event
DELETE FROM sync_events WHERE event_id = :event_id;

-- name: add_sync_figures
INSERT INTO sync_figures VALUES (
    :number, :start_ms, :request_num, :success_num, :failure_num, :skip_num, :size_bytes
)
ON CONFLICT (number, start_ms) DO UPDATE SET
    request_num = request_num + excluded.request_num, success_num = success_num + excluded.success_num,
    failure_num = failure_num + excluded.failure_num, skip_num = skip_num + excluded.skip_num,
    size_bytes = size_bytes + excluded.size_bytes;

-- name: put_sync_upload
INSERT OR REPLACE INTO sync_uploads VALUES (:number, :event_id, :key, :upload_id);

-- name: drop_sync_upload
DELETE FROM sync_uploads WHERE number = :number AND key = :key AND upload_id = :upload_id;

-- name: put_sync_intent
INSERT OR REPLACE INTO sync_upload_intents VALUES (:number, :event_id, :key, :at_s, :known, :attempts);

-- name: drop_sync_intent
DELETE FROM sync_upload_intents WHERE number = :number AND key = :key;

-- name: sync_tasks
SELECT * FROM sync_tasks ORDER BY number;

-- name: sync_credentials
SELECT sealed FROM sync_credentials WHERE number = :number;

-- name: sync_secrets
SELECT number, digest FROM sync_event_secrets;

-- name: sync_events
SELECT event_id, key, literal, accepted_ms, restore_since_s FROM sync_events WHERE number = :number ORDER BY event_id;

-- name: sync_uploads
SELECT event_id, key, upload_id FROM sync_uploads WHERE number = :number;

-- name: sync_intents
SELECT event_id, key, at_s, known, attempts FROM sync_upload_intents WHERE number = :number;

-- name: sync_figures
SELECT * FROM sync_figures WHERE number = :number AND start_ms >= :start_ms AND start_ms < :end_ms ORDER BY start_ms;

-- name: sync_total
SELECT
    coalesce(sum(request_num), 0) AS request_num, coalesce(sum(success_num), 0) AS success_num,
    coalesce(sum(failure_num), 0) AS failure_num, coalesce(sum(skip_num), 0) AS skip_num,
    coalesce(sum(size_bytes), 0) AS size_bytes,
    (SELECT count(*) FROM sync_events WHERE sync_events.number = :number) AS queued_num
FROM sync_figures WHERE number = :number AND start_ms >= :start_ms AND start_ms < :end_ms;

-- name: sync_last_ids
-- A number is not given again while the sweeper has something of a deleted task: both go by the id that is made of it.
SELECT
    max(
        (SELECT coalesce(max(number), 0) FROM sync_tasks),
        (SELECT coalesce(max(:first_work_id - task_id), 0) FROM sweeps WHERE task_id < :first_work_id)
    ),
    (SELECT coalesce(max(event_id), 0) FROM sync_events);

-- name: add_notice
INSERT INTO notices (owner_kind, owner_id, config, facts, state, hidden, error_code, detail)
VALUES (:owner_kind, :owner_id, :config, :facts, 'due', 0, '', '');

-- name: drop_settled_notices
DELETE FROM notices WHERE owner_kind = :owner_kind AND owner_id = :owner_id AND state <> 'due';

-- name: hide_due_notices
UPDATE notices SET hidden = 1 WHERE owner_kind = :owner_kind AND owner_id = :owner_id;

-- name: settle_notice
UPDATE notices SET state = :state, error_code = :error_code, detail = :detail WHERE notice_id = :notice_id;

-- name: drop_hidden_notice
DELETE FROM notices WHERE notice_id = :notice_id AND hidden = 1;

-- name: due_notices
SELECT notice_id, owner_kind, owner_id, config, facts FROM notices
WHERE state = 'due' AND notice_id > :after ORDER BY notice_id LIMIT :limit;

-- name: latest_notice
SELECT notice_id, config, state, error_code, detail FROM notices
WHERE owner_kind = :owner_kind AND owner_id = :owner_id AND hidden = 0;

-- name: insert_group
INSERT INTO task_groups VALUES (
    :number, :group_id, :project_id, :spec, :state, :windows, :created_ms, :request_id, :request_fingerprint, :started_ms, :ended_ms,
    :active_ms, :active_since_ms, :error_code, :error_message, :position, :goal, :goal_after
);

-- name: update_group
UPDATE task_groups SET
    state = :state, windows = :windows, started_ms = :started_ms, ended_ms = :ended_ms, active_ms = :active_ms,
    active_since_ms = :active_since_ms, error_code = :error_code, error_message = :error_message, position = :position,
    goal = :goal, goal_after = :goal_after
WHERE number = :number;

-- name: purge_groups
DELETE FROM task_groups WHERE project_id = :project_id AND state = 9 AND created_ms < :created_before_ms;

-- name: put_group_credentials
INSERT OR REPLACE INTO group_credentials VALUES (:number, :sealed);

-- name: drop_group_credentials
DELETE FROM group_credentials WHERE number = :number;

-- name: get_group
SELECT * FROM task_groups WHERE group_id = :group_id;

-- name: find_group_request
SELECT * FROM task_groups
WHERE project_id = :project_id AND request_id = :request_id AND request_id <> '' AND state <> 9;

-- name: list_groups
-- With the number of all matches in one statement: between two, groups may be deleted.
SELECT *, (
    SELECT count(*) FROM task_groups WHERE project_id = :project_id AND state <> 9 AND (:state < 0 OR state = :state)
) AS matches_num
FROM task_groups
WHERE project_id = :project_id AND state <> 9 AND (:state < 0 OR state = :state)
ORDER BY number DESC LIMIT :limit OFFSET :offset;

-- name: count_groups
SELECT count(*) FROM task_groups WHERE project_id = :project_id AND state <> 9 AND (:state < 0 OR state = :state);

-- name: count_groups_created
SELECT count(*) FROM task_groups WHERE project_id = :project_id AND created_ms >= :since_ms;

-- name: unfinished_groups
SELECT * FROM task_groups WHERE state IN (0, 1, 2, 7, 8) OR goal <> '' ORDER BY number;

-- name: get_group_credentials
SELECT sealed FROM group_credentials WHERE number = :number;

-- name: members
SELECT * FROM tasks
WHERE group_id = :group_id AND group_id <> '' AND task_id > :after AND state IN (SELECT value FROM json_each(:states))
ORDER BY task_id LIMIT :limit;

-- name: member_numbers
SELECT state, count(*) AS number FROM tasks WHERE group_id = :group_id AND group_id <> '' GROUP BY state;

-- name: member_failures
SELECT error_code, count(*) AS number, min(task_id) AS first, error_message FROM tasks
WHERE group_id = :group_id AND group_id <> '' AND state = 4 GROUP BY error_code ORDER BY first;

-- name: group_sums
SELECT
    state, count(*) AS number,
    sum(CASE WHEN listing_over THEN listed_num ELSE max(expected_num, listed_num) END) AS expected_num,
    sum(CASE WHEN listing_over THEN listed_size_bytes ELSE max(expected_size_bytes, listed_size_bytes) END) AS expected_size_bytes,
    sum(listed_num) AS listed_num, sum(listed_size_bytes) AS listed_size_bytes, sum(successful_num) AS successful_num,
    sum(skipped_num) AS skipped_num, sum(failed_num) AS failed_num, sum(successful_size_bytes) AS successful_size_bytes,
    sum(skipped_size_bytes) AS skipped_size_bytes, sum(failed_size_bytes) AS failed_size_bytes,
    sum(parts_size_bytes) AS parts_size_bytes
FROM tasks
WHERE group_id = :group_id AND group_id <> '' AND task_id NOT IN (SELECT value FROM json_each(:without))
GROUP BY state;

-- name: failed_lists
SELECT
    count(json_extract(lists, '$.failed_key') <> '' OR NULL) AS number,
    max(coalesce(json_extract(lists, '$.failed_error'), '')) AS error
FROM tasks WHERE group_id = :group_id AND group_id <> '' AND failed_num > 0;

-- name: last_group_number
SELECT coalesce(max(number), 0) FROM task_groups;
