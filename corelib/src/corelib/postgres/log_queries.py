"""The SQL of relays: their leases and positions, and the rows between two moments of the outbox."""

from collections.abc import Sequence

from corelib.message import Transport
from corelib.postgres.queries import SLOTS

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

# -- read_page, read_tick -- PgQ's rule: what this snapshot sees and the last one did not. Nothing is skipped when ids
# commit out of order, and nothing waits for a transaction that is still open, here or in another database. Transactions
# that began after the last snapshot (`next` and above) have ids above its floor, so that a backlog of any size is read
# from the index on ids, in pages.
#
# A row names its transport, and with it its relay: one of a release that does not know the channel yet, or no longer,
# sends it all the same, as its position will be past it. Only rows that name none are told by their channels, and all
# rows are for a relay that is no transport's.
_WHOSE = "(transport = {relay} OR channel = ANY({channels}) AND (transport IS NULL OR {relay} NOT IN ({transports})))"


def _whose(relay: str, channels: str) -> str:
    return _WHOSE.format(relay=relay, channels=channels, transports=", ".join(f"'{each}'" for each in Transport))


_YOUNG = """
SELECT {columns} FROM outbox_{slot}
WHERE id > $1 AND xid >= $2::text::xid8 AND {mine} {seen} ORDER BY id LIMIT {limit}
"""
# The few that were under way at the last snapshot may have any id: they are found by the index on xid alone, which is
# what adding 0 to the id is for.
_UNDER_WAY = """
SELECT {columns} FROM outbox_{slot}
WHERE xid = ANY($4::text[]::xid8[]) AND {mine} {seen} {behind} ORDER BY id + 0 LIMIT {limit}
"""
_JUST_BEGUN = """
SELECT {columns} FROM outbox_{slot}
WHERE xid >= $5::text::xid8 AND xid < $2::text::xid8 AND {mine} {seen} {behind} ORDER BY id + 0 LIMIT {limit}
"""


def _all(queries: Sequence[str], **parts: str) -> str:
    parts["mine"] = _whose(relay="$6", channels="$3")
    return " UNION ALL ".join(f"({query.format(slot=slot, **parts)})" for query in queries for slot in SLOTS)


def _young_and_late(limit: str, **parts: str) -> str:
    """Return each in order of ids, first those that are young."""
    young, late = _all([_YOUNG], limit="$7", **parts), _all([_UNDER_WAY, _JUST_BEGUN], limit="$7", **parts)
    return f"({young} ORDER BY id LIMIT {limit}) UNION ALL ({late} ORDER BY id LIMIT {limit})"


_PAGE_BYTES = 64 * 1024 * 1024
SURE_ROWS = 256
"""So many rows are read whatever they hold: of the largest events they are a page."""

_COLUMNS = "channel, key, hash, headers, payload, id"
_OF_TICK = {"seen": "AND pg_visible_in_snapshot(xid, $8)", "behind": "AND id + 0 > $9"}
_OF_NOW = {"seen": "", "behind": ""}


def _fitting(**parts: str) -> str:
    """How many rows are read: as many as asked for, if they are not too large, which sizes alone tell beforehand."""
    sizes = _young_and_late("$7", columns="octet_length(payload) AS bytes, id", **parts)
    return f"""
    SELECT CASE WHEN $7 <= {SURE_ROWS} THEN $7
                WHEN (SELECT sum(bytes) FROM ({sizes}) AS sizes) > {_PAGE_BYTES} THEN {SURE_ROWS}
                ELSE $7 END AS fitting
    """  # noqa: S608 -- our own names


# -- read_page -- more of the open tick. The first row says how many rows at most are behind it.
READ_PAGE = f"""
WITH page AS MATERIALIZED ({_fitting(**_OF_TICK)})
SELECT NULL, NULL, NULL, NULL, NULL, NULL, fitting FROM page
UNION ALL
SELECT {_COLUMNS}, NULL FROM ({_young_and_late("(SELECT fitting FROM page)", columns=_COLUMNS, **_OF_TICK)}) AS rows
"""  # noqa: S608 -- our own names

# -- read_tick -- opens the next tick, in one statement: each costs what waits a round trip. The first row is the tick,
# behind it is what there is to read. A snapshot's xmax is one above the last *completed* transaction: some from there
# on may be under way, and `next`, a number taken after the snapshot, tells them from those that began later. The floor,
# the last id given to anyone, is read before `next` is taken: rows have ids only after their transaction has a number.
#
# What a crashed database had given to transactions that never committed, numbers and ids, it gives out again: a broker
# that remembers them would take new rows for old ones. So, where there is a row to send, a commit that waits for the
# disk, whatever the rows' writers did.
READ_TICK = f"""
WITH floor AS MATERIALIZED (SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS floor FROM outbox_id),
tick AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot, floor, pg_current_xact_id()::text AS next FROM floor),
page AS MATERIALIZED ({_fitting(**_OF_NOW)}),
kept AS MATERIALIZED (
    SELECT CASE WHEN EXISTS ({_all([_YOUNG, _UNDER_WAY, _JUST_BEGUN], columns="1", limit="1", **_OF_NOW)}) THEN
        set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)
        || pg_logical_emit_message(true, 'corelib', '') END
)
SELECT NULL, NULL, NULL, NULL, NULL, NULL, fitting, snapshot, floor, next FROM tick, page, kept
UNION ALL
SELECT {_COLUMNS}, NULL, NULL, NULL, NULL
FROM ({_young_and_late("(SELECT fitting FROM page)", columns=_COLUMNS, **_OF_NOW)}) AS rows
"""  # noqa: S608 -- our own names

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
   AND {mine} ORDER BY id LIMIT 1)
UNION ALL
(SELECT written FROM outbox_{slot}, c
 WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(done) FROM c)) AND {mine}
   AND (tick IS NULL OR NOT (pg_visible_in_snapshot(xid, tick) AND id <= tick_id)))
UNION ALL
(SELECT written FROM outbox_{slot}, c
 WHERE xid >= (SELECT pg_snapshot_xmax(done) FROM c) AND xid < (SELECT done_next::text::xid8 FROM c)
   AND {mine} AND (tick IS NULL OR NOT (pg_visible_in_snapshot(xid, tick) AND id <= tick_id)))
"""
OUTBOX_LAG = _LAG.format(
    oldest=" UNION ALL ".join(_OLDEST.format(slot=slot, mine=_whose(relay="$1", channels="$2")) for slot in SLOTS)
)
