"""Tables of documents, and what a service may ask of a store that keeps them: DynamoDB is one, and memory."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from corelib.store import Store
from corelib.transaction import Mark, Transaction

Item = dict[str, Any]
"""Values are str, int, bool, None, bytes, and lists and dicts of them. Not float: money and versions are integers."""


@dataclass(frozen=True)
class Index:
    """A global secondary index with every attribute; its keys are strings."""

    name: str
    key: str
    sort: str | None = None


@dataclass(frozen=True)
class Table:
    """A table; its keys are strings. `ttl` names the attribute with the epoch second of expiry."""

    name: str
    key: str
    sort: str | None = None
    indexes: Sequence[Index] = ()
    ttl: str | None = None
    stream: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its key attributes."""
        return (self.key,) if self.sort is None else (self.key, self.sort)

    def describe(self) -> dict[str, Any]:
        """Return it as data, for whoever creates it elsewhere."""
        return asdict(self)

    def key_of(self, item: Mapping[str, Any]) -> Item:
        """Return only the key attributes of an item. Raises `KeyError` where one is missing."""
        try:
            return {name: item[name] for name in self.keys}
        except KeyError as error:
            raise KeyError(f"{error} of table {self.name}: its key is {self.keys}, given was {[*item]}") from error


class Catalog:
    """The tables a service declared, by logical name."""

    def __init__(self, prefix: str, tables: Sequence[Table]) -> None:
        self.tables = {table.name: table for table in tables}
        self._prefix = prefix

    def find(self, table: Table | str) -> Table:
        """Return a declared table. Raises `LookupError` for one the service did not declare."""
        name = table if isinstance(table, str) else table.name
        if name not in self.tables:
            raise LookupError(f"table {name!r} is not declared in the store's tables=..., only {sorted(self.tables)}")
        return self.tables[name]

    def physical(self, table: Table) -> str:
        """Return the name that AWS knows."""
        return f"{self._prefix}{table.name}"


class DocumentTransaction(Transaction):
    """A unit of work on documents: buffers writes; nothing reaches the store before the end of the block."""

    @abstractmethod
    async def get(self, table: Table | str, key: Mapping[str, Any]) -> Item | None:
        """Return an item as this transaction sees it; `Conflict` at commit if another changes it meanwhile."""

    @abstractmethod
    def put(self, table: Table | str, item: Item, *, new: bool = False, version: int | None = None) -> None:
        """Write an item: `new` demands that there is none, `version` that the stored one has it (else `Conflict`)."""

    @abstractmethod
    def delete(self, table: Table | str, key: Mapping[str, Any], *, version: int | None = None) -> None:
        """Remove an item, of this version if one is given (else `Conflict`)."""

    @abstractmethod
    def check(self, table: Table | str, key: Mapping[str, Any], version: int) -> None:
        """Demand that an item has this version at commit (else `Conflict`), without writing it."""


def documents(tx: Transaction) -> DocumentTransaction:
    """Return a handler's transaction as what it is on a store of documents. Raises `TypeError` elsewhere."""
    if not isinstance(tx, DocumentTransaction):
        raise TypeError(f"documents need a transaction on documents, not a {type(tx).__name__}")
    return tx


class Tables(Protocol):
    """Tables of documents, outside any transaction. Every call raises `Unavailable` when they do not answer."""

    async def get(self, table: Table | str, key: Mapping[str, Any], *, consistent: bool = True) -> Item | None:
        """Return an item, or None."""
        ...

    async def get_many(
        self, table: Table | str, keys: Sequence[Mapping[str, Any]], *, consistent: bool = True
    ) -> list[Item]:
        """Return the items that exist, in no order; the keys must differ."""
        ...

    async def query(
        self,
        table: Table | str,
        *,
        key: Mapping[str, Any],
        index: str | None = None,
        limit: int | None = None,
        start: Item | None = None,
        forward: bool = True,
    ) -> tuple[list[Item], Item | None]:
        """Return a page of the items with these key values, and where the next page starts (None at the end)."""
        ...

    def scan(self, table: Table | str) -> AsyncIterator[Item]:
        """Yield every item; for audits and exports, not for requests."""
        ...

    async def put(self, table: Table | str, item: Item) -> None:
        """Write an item outside any transaction: for what publishes nothing, such as sessions."""
        ...

    async def delete(self, table: Table | str, key: Mapping[str, Any]) -> None:
        """Remove an item outside any transaction; a missing one is no error."""
        ...


class DocumentStore(Store, Tables, Protocol):
    """A store that keeps documents."""

    def transaction(
        self, *, mark: Mark | None = None, traceparent: str | None = None
    ) -> AbstractAsyncContextManager[DocumentTransaction]:
        """Open a unit of work, as any store does."""
        ...
