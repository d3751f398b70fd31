"""Redelivery in memory, in virtual time: what is in the hand of one who died comes again."""

from datetime import timedelta

from corelib.clock import ManualClock
from corelib.memory.queue_server import Message, QueueServer
from corelib.message import Record

VISIBLE = timedelta(seconds=30)


def server(*keys: str, channel: str = "mails") -> tuple[QueueServer, ManualClock]:
    clock = ManualClock()
    server = QueueServer(clock=clock, visible=VISIBLE)
    for number, key in enumerate(keys):
        server.send(Record(channel, key, (("ce_id", str(number)),), b""))
    return server, clock


def ids(received: list[tuple[Message, int]]) -> list[str | None]:
    return [message.record.header("ce_id") for message, _ in received]


def test_what_is_in_hand_is_seen_again_after_its_time_and_not_before() -> None:
    queues, clock = server("a", "b")
    assert ids(queues.receive(["mails"], 10)) == ["0", "1"]
    clock.advance(VISIBLE - timedelta(milliseconds=1))
    assert queues.receive(["mails"], 10) == []
    clock.advance(timedelta(milliseconds=1))
    assert ids(queues.receive(["mails"], 10)) == ["0", "1"]


def test_a_receipt_is_good_until_the_message_was_delivered_again() -> None:
    queues, clock = server("a")
    (former,) = queues.receive(["mails"], 10)
    clock.advance(VISIBLE)
    queues.receive(["mails"], 10)
    assert not queues.show_in(*former, timedelta())
    queues.delete(*former)
    assert queues.receive(["mails"], 10) == []
    clock.advance(VISIBLE)
    assert ids(queues.receive(["mails"], 10)) == ["0"]


def test_who_says_in_time_that_it_is_at_work_keeps_the_message() -> None:
    queues, clock = server("a")
    (held,) = queues.receive(["mails"], 10)
    for _ in range(3):
        clock.advance(VISIBLE / 2)
        assert queues.show_in(*held, VISIBLE)
    assert queues.receive(["mails"], 10) == []
    queues.delete(*held)
    clock.advance(VISIBLE)
    assert queues.receive(["mails"], 10) == []


def test_a_fifo_queue_gives_a_key_in_order_also_when_it_comes_again() -> None:
    queues, clock = server("a", "a", "b", "a", channel="ledger.fifo")
    assert ids(queues.receive(["ledger.fifo"], 1)) == ["0"]
    assert ids(queues.receive(["ledger.fifo"], 10)) == ["2"]
    clock.advance(VISIBLE)
    assert ids(queues.receive(["ledger.fifo"], 10)) == ["0", "1", "2", "3"]


def test_a_standard_queue_gives_on_while_something_of_the_key_is_in_hand() -> None:
    queues, _ = server("a", "a")
    assert ids(queues.receive(["mails"], 1)) == ["0"]
    assert ids(queues.receive(["mails"], 1)) == ["1"]
