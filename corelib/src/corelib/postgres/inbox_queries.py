"""The SQL of what consumers keep: marks of what was handled, and what could not be handled."""

# -- write_marks -- goes with COMMIT, so that it must fail where an event was handled before.
WRITE_MARKS = "INSERT INTO inbox (day, scope, id, remembered) VALUES"

# -- recall_mark -- whether the event was handled, and what was kept of it.
RECALL_MARK = "SELECT remembered FROM inbox WHERE day = $1 AND scope = $2 AND id = $3"

# -- write_key -- a caller's key tells no day, so it is looked for in all of them, and written for tomorrow too: of two
# transactions at midnight that do not see each other, one has today and tomorrow, the other tomorrow and the day after.
WRITE_KEY = """
INSERT INTO inbox (day, scope, id, remembered)
SELECT (now() AT TIME ZONE 'UTC')::date + n, $1, $2, CASE n WHEN 0 THEN $3::bytea END
FROM generate_series(0, 1) AS n WHERE NOT EXISTS (SELECT FROM inbox WHERE scope = $1 AND id = $2)
ORDER BY n ON CONFLICT DO NOTHING RETURNING 1
"""

KEY_ROWS = 2

# -- recall_key --
RECALL_KEY = "SELECT remembered FROM inbox WHERE scope = $1 AND id = $2 ORDER BY day LIMIT 1"

# -- lock_inbox -- one at a time makes and drops a schema's days.
LOCK_INBOX = "SELECT pg_advisory_xact_lock(hashtextextended('corelib.inbox.' || current_schema, 0))"

# -- inbox_days -- the days that marks can be written of, and today, by the database's clock.
INBOX_DAYS = """
SELECT (now() AT TIME ZONE 'UTC')::date AS today,
       ARRAY(SELECT to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')
             FROM pg_inherits WHERE inhparent = 'inbox'::regclass) AS days
"""

# -- create_inbox_day -- made apart and then attached, which lets writers of other days go on.
CREATE_INBOX_DAY = """
CREATE TABLE IF NOT EXISTS inbox_{day:%Y%m%d} (LIKE inbox INCLUDING ALL) WITH (autovacuum_enabled = false);
ALTER TABLE inbox ATTACH PARTITION inbox_{day:%Y%m%d} FOR VALUES FROM ('{day}') TO ('{following}');
"""

# -- drop_inbox_day --
DROP_INBOX_DAY = "DROP TABLE IF EXISTS inbox_{day:%Y%m%d}"

# -- lock_parked -- one at a time changes a key's queue; what it reads after this is the queue as it is.
LOCK_PARKED = "SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 0))"

# -- claim_parked -- one at a time sends what waits of a key, until its transaction ends; a session may not idle long.
CLAIM_PARKED = """
SELECT pg_try_advisory_xact_lock(
    hashtextextended('corelib.claim.' || current_schema || chr(31) || $1 || chr(31) || $2, 0)
)
"""

# -- parked_keys --
PARKED_KEYS = "SELECT DISTINCT handler, key FROM parked"

# -- is_parked -- looked for by its hash: what a producer takes for a key may be too long for an index.
IS_PARKED = "SELECT EXISTS (SELECT FROM parked WHERE handler = $1 AND md5(key) = md5($2) AND key = $2)"

# -- park --
PARK = """
INSERT INTO parked (handler, event_id, channel, key, headers, payload, reason, traceback, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (handler, event_id) DO NOTHING
"""

# -- parked_failed --
PARKED_FAILED = "UPDATE parked SET attempts = attempts + 1, reason = $2, traceback = $3 WHERE id = $1"

# -- list_parked --
LIST_PARKED = """
SELECT * FROM parked WHERE ($1::text IS NULL OR handler = $1) AND id > $3 ORDER BY id LIMIT $2
"""

# -- list_queue -- from the index on handler and hashed key, however many wait.
LIST_QUEUE = """
SELECT * FROM parked WHERE handler = $1 AND md5(key) = md5($2) AND key = $2 AND id > $4 ORDER BY id LIMIT $3
"""

# -- list_queues -- each with its first record, of which the body stays where it is.
LIST_QUEUES = """
SELECT first.handler, first.key, records, parked, reason, headers
FROM (SELECT min(id) AS id, count(*) AS records FROM parked GROUP BY handler, key) AS queue
JOIN parked AS first USING (id) ORDER BY id
"""

# -- unpark --
UNPARK = "DELETE FROM parked WHERE id = ANY($1::bigint[])"

# -- parked_sizes --
PARKED_SIZES = "SELECT handler, count(*) AS records, min(parked) AS oldest FROM parked GROUP BY handler"
