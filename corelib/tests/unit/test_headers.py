"""Headers and batches are byte for byte what Kafka's format says, as aiokafka reads it."""

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from corelib.broker import Outgoing
from corelib.headers import pack, unpack, varint
from corelib.kafka.batches import encode

HEADERS = st.lists(st.tuples(st.text(max_size=300), st.text(max_size=300)), max_size=12)
ROWS = st.lists(
    st.builds(
        Outgoing,
        st.just("orders"),
        st.text(max_size=200),
        st.just(0),
        HEADERS.map(pack),
        st.one_of(st.binary(max_size=400), st.binary(min_size=20_000, max_size=20_100)),
    ),
    min_size=1,
    max_size=20,
)


@given(HEADERS)
def test_headers_come_back_as_they_went(headers: list[tuple[str, str]]) -> None:
    assert unpack(pack(headers)) == tuple(headers)


@given(st.binary(max_size=30))
def test_what_are_no_headers_is_refused(packed: bytes) -> None:
    try:
        unpack(packed)
    except ValueError:
        return
    assert packed


@pytest.mark.parametrize("packed", [varint(-1), varint(1) + varint(-1) * 2, varint(1 << 40) + varint(-1)])
def test_a_length_below_zero_is_refused_instead_of_read_again_and_again(packed: bytes) -> None:
    with pytest.raises(ValueError, match="no packed headers"):
        unpack(packed)


@pytest.mark.parametrize(("value", "encoded"), [(0, "00"), (-1, "01"), (1, "02"), (64, "8001"), (8192, "808001")])
def test_varints_are_protocol_buffers_zigzag(value: int, encoded: str) -> None:
    assert varint(value).hex() == encoded


@given(rows=ROWS, limit=st.integers(200, 30_000), transactional=st.booleans())
def test_a_batch_is_read_as_the_rows_it_was_made_of(rows: list[Outgoing], limit: int, *, transactional: bool) -> None:
    found = []
    for batch in encode(rows, limit, transactional=transactional):
        batch._set_producer_state(7, 3, 40)
        built = batch._build()
        assert len(built) <= limit or batch.record_count() == 1
        records = MemoryRecords(bytes(built)).next_batch()
        assert records.validate_crc()
        assert (records.producer_id, records.producer_epoch, records.base_sequence) == (7, 3, 40)
        assert records.is_transactional == transactional
        found += [(each.key, each.value, each.headers) for each in records]
    assert found == [
        (row.key.encode(), row.payload, [(name, value.encode()) for name, value in unpack(row.headers)]) for row in rows
    ]
