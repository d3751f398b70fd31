"""Who relays which part of an outbox: one item, the roll, that every relay reads and rewrites under its version.

A relay that is at work counts its beat up on the roll. Whoever sees a beat stand still for the length of a lease, by
its own clock and nobody else's, strikes its holder off; so skewed clocks take nothing from anybody. Relays that come
take what is free up to a fair part, and give up what is more than that as soon as none of it is in hand.
"""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from botocore.exceptions import ClientError

from corelib.aws.clients import backoff
from corelib.aws.trouble import code_of
from corelib.dynamo.client import Client
from corelib.dynamo.items import Attribute, attribute, value_of
from corelib.dynamo.layout import SHARDS, key_of
from corelib.errors import LeaseLost, Unavailable

LEASE_SECONDS = 6.0
# Within this part of a lease since the last beat nobody can have taken over: they wait for all of it, and began later.
_CERTAIN = 2 / 3
_ATTEMPTS = 8


@dataclass(frozen=True)
class Roll:
    """The beats of the relays at work, and which shard is whose; `version` 0 is a roll that nobody has written."""

    version: int = 0
    beats: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[int, str] = field(default_factory=dict)

    def of(self, holder: str) -> frozenset[int]:
        """Return the shards of a relay."""
        return frozenset(shard for shard, owner in self.shards.items() if owner == holder)

    def with_beat(self, me: str, dead: AbstractSet[str] = frozenset()) -> "Roll":
        """Return the next roll: me at work, the dead struck off."""
        beats = {holder: beat for holder, beat in self.beats.items() if holder == me or holder not in dead}
        beats[me] = beats.get(me, 0) + 1
        shards = {shard: holder for shard, holder in self.shards.items() if holder in beats}
        return Roll(self.version + 1, beats, shards)

    def with_fair_part(self, me: str, busy: AbstractSet[int] = frozenset()) -> "Roll":
        """Return the roll with a fair part mine: filled up with what is free, surplus given up unless it is `busy`."""
        fair = -(-SHARDS // len(self.beats))
        mine = sorted(self.of(me), key=lambda shard: (shard not in busy, shard))
        surplus = {shard for shard in mine[fair:] if shard not in busy}
        shards = {shard: holder for shard, holder in self.shards.items() if shard not in surplus}
        free = [shard for shard in range(SHARDS) if shard not in self.shards]
        return replace(self, shards=shards | dict.fromkeys(free[: max(0, fair - len(mine))], me))

    def without(self, me: str) -> "Roll":
        """Return the next roll after a relay has left."""
        beats = {holder: beat for holder, beat in self.beats.items() if holder != me}
        return Roll(self.version + 1, beats, {shard: holder for shard, holder in self.shards.items() if holder != me})


async def roll_of(client: Client, table: str, relay: str) -> Roll:
    """Return a relay's roll as it is."""
    key = key_of("lease", relay, sort="lease")
    item = (await client.call("GetItem", TableName=table, Key=key, ConsistentRead=True)).get("Item", {})
    if "version" not in item:
        return Roll()
    shards = value_of(item["shards"])
    return Roll(value_of(item["version"]), value_of(item["beats"]), {int(n): shards[n] for n in shards})


class Shares:
    """One relay's part. Holding it is the fence: every acknowledgement is preceded by proof that it is still held."""

    def __init__(self, client: Client, table: str, relay: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._client = client
        self._table = table
        self.relay = relay
        self._lease_seconds = lease_seconds
        self._key = key_of("lease", relay, sort="lease")
        self._roll = Roll()
        self._still: dict[str, tuple[int, float]] = {}
        self._holder: str | None = None
        self._renewed = 0.0
        self.held: frozenset[int] = frozenset()

    async def acquire(self, holder: str, *, busy: AbstractSet[int] = frozenset()) -> frozenset[int]:
        """Take or renew a fair part; return the shards that were not held all the time since the last call."""
        return await self._beat(holder, lambda roll: roll.with_fair_part(holder, busy))

    async def confirm(self, shards: AbstractSet[int]) -> None:
        """Raise `LeaseLost` unless these are still held."""
        if self._holder is not None and _now() - self._renewed >= self._lease_seconds * _CERTAIN:
            await self._beat(self._holder, lambda roll: roll)
        if shards - self.held:
            raise LeaseLost(f"another relay {self.relay} has taken over, or may have")

    async def release(self) -> None:
        """Leave, so that others take over at once."""
        holder, self._holder, self.held = self._holder, None, frozenset()
        if holder is None:
            return
        for attempt in range(_ATTEMPTS):
            after = self._roll.without(holder)
            if await self._write(after):
                self._roll = after
                return
            self._see(await roll_of(self._client, self._table, self.relay))
            await backoff(attempt)

    async def _beat(self, holder: str, change: Callable[[Roll], Roll]) -> frozenset[int]:
        for attempt in range(_ATTEMPTS):
            began, before = _now(), self._roll
            after = change(before.with_beat(holder, self._dead()))
            if await self._write(after):
                kept = self.held & before.of(holder)
                self._holder, self._renewed, self._roll, self.held = holder, began, after, after.of(holder)
                return self.held - kept
            self._see(await roll_of(self._client, self._table, self.relay))
            self.held &= self._roll.of(holder)
            await backoff(attempt)
        raise Unavailable("dynamodb", f"the roll of relay {self.relay} keeps changing")

    def _dead(self) -> set[str]:
        """Return whose beat stood still for the length of a lease, as far as this relay has watched it."""
        now = _now()
        return {holder for holder, (_, since) in self._still.items() if now - since >= self._lease_seconds}

    def _see(self, roll: Roll) -> None:
        self._roll, now = roll, _now()
        known = self._still
        self._still = {
            holder: known[holder] if holder in known and known[holder][0] == beat else (beat, now)
            for holder, beat in roll.beats.items()
        }

    async def _write(self, roll: Roll) -> bool:
        item: Attribute = {
            **self._key,
            "version": attribute(roll.version),
            "beats": attribute(dict(roll.beats)),
            "shards": attribute({str(shard): holder for shard, holder in roll.shards.items()}),
        }
        try:
            await self._client.call(
                "PutItem",
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(#v) OR #v = :before" if roll.version == 1 else "#v = :before",
                ExpressionAttributeNames={"#v": "version"},
                ExpressionAttributeValues={":before": attribute(roll.version - 1)},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
