"""The SQL of what operators do: replay, audit, a new era. Beside `queries`, which is the services' own."""

from corelib.postgres.log_queries import HERE
from corelib.postgres.queries import SLOTS

# -- history_bounds -- the first and the last id that the ring keeps.
_BOUNDS = " UNION ALL ".join(f"SELECT min(id) AS first, max(id) AS last FROM outbox_{slot}" for slot in SLOTS)  # noqa: S608 -- our own names
HISTORY_BOUNDS = f"SELECT coalesce(min(first), 1), coalesce(max(last), 0) FROM ({_BOUNDS}) slots"  # noqa: S608 -- as above

# -- history -- rows that a relay has delivered, in pages by id; types and traces are looked for in the packed headers.
_HISTORY = """
(SELECT id, channel, key, headers, payload, written FROM outbox_{slot}
 WHERE id > $2 AND id <= $3 AND channel = ANY($4)
   AND ($5::timestamptz IS NULL OR written >= $5) AND ($6::timestamptz IS NULL OR written < $6)
   AND ($7::text[] IS NULL OR key = ANY($7))
   AND ($8::bytea[] IS NULL OR EXISTS (SELECT FROM unnest($8) needle WHERE position(needle IN headers) > 0))
   AND ($9::bytea[] IS NULL OR EXISTS (SELECT FROM unnest($9) needle WHERE position(needle IN headers) > 0))
   AND EXISTS (SELECT FROM outbox_cursor c WHERE relay = $1
               AND (pg_visible_in_snapshot(xid, c.done) OR pg_visible_in_snapshot(xid, c.tick) AND id <= c.tick_id))
 ORDER BY id LIMIT $10)
"""
HISTORY = f"{' UNION ALL '.join(_HISTORY.format(slot=slot) for slot in SLOTS)} ORDER BY id LIMIT $10"

# -- save_operation -- none where another run has written it last.
SAVE_OPERATION = """
INSERT INTO operation (id, kind, who, reason, details, began, progress, ended, run)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET progress = excluded.progress, ended = excluded.ended, run = excluded.run
WHERE operation.run IS NULL OR (operation.run->>'id')::uuid IN ((excluded.run->>'id')::uuid, $10) RETURNING true
"""

# -- find_operation --
FIND_OPERATION = "SELECT * FROM operation WHERE id = $1"

# -- list_operations -- ids are in order of time.
LIST_OPERATIONS = "SELECT * FROM operation ORDER BY id DESC"

# -- lock_outbox -- nobody writes, reads or relays while an era begins.
LOCK_OUTBOX = f"LOCK TABLE outbox_cursor, {', '.join(f'outbox_{slot}' for slot in SLOTS)} IN ACCESS EXCLUSIVE MODE"

# -- next_era -- its number, the table to write to, and whether a cursor comes from another cluster.
NEXT_ERA = """
SELECT era + 1, slot, EXISTS (SELECT FROM outbox_cursor WHERE split_part(database, '#', 1) <> system_identifier::text)
FROM outbox_ring, pg_control_system()
"""

# -- moved_rows --
MOVED_ROWS = "CREATE TEMP TABLE moved_rows (LIKE outbox_0, sent boolean NOT NULL) ON COMMIT DROP"

_ROWS = " UNION ALL ".join(f"SELECT *, xmin AS born FROM outbox_{slot}" for slot in SLOTS)  # noqa: S608 -- our own names

# -- collect_rows -- `born` is the transaction that wrote the row here: another than its `xid` if it was loaded.
COLLECT_ROWS = f"""
INSERT INTO moved_rows
SELECT xid, id, hash, channel, key, headers, payload, written, transport,
       coalesce(transport, route.relay) IS NULL
       OR coalesce((pg_visible_in_snapshot(xid, done) OR pg_visible_in_snapshot(xid, tick) AND id <= tick_id)
           AND (split_part(database, '#', 1) = system_identifier::text
                OR born::text::bigint <> xid::text::bigint & 4294967295), false)
FROM ({_ROWS}) rows
     LEFT JOIN unnest($1::text[], $2::text[]) AS route (channel, relay) USING (channel)
     LEFT JOIN outbox_cursor ON outbox_cursor.relay = coalesce(transport, route.relay)
     CROSS JOIN pg_control_system()
"""  # noqa: S608 -- our own names

# -- count_rows --
COUNT_ROWS = "SELECT count(*) FILTER (WHERE NOT sent), count(*) FILTER (WHERE sent) FROM moved_rows"

# -- rewrite_rows -- what was sent keeps its id under a number that every snapshot sees; the rest is written as if new.
_REWRITE_ROWS = """
TRUNCATE {tables};
INSERT INTO outbox_{slot} (xid, id, hash, channel, key, headers, payload, written, transport)
SELECT '3', id, hash, channel, key, headers, payload, written, transport FROM moved_rows WHERE sent ORDER BY id;
UPDATE outbox_cursor SET done = pg_current_snapshot(), done_floor = (SELECT last_value FROM outbox_id),
    done_next = pg_current_xact_id()::text::bigint, tick = NULL, tick_floor = NULL, tick_next = NULL,
    tick_number = tick_number + 1, tick_id = 0;
INSERT INTO outbox_{slot} (hash, channel, key, headers, payload, written, transport)
SELECT hash, channel, key, headers, payload, written, transport FROM moved_rows WHERE NOT sent ORDER BY id;
"""
REWRITE_ROWS = {
    slot: _REWRITE_ROWS.format(slot=slot, tables=", ".join(f"outbox_{each}" for each in SLOTS)) for slot in SLOTS
}

# -- new_era -- every lease ends, every receipt of before is void.
NEW_ERA = f"""
WITH era AS (UPDATE outbox_ring SET era = $1 RETURNING era)
UPDATE outbox_cursor SET holder = NULL, lease_until = '-infinity', fence = fence + 1, database = {HERE}
FROM era, pg_control_system()
"""  # noqa: S608 -- our own names

# -- relay_state -- a lease that was given up has no holder.
RELAY_STATE = "SELECT holder, lease_until, tick_number, tick_id FROM outbox_cursor WHERE relay = $1"

# -- overdue -- for how long the first timer has been due; by the clock that timers go by, see `fire_timers`.
OVERDUE = """
SELECT coalesce(extract(epoch FROM coalesce($1::timestamptz, now()) - min(due)), 0)::float8 AS seconds FROM timer
"""

# -- long_transactions -- those that lock an outbox table, which a dump does by reading it; and those that vacuum heeds:
# any in the cluster that has a number, and those here that have a snapshot.
LONG_TRANSACTIONS = f"""
SELECT pid, usename, datname, application_name, state, extract(epoch FROM now() - xact_start)::float8 AS seconds,
       holds_ring
FROM pg_stat_activity CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                   AND relation IN ({", ".join(f"'outbox_{slot}'::regclass" for slot in SLOTS)})) AS holds_ring) held
WHERE xact_start < now() - $1::interval AND pid <> pg_backend_pid()
  AND (holds_ring OR backend_xid IS NOT NULL OR backend_xmin IS NOT NULL AND datname = current_database())
ORDER BY xact_start
"""  # noqa: S608 -- our own names

# -- relays -- those that have a position, and so keep rows.
RELAYS = "SELECT relay FROM outbox_cursor ORDER BY relay"

# -- forget_relay -- not one that is at work.
FORGET_RELAY = "DELETE FROM outbox_cursor WHERE relay = $1 AND lease_until < now() RETURNING relay"

# -- ring_state -- how long ago it turned, and what it holds.
_SIZE = " + ".join(f"pg_total_relation_size('outbox_{slot}')" for slot in SLOTS)
RING_STATE = f"""
SELECT extract(epoch FROM clock_timestamp() - turned)::float8 AS seconds, {_SIZE} AS bytes FROM outbox_ring
"""  # noqa: S608 -- our own names

# -- database_age --
DATABASE_AGE = """
SELECT age(datfrozenxid) AS age, current_setting('autovacuum')::bool AS autovacuum,
       pg_has_role('pg_read_all_stats', 'MEMBER') AS sees_all
FROM pg_database WHERE datname = current_database()
"""

# -- keeping_rights -- what the role may not do of what turns the ring and keeps the inbox; DROP and ATTACH ask for an
# owner, and no GRANT of rights on a table makes one.
KEEPING_RIGHTS = f"""
SELECT current_user AS role, quote_ident(current_schema()) AS schema,
       has_schema_privilege(current_schema(), 'CREATE') AS may_create,
       ARRAY(SELECT name FROM unnest(ARRAY[{", ".join(f"'outbox_{slot}'" for slot in SLOTS)}]) name
             WHERE NOT has_table_privilege(name, 'TRUNCATE')) AS not_emptied,
       ARRAY(SELECT c.relname::text FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
             WHERE 'inbox'::regclass IN (c.oid, i.inhparent) AND c.relkind IN ('r', 'p')
               AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1) AS not_owned
"""  # noqa: S608 -- our own names
