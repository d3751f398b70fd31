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

OPERATIONS_HAVE_A_RUN = "ALTER TABLE operation ADD COLUMN run json;"

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

PARKED_KEYS_OF_ANY_LENGTH = """
CREATE INDEX parked_key_hash ON parked (handler, md5(key), id);
DROP INDEX parked_key;
"""

ROWS_NAME_THEIR_TRANSPORT = "".join(f"ALTER TABLE outbox_{slot} ADD COLUMN transport text;" for slot in SLOTS) + (
    "ALTER TABLE timer ADD COLUMN transports text[];"
)

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
SELECT string_agg(name, ', ' ORDER BY name) FROM (
    SELECT name FROM unnest(
        ARRAY[{", ".join(f"'outbox_{slot}'" for slot in SLOTS)}, 'outbox_cursor', 'inbox', 'timer', 'parked']
    ) name WHERE NOT has_table_privilege(name, 'INSERT')
    UNION ALL SELECT 'outbox_id' WHERE NOT has_sequence_privilege('outbox_id', 'USAGE')
) lacking
"""  # noqa: S608 -- our own names

# -- write_events -- sent with COMMIT in one message, which takes no parameters; the order of ids is the order of rows.
_WRITE_EVENTS = "INSERT INTO outbox_{slot} (hash, channel, key, headers, payload, transport) VALUES "
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
WRITE_TIMER = """
INSERT INTO timer (id, due, channels, keys, headers, payloads, transports) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

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
) RETURNING id, due, channels, keys, headers, payloads, transports
"""

# -- turn_quickly -- every relay waits for the lock that is held here: it is not held by a client that is paused or cut
# off, nor while a table is searched that an index tells all of. See `planned_for_relays` for why the planner would.
TURN_QUICKLY = """
SET LOCAL idle_in_transaction_session_timeout = '2s'; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off
"""

# -- lock_ring -- one turns at a time, and not before it is due.
LOCK_RING = "SELECT slot FROM outbox_ring WHERE turned < clock_timestamp() - $1::interval FOR UPDATE SKIP LOCKED"

# -- lock_slot -- never waits: behind a waiting exclusive lock every writer would queue.
LOCK_SLOT = {slot: f"LOCK TABLE outbox_{slot} IN ACCESS EXCLUSIVE MODE NOWAIT" for slot in SLOTS}

# -- slot_is_needed -- whether a row is too young to go, or a relay, perhaps one yet to come, may still have to read it.
# A transaction that stays open for hours is no reason: what it has not written here is not here.
_SLOT_IS_NEEDED = """
SELECT EXISTS (SELECT 1 FROM outbox_{slot} WHERE id = (SELECT max(id) FROM outbox_{slot})
               AND written > clock_timestamp() - $1::interval)
    OR EXISTS (SELECT 1 FROM outbox_{slot}
               WHERE xid >= (SELECT pg_snapshot_xmax(done) AS seen FROM outbox_cursor ORDER BY seen LIMIT 1))
    OR EXISTS (SELECT 1 FROM outbox_{slot}
               WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(done) FROM outbox_cursor)))
    OR (EXISTS (SELECT 1 FROM outbox_{slot}) AND NOT EXISTS (SELECT 1 FROM outbox_cursor))
"""
SLOT_IS_NEEDED = {slot: _SLOT_IS_NEEDED.format(slot=slot) for slot in SLOTS}

# -- truncate_slot -- leaves no dead rows behind, however many there were.
TRUNCATE_SLOT = {slot: f"TRUNCATE outbox_{slot}" for slot in SLOTS}

# -- set_slot --
SET_SLOT = "UPDATE outbox_ring SET slot = $1, turned = clock_timestamp()"
