"""The SQL of the PostgreSQL store: every statement has its home and name here."""

SLOTS = (0, 1, 2)
"""The tables of the ring: the one written to, and two that keep what was sent until the ring comes round."""

# xid stands before id: a row's transaction has its number before the row has one, on which `done_floor` relies.
# No vacuum: rows are never updated or deleted, and TRUNCATE leaves nothing behind.
_SLOT = """
CREATE TABLE IF NOT EXISTS outbox_{slot} (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint NOT NULL DEFAULT nextval('outbox_id'),
    hash int NOT NULL,
    channel text NOT NULL,
    key text NOT NULL,
    headers bytea NOT NULL,
    payload bytea NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE INDEX IF NOT EXISTS outbox_{slot}_id ON outbox_{slot} (id);
CREATE INDEX IF NOT EXISTS outbox_{slot}_xid ON outbox_{slot} (xid);
"""

OUTBOX_SCHEMA = "CREATE SEQUENCE IF NOT EXISTS outbox_id;" + "".join(_SLOT.format(slot=slot) for slot in SLOTS)


SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox_cursor (
    relay text PRIMARY KEY,
    done pg_snapshot NOT NULL,
    done_floor bigint NOT NULL DEFAULT 0,
    done_next bigint NOT NULL DEFAULT 1,
    tick pg_snapshot,
    tick_floor bigint,
    tick_next bigint,
    tick_number bigint NOT NULL DEFAULT 0,
    tick_id bigint NOT NULL DEFAULT 0,
    database text NOT NULL,
    holder text,
    fence bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE TABLE IF NOT EXISTS outbox_ring (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    slot smallint NOT NULL DEFAULT 0,
    turned timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO outbox_ring DEFAULT VALUES ON CONFLICT DO NOTHING;
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

OPERATIONS = """
CREATE TABLE operation (
    id uuid PRIMARY KEY,
    kind text NOT NULL,
    who text NOT NULL,
    reason text NOT NULL,
    details json NOT NULL,
    began timestamptz NOT NULL,
    progress json NOT NULL,
    ended timestamptz
);
"""

ERA = "ALTER TABLE outbox_ring ADD COLUMN era int NOT NULL DEFAULT 0;"

INBOX_SCHEMA = """
DROP TABLE mark;
CREATE TABLE inbox (
    day date NOT NULL,
    scope text NOT NULL,
    id text NOT NULL,
    remembered bytea,
    PRIMARY KEY (scope, id, day)
) PARTITION BY RANGE (day);
ALTER TABLE parked ADD COLUMN traceback text NOT NULL DEFAULT '';
CREATE INDEX parked_key ON parked (handler, key, id);
"""

# -- lock_schema -- one migration at a time, in all schemas of the database.
LOCK_SCHEMA = "SELECT pg_advisory_xact_lock(hashtextextended('corelib.provision', 0))"

SCHEMA_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    version int PRIMARY KEY,
    summary text NOT NULL,
    works_with int NOT NULL,
    applied timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by text NOT NULL DEFAULT current_user
);
"""

# -- schema_version -- the step that a schema is at, and the oldest release that works with it.
SCHEMA_VERSION = "SELECT version, works_with FROM schema_version ORDER BY version DESC LIMIT 1"

# -- lacking_rights -- what a transaction writes to, and this role may not.
LACKING_RIGHTS = f"""
SELECT string_agg(name, ', ' ORDER BY name)
FROM unnest(ARRAY[{", ".join(f"'outbox_{slot}'" for slot in SLOTS)}, 'outbox_cursor', 'inbox', 'timer', 'parked']) name
WHERE NOT has_table_privilege(name, 'INSERT')
"""  # noqa: S608 -- our own names

# -- write_events -- sent with COMMIT in one message, which takes no parameters; the order of ids is the order of rows.
_WRITE_EVENTS = "INSERT INTO outbox_{slot} (hash, channel, key, headers, payload) VALUES "
WRITE_EVENTS = {slot: _WRITE_EVENTS.format(slot=slot) for slot in SLOTS}

# -- emit_event -- into the write-ahead log and nowhere else, as part of the transaction.
EMIT_EVENT = "pg_logical_emit_message(true, 'outbox', {content})"

# -- readers_of_messages -- who reads them; without a slot they are gone with the log.
READERS_OF_MESSAGES = """
SELECT current_setting('wal_level') AS level,
       (SELECT count(*) FROM pg_replication_slots
        WHERE slot_type = 'logical' AND database = current_database()) AS slots
"""

# -- current_slot --
CURRENT_SLOT = "SELECT slot FROM outbox_ring"

# -- write_timer --
WRITE_TIMER = "INSERT INTO timer (id, due, channels, keys, headers, payloads) VALUES ($1, $2, $3, $4, $5, $6)"

# -- cancel_timers --
CANCEL_TIMERS = "DELETE FROM timer WHERE id = ANY($1::uuid[])"

# -- fire_timers -- one replica at a time, or two would give timers of one key to the outbox in the wrong order.
# SKIP LOCKED: one that is being cancelled is not waited for. now(), as what is not stable is compared row by row.
FIRE_TIMERS = """
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('corelib.timers.' || current_schema, 0)) AS ours
)
DELETE FROM timer WHERE id IN (
    SELECT id FROM timer WHERE (SELECT ours FROM turn) AND due <= coalesce($1::timestamptz, now())
    ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING id, due, channels, keys, headers, payloads
"""

# -- never_pause -- a client that is paused or cut off here would hold a lock that every relay waits for.
NEVER_PAUSE = "SET LOCAL idle_in_transaction_session_timeout = '2s'"

# -- lock_ring -- one turns at a time, and not before it is due.
LOCK_RING = "SELECT slot FROM outbox_ring WHERE turned < clock_timestamp() - $1::interval FOR UPDATE SKIP LOCKED"

# -- lock_slot -- never waits: behind a waiting exclusive lock every writer would queue.
LOCK_SLOT = {slot: f"LOCK TABLE outbox_{slot} IN ACCESS EXCLUSIVE MODE NOWAIT" for slot in SLOTS}

# -- slot_is_needed -- whether a row is too young to go, or a relay, perhaps one yet to come, may still have to read it.
# A transaction that stays open for hours is no reason: what it has not written here is not here.
_SLOT_IS_NEEDED = """
SELECT EXISTS (SELECT 1 FROM outbox_{slot} WHERE id = (SELECT max(id) FROM outbox_{slot})
               AND written > clock_timestamp() - $1::interval)
    OR EXISTS (SELECT 1 FROM outbox_{slot}, outbox_cursor c
               WHERE xid >= pg_snapshot_xmax(c.done))
    OR EXISTS (SELECT 1 FROM outbox_{slot}, outbox_cursor c, pg_snapshot_xip(c.done) under_way
               WHERE xid = under_way)
    OR (EXISTS (SELECT 1 FROM outbox_{slot}) AND NOT EXISTS (SELECT 1 FROM outbox_cursor))
"""
SLOT_IS_NEEDED = {slot: _SLOT_IS_NEEDED.format(slot=slot) for slot in SLOTS}

# -- truncate_slot -- leaves no dead rows behind, however many there were.
TRUNCATE_SLOT = {slot: f"TRUNCATE outbox_{slot}" for slot in SLOTS}

# -- set_slot --
SET_SLOT = "UPDATE outbox_ring SET slot = $1, turned = clock_timestamp()"

# -- here -- the cluster, and the era since its last restore: what positions and receipts are valid in.
HERE = "system_identifier::text || CASE era WHEN 0 THEN '' ELSE '#' || era END"

# -- new_cursor -- a new relay starts at the beginning: what was written before it existed is delivered too.
NEW_CURSOR = f"""
INSERT INTO outbox_cursor (relay, done, database)
SELECT $1, '1:1:', {HERE} FROM pg_control_system(), outbox_ring ON CONFLICT DO NOTHING
"""  # noqa: S608 -- our own names

# -- take_lease -- renews one's own, takes one that ran out; the fence counts the holders.
TAKE_LEASE = """
UPDATE outbox_cursor
SET holder = $2, lease_until = now() + $3, fence = CASE WHEN holder = $2 THEN fence ELSE fence + 1 END
WHERE relay = $1 AND (holder = $2 OR holder IS NULL OR lease_until < now())
RETURNING fence, done, done_floor, done_next, tick, tick_floor, tick_next, tick_number, tick_id, database
"""

# -- release_lease --
RELEASE_LEASE = "UPDATE outbox_cursor SET holder = NULL, lease_until = '-infinity' WHERE relay = $1 AND fence = $2"

# -- where_are_we -- of a restored database the identifier differs, or its transactions count from further back.
WHERE_ARE_WE = f"""
SELECT {HERE} AS database, pg_snapshot_xmax(pg_current_snapshot())::text AS now
FROM pg_control_system(), outbox_ring
"""  # noqa: S608 -- our own names

_ROWS = " UNION ALL ".join(f"SELECT id, headers FROM outbox_{slot}" for slot in SLOTS)  # noqa: S608 -- our own names

# -- holds_row -- whether a row that a receipt names is still the one that it was.
HOLDS_ROW = f"SELECT EXISTS (SELECT FROM ({_ROWS}) rows WHERE id = $1 AND position($2::bytea IN headers) > 0)"  # noqa: S608 -- our own names

# -- take_floor -- the last id given to anyone, committed or not.
TAKE_FLOOR = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_id"

# -- take_tick -- a snapshot's xmax is one above the last *completed* transaction: some from there on may be under way.
# `next`, a number taken after the snapshot, tells them from those that began later.
TAKE_TICK = "SELECT pg_current_snapshot() AS snapshot, pg_current_xact_id()::text AS next"

# -- keep_tick -- what a crashed database had given to transactions that never committed, numbers and ids, it gives out
# again: a broker that remembers them would take new rows for old ones. So, before a row leaves, a commit that waits for
# the disk, whatever the rows' writers did.
KEEP_TICK = """
SELECT set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true),
       pg_logical_emit_message(true, 'corelib', '')
"""

# -- read_young, read_late -- PgQ's rule: what this snapshot sees and the last one did not. Nothing is skipped when ids
# commit out of order, and nothing waits for a transaction that is still open, here or in another database. Transactions
# that began after the last snapshot (`next` and above) have ids above its floor, so that a backlog of any size is read
# from the index on ids, in pages.
_YOUNG = """
(SELECT channel, key, hash, headers, payload, id FROM outbox_{slot}
 WHERE id > $1 AND xid >= $2::text::xid8 AND pg_visible_in_snapshot(xid, $3) AND channel = ANY($4)
 ORDER BY id LIMIT $5)
"""
# The few that were under way at the last snapshot may have any id: they are found by the index on xid alone, which is
# what adding 0 to the id is for.
_LATE = """
(SELECT channel, key, hash, headers, payload, id FROM outbox_{slot}
 WHERE xid = ANY($1::text[]::xid8[])
   AND id + 0 > $4 AND pg_visible_in_snapshot(xid, $5) AND channel = ANY($6) ORDER BY id + 0 LIMIT $7)
UNION ALL
(SELECT channel, key, hash, headers, payload, id FROM outbox_{slot}
 WHERE xid >= $2::text::xid8 AND xid < $3::text::xid8
   AND id + 0 > $4 AND pg_visible_in_snapshot(xid, $5) AND channel = ANY($6) ORDER BY id + 0 LIMIT $7)
"""


def _of_all_slots(query: str, order: str) -> str:
    return f"{'UNION ALL'.join(query.format(slot=slot) for slot in SLOTS)} {order}"


READ_YOUNG = _of_all_slots(_YOUNG, "ORDER BY id LIMIT $5")
READ_LATE = _of_all_slots(_LATE, "ORDER BY id LIMIT $7")

# -- planned_for_relays -- pages come from an index, in its order. Nobody counts the rows of a ring (no vacuum, and they
# come and go by the million), and a planner that guesses would rather collect and sort the whole backlog for each page.
PLANNED_FOR_RELAYS = {
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

# -- move_cursor -- the fence in the condition: a relay that lost its lease moves nothing. Not waited for to be durable:
# a position that a crash takes back is made up for by the broker's receipt, or by sending again.
MOVE_CURSOR = """
UPDATE outbox_cursor SET done = $3, done_floor = $4, done_next = $5, tick = $6, tick_floor = $7, tick_next = $8,
    tick_number = $9, tick_id = $10
FROM (SELECT set_config('synchronous_commit', 'off', true)) AS soon
WHERE relay = $1 AND fence = $2
"""

# -- outbox_lag -- the first row behind the cursor by id, or one of the few late ones; all wait that no relay ever read.
_LAG = """
WITH known AS (SELECT tick_id, done_floor, done_next, done, tick FROM outbox_cursor WHERE relay = $1),
c AS (TABLE known UNION ALL SELECT 0, 0, 1, '1:1:', NULL WHERE NOT EXISTS (TABLE known))
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(written)), 0)::float8 FROM (
    {oldest}
) oldest
"""
_OLDEST = """
(SELECT written FROM outbox_{slot}
 WHERE id > (SELECT greatest(tick_id, done_floor) FROM c) AND xid >= (SELECT done_next::text::xid8 FROM c)
   AND channel = ANY($2) ORDER BY id LIMIT 1)
UNION ALL
(SELECT written FROM outbox_{slot}, c
 WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(done) FROM c)) AND channel = ANY($2)
   AND (tick IS NULL OR NOT (pg_visible_in_snapshot(xid, tick) AND id <= tick_id)))
UNION ALL
(SELECT written FROM outbox_{slot}, c
 WHERE xid >= (SELECT pg_snapshot_xmax(done) FROM c) AND xid < (SELECT done_next::text::xid8 FROM c)
   AND channel = ANY($2) AND (tick IS NULL OR NOT (pg_visible_in_snapshot(xid, tick) AND id <= tick_id)))
"""
OUTBOX_LAG = _LAG.format(oldest=_of_all_slots(_OLDEST, ""))
