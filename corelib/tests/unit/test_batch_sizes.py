"""How large a batch for a topic becomes, by what the topic refuses, without a broker."""

from corelib.kafka.batches import LARGEST_BYTES, BatchSizes

HOUR = 3_600.0


class Topic:
    """Takes batches up to a size, and gets them as large as it is thought to take, at a time of its own."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.refusals = 0
        self.now = 0.0
        self.sizes = BatchSizes(lambda: self.now)

    def send(self) -> int:
        """Send a batch until one is taken; return its size."""
        while (size := self.sizes.of("notes")) > self.takes:
            self.sizes.refused("notes", size)
            self.refusals += 1
        return size

    def send_for(self, hours: int) -> int:
        """Send a batch a minute; return the size of the last."""
        for _ in range(hours * 60):
            self.now += 60
            self.send()
        return self.send()


def test_batches_become_as_large_again_as_the_topic_takes_them() -> None:
    topic = Topic(takes=150_000)
    learnt = topic.send()
    assert 75_000 < learnt <= 150_000
    topic.takes = LARGEST_BYTES
    assert topic.send() == learnt
    assert topic.send_for(hours=24) == LARGEST_BYTES


def test_a_topic_that_stays_narrow_refuses_a_batch_an_hour_at_most() -> None:
    topic = Topic(takes=150_000)
    learnt = topic.send()
    learning = topic.refusals
    assert topic.send_for(hours=24) == learnt
    assert topic.refusals - learning <= 24


def test_other_channels_are_not_made_to_suffer() -> None:
    sizes = BatchSizes()
    sizes.refused("notes", 400_000)
    assert (sizes.of("notes"), sizes.of("others")) == (200_000, LARGEST_BYTES)
