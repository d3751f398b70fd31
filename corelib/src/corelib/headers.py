"""Record headers as bytes: Kafka's own encoding (KIP-82, record format v2), so that a relay copies what a commit wrote.

Every outbox stores them so; whoever needs names and values unpacks them.
"""

from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]
_MORE = 0x80


def varint(value: int) -> bytes:
    """Return a signed integer as a zigzag varint (Protocol Buffers encoding)."""
    value = value << 1 if value >= 0 else (-value << 1) - 1
    encoded = bytearray()
    while value >= _MORE:
        encoded.append(value & 0x7F | _MORE)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


SMALL = tuple(varint(value) for value in range(16_384))
"""The varints of most lengths, ready made."""


def pack(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as they stand in a record: their number, then each name and value with its length."""
    pieces = [b""]
    for name, value in headers:
        raw, text = name.encode(), value.encode()
        pieces += (_length(raw), raw, _length(text), text)
    pieces[0] = SMALL[len(pieces) // 4]
    return b"".join(pieces)


def unpack(packed: bytes) -> Headers:
    """Return names and values. Raises `ValueError` for what `pack` did not write."""
    numbers = _Reader(packed)
    try:
        return tuple((numbers.text(), numbers.text()) for _ in range(numbers.length()))
    except IndexError as error:
        raise ValueError("these bytes are no packed headers") from error


class _Reader:
    """Walks through packed bytes."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._at = 0

    def length(self) -> int:
        """Return the next number; one below zero would lead back to bytes that were read before."""
        if (value := self._varint()) < 0:
            raise IndexError
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._packed[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & _MORE:
                return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        end = self.length() + self._at
        if end > len(self._packed):
            raise IndexError
        raw, self._at = self._packed[self._at : end], end
        return raw.decode()


def _length(raw: bytes) -> bytes:
    return SMALL[len(raw)] if len(raw) < len(SMALL) else varint(len(raw))
