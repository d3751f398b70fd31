"""The SQL of the PostgreSQL store: every statement has its home and name here."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    channel text NOT NULL,
    key text NOT NULL,
    headers json NOT NULL,
    payload bytea NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS outbox_xid ON outbox (xid);
CREATE TABLE IF NOT EXISTS outbox_cursor (
    relay text PRIMARY KEY,
    done pg_snapshot NOT NULL,
    tick pg_snapshot,
    tick_id bigint NOT NULL DEFAULT 0,
    holder text,
    fence bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TABLE IF NOT EXISTS mark (
    scope text NOT NULL,
    id text NOT NULL,
    made date NOT NULL DEFAULT current_date,
    expires timestamptz NOT NULL,
    remembered bytea,
    PRIMARY KEY (scope, id)
);
CREATE TABLE IF NOT EXISTS timer (
    id uuid PRIMARY KEY,
    due timestamptz NOT NULL,
    channels text[] NOT NULL,
    keys text[] NOT NULL,
    headers json[] NOT NULL,
    payloads bytea[] NOT NULL
);
CREATE INDEX IF NOT EXISTS timer_due ON timer (due);
CREATE TABLE IF NOT EXISTS parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handler text NOT NULL,
    event_id text NOT NULL,
    channel text NOT NULL,
    key text NOT NULL,
    headers json NOT NULL,
    payload bytea NOT NULL,
    reason text NOT NULL,
    attempts int NOT NULL,
    parked timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (handler, event_id)
);
"""

LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(hashtextextended('corelib.provision', 0))"

# -- write_events -- all of a transaction's events in one statement, just before COMMIT; the order of ids is theirs.
WRITE_EVENTS = """
INSERT INTO outbox (channel, key, headers, payload)
SELECT channel, key, headers, payload
FROM unnest($1::text[], $2::text[], $3::json[], $4::bytea[]) WITH ORDINALITY AS e (channel, key, headers, payload, n)
ORDER BY n
"""

# -- write_mark -- no row back means that the work was done before.
WRITE_MARK = """
INSERT INTO mark (scope, id, expires, remembered) VALUES ($1, $2, now() + $3, $4)
ON CONFLICT DO NOTHING RETURNING 1
"""

# -- recall_mark -- whether the work was done, and what was kept of it.
RECALL_MARK = "SELECT remembered FROM mark WHERE scope = $1 AND id = $2"

# -- write_timer --
WRITE_TIMER = "INSERT INTO timer (id, due, channels, keys, headers, payloads) VALUES ($1, $2, $3, $4, $5, $6)"

# -- cancel_timers --
CANCEL_TIMERS = "DELETE FROM timer WHERE id = ANY($1::uuid[])"

# -- fire_timers -- SKIP LOCKED: replicas share the due ones instead of queueing behind each other.
FIRE_TIMERS = """
DELETE FROM timer WHERE id IN (
    SELECT id FROM timer WHERE due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING due, channels, keys, headers, payloads
"""

# -- new_cursor -- a new relay starts at the beginning: what was written before it existed is delivered too.
NEW_CURSOR = "INSERT INTO outbox_cursor (relay, done) VALUES ($1, '1:1:') ON CONFLICT DO NOTHING"

# -- take_lease -- renews one's own, takes one that ran out; the fence counts the holders.
TAKE_LEASE = """
UPDATE outbox_cursor
SET holder = $2, lease_until = now() + $3, fence = CASE WHEN holder = $2 THEN fence ELSE fence + 1 END
WHERE relay = $1 AND (holder = $2 OR holder IS NULL OR lease_until < now())
RETURNING fence, done::text, tick::text, tick_id
"""

# -- release_lease --
RELEASE_LEASE = "UPDATE outbox_cursor SET holder = NULL, lease_until = '-infinity' WHERE relay = $1 AND fence = $2"

# -- take_tick --
TAKE_TICK = "SELECT pg_current_snapshot()::text"

# -- read_tick -- PgQ's rule: what this snapshot sees and the last one did not. Nothing is skipped when ids commit out
# of order, and nothing waits for a transaction that is still open, here or in another database.
READ_TICK = """
SELECT id, channel, key, headers, payload, written FROM outbox
WHERE (xid >= pg_snapshot_xmax($1::text::pg_snapshot)
       OR xid = ANY(ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
  AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
  AND id > $3 AND channel = ANY($4::text[])
ORDER BY id LIMIT $5
"""

# -- move_cursor -- the fence in the condition: a relay that lost its lease moves nothing.
MOVE_CURSOR = """
UPDATE outbox_cursor SET done = $3::text::pg_snapshot, tick = $4::text::pg_snapshot, tick_id = $5
WHERE relay = $1 AND fence = $2
"""

# -- outbox_lag --
OUTBOX_LAG = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(written)), 0)::float8 FROM (
    SELECT written FROM outbox
    WHERE (xid >= pg_snapshot_xmax($1::text::pg_snapshot)
       OR xid = ANY(ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
      AND id > $2 AND channel = ANY($3::text[])
    ORDER BY id LIMIT 1
) oldest
"""

# -- parked_keys --
PARKED_KEYS = "SELECT DISTINCT key FROM parked WHERE handler = $1"

# -- park --
PARK = """
INSERT INTO parked (handler, event_id, channel, key, headers, payload, reason, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (handler, event_id) DO NOTHING
"""

# -- list_parked --
LIST_PARKED = "SELECT * FROM parked WHERE $1::text IS NULL OR handler = $1 ORDER BY id"

# -- unpark --
UNPARK = "DELETE FROM parked WHERE id = $1"
