"""Natural batching: what comes while a flush is under way is the next batch, and nobody's fault is another's."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.device import batcher
from muster.edges.device.batcher import MAXIMUM_BATCH_BYTES, MAXIMUM_BATCH_ITEMS, Batcher, Overloaded
from muster.storage.errors import Unavailable

T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """Something to write: *poison* makes its flush raise."""

    key: str
    number: int = 0
    size: int = 1
    poison: Exception | None = None


@dataclass
class Database:
    """Writes batches; while `gate` is closed a flush stays under way."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[list[Item]] = field(default_factory=list)
    written: list[Item] = field(default_factory=list)

    async def flush(self, items: list[Item]) -> list[str]:
        self.batches.append(items)
        self.begun.set()
        await self.gate.wait()
        for item in items:
            if item.poison is not None:
                raise item.poison
        self.written += items
        return [f"{item.key}{item.number}" for item in items]


@dataclass
class Stage:
    """A batcher before its database."""

    database: Database
    batcher: Batcher[Item, str]

    def submit(self, *items: Item) -> list[asyncio.Task[str]]:
        return [asyncio.create_task(self.batcher.submit(item)) for item in items]

    async def occupy(self) -> asyncio.Task[str]:
        """Have a flush under way, so that everything else waits."""
        (first,) = self.submit(Item("busy"))
        await self.database.begun.wait()
        return first

    def keys(self) -> list[str]:
        """The keys of each batch after the first."""
        return ["".join(item.key for item in batch) for batch in self.database.batches[1:]]


def play(scene: Callable[[Stage], Awaitable[T]]) -> T:
    async def main() -> T:
        database = Database()
        stage = Stage(database, Batcher(database.flush, key=lambda item: item.key, size=lambda item: item.size))
        async with asyncio.timeout(30):
            return await scene(stage)

    return asyncio.run(main())


def outcomes(tasks: list[asyncio.Task[str]]) -> Coroutine[object, object, list[str | BaseException]]:
    async def gather() -> list[str | BaseException]:
        return await asyncio.gather(*tasks, return_exceptions=True)

    return gather()


def test_idle_batcher_writes_each_item_at_once() -> None:
    async def scene(stage: Stage) -> list[list[Item]]:
        stage.database.gate.set()
        for key in "ab":
            assert await stage.batcher.submit(Item(key)) == f"{key}0"
        return stage.database.batches

    assert play(scene) == [[Item("a")], [Item("b")]]


def test_what_comes_while_a_flush_is_under_way_is_the_next_batch_sorted() -> None:
    async def scene(stage: Stage) -> tuple[list[str | BaseException], list[str]]:
        await stage.occupy()
        tasks = stage.submit(*map(Item, "cab"))
        await asyncio.sleep(0)
        stage.database.gate.set()
        return await outcomes(tasks), stage.keys()

    assert play(scene) == (["c0", "a0", "b0"], ["abc"])


def test_batch_holds_each_key_once_and_the_second_follows_in_order() -> None:
    async def scene(stage: Stage) -> tuple[list[str], list[int]]:
        await stage.occupy()
        tasks = stage.submit(Item("a", 1), Item("b", 1), Item("a", 2), Item("a", 3), Item("c", 1))
        await asyncio.sleep(0)
        stage.database.gate.set()
        await outcomes(tasks)
        return stage.keys(), [item.number for item in stage.database.written if item.key == "a"]

    assert play(scene) == (["abc", "a", "a"], [1, 2, 3])


def test_batch_is_bounded_by_count() -> None:
    async def scene(stage: Stage) -> list[int]:
        await stage.occupy()
        tasks = stage.submit(*(Item(f"{number:05}") for number in range(2 * MAXIMUM_BATCH_ITEMS + 1)))
        await asyncio.sleep(0)
        stage.database.gate.set()
        await outcomes(tasks)
        return [len(batch) for batch in stage.database.batches]

    assert play(scene) == [1, MAXIMUM_BATCH_ITEMS, MAXIMUM_BATCH_ITEMS, 1]


def test_batch_is_bounded_by_bytes_and_what_is_larger_goes_alone() -> None:
    half, huge = MAXIMUM_BATCH_BYTES // 2, 4 * MAXIMUM_BATCH_BYTES

    async def scene(stage: Stage) -> list[str]:
        await stage.occupy()
        items = [Item("a", size=half), Item("b", size=half), Item("c", size=1), Item("d", size=huge), Item("e")]
        tasks = stage.submit(*items)
        await asyncio.sleep(0)
        stage.database.gate.set()
        await outcomes(tasks)
        return stage.keys()

    assert play(scene) == ["ab", "ce", "d"]


def test_small_item_does_not_overtake_a_large_one_of_its_key() -> None:
    async def scene(stage: Stage) -> list[int]:
        await stage.occupy()
        tasks = stage.submit(Item("a"), Item("b", 1, size=MAXIMUM_BATCH_BYTES), Item("b", 2))
        await asyncio.sleep(0)
        stage.database.gate.set()
        await outcomes(tasks)
        return [item.number for item in stage.database.written if item.key == "b"]

    assert play(scene) == [1, 2]


def test_only_the_guilty_item_fails() -> None:
    fault = ValueError("ours")

    async def scene(stage: Stage) -> list[str | BaseException]:
        await stage.occupy()
        tasks = stage.submit(*map(Item, "abc"), Item("d", poison=fault), *map(Item, "efgh"))
        await asyncio.sleep(0)
        stage.database.gate.set()
        return await outcomes(tasks)

    assert play(scene) == ["a0", "b0", "c0", fault, "e0", "f0", "g0", "h0"]


def test_several_guilty_items_each_get_their_own_error() -> None:
    faults = [ValueError("one"), KeyError("two")]

    async def scene(stage: Stage) -> list[str | BaseException]:
        await stage.occupy()
        tasks = stage.submit(Item("a", poison=faults[0]), Item("b"), Item("c", poison=faults[1]))
        await asyncio.sleep(0)
        stage.database.gate.set()
        return await outcomes(tasks)

    assert play(scene) == [faults[0], "b0", faults[1]]


def test_unavailable_fails_the_whole_batch_without_trying_it_in_parts() -> None:
    down = Unavailable("down")

    async def scene(stage: Stage) -> tuple[list[str | BaseException], list[str]]:
        await stage.occupy()
        tasks = stage.submit(Item("a"), Item("b", poison=down), Item("c"))
        await asyncio.sleep(0)
        stage.database.gate.set()
        return await outcomes(tasks), stage.keys()

    assert play(scene) == ([down, down, down], ["abc"])


def test_batcher_goes_on_after_a_failure() -> None:
    async def scene(stage: Stage) -> str:
        stage.database.gate.set()
        with pytest.raises(Unavailable):
            await stage.batcher.submit(Item("a", poison=Unavailable("down")))
        return await stage.batcher.submit(Item("a"))

    assert play(scene) == "a0"


def test_flush_that_forgets_an_outcome_fails_its_items_instead_of_leaving_them_waiting() -> None:
    async def forgetful(items: list[Item]) -> list[str]:
        return [item.key for item in items if item.key != "b"]

    async def scene(stage: Stage) -> list[str | BaseException]:
        careless = Batcher(forgetful, key=lambda item: item.key, size=lambda item: item.size)
        return await asyncio.gather(*(careless.submit(Item(key)) for key in "abc"), return_exceptions=True)

    first, second, third = play(scene)
    assert (first, third) == ("a", "c")
    assert isinstance(second, AssertionError)


@pytest.mark.parametrize(("items", "sizes"), [(3, 1), (100, 60)])
def test_more_than_can_wait_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, items: int, sizes: int) -> None:
    monkeypatch.setattr(batcher, "MAXIMUM_WAITING_ITEMS", 3)
    monkeypatch.setattr(batcher, "MAXIMUM_WAITING_BYTES", 100)

    async def scene(stage: Stage) -> list[str | BaseException]:
        busy = await stage.occupy()
        tasks = stage.submit(*(Item(f"{number}", size=sizes) for number in range(4)))
        await asyncio.sleep(0)
        refused = [task for task in tasks if task.done()]
        stage.database.gate.set()
        await busy
        await outcomes(tasks)
        assert await stage.batcher.submit(Item("later")) == "later0"
        return await outcomes(refused)

    refused = play(scene)
    assert [type(error) for error in refused] == [Overloaded] * (1 if sizes == 1 else 3)


def test_item_whose_caller_is_gone_is_written_all_the_same() -> None:
    async def scene(stage: Stage) -> list[str]:
        await stage.occupy()
        gone, stays = stage.submit(Item("a"), Item("b"))
        await asyncio.sleep(0)
        gone.cancel()
        stage.database.gate.set()
        assert await stays == "b0"
        return [item.key for item in stage.database.written]

    assert play(scene) == ["busy", "a", "b"]


def test_caller_who_is_gone_while_its_batch_fails_spoils_nothing() -> None:
    async def scene(stage: Stage) -> str:
        await stage.occupy()
        gone, stays = stage.submit(Item("a", poison=ValueError()), Item("b"))
        await asyncio.sleep(0)
        gone.cancel()
        stage.database.gate.set()
        return await stays

    assert play(scene) == "b0"


def test_drain_returns_when_everything_is_written() -> None:
    async def scene(stage: Stage) -> int:
        await stage.occupy()
        tasks = stage.submit(*map(Item, "abcaab"))
        await asyncio.sleep(0)
        draining = asyncio.create_task(stage.batcher.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        stage.database.gate.set()
        await draining
        written = len(stage.database.written)
        await outcomes(tasks)
        return written

    assert play(scene) == 7


def test_drain_of_an_idle_batcher_returns_at_once() -> None:
    play(lambda stage: stage.batcher.drain())


_ITEMS = st.lists(
    st.builds(
        Item,
        st.sampled_from("abcdefgh"),
        st.integers(0, 99),
        st.sampled_from([0, 1, MAXIMUM_BATCH_BYTES // 3, MAXIMUM_BATCH_BYTES, 2 * MAXIMUM_BATCH_BYTES]),
        st.sampled_from([None, None, None, ValueError("poison")]),
    ),
    max_size=30,
)


@given(_ITEMS)
def test_every_item_is_answered_for_itself_and_each_key_in_order(items: list[Item]) -> None:
    async def scene(stage: Stage) -> list[Item]:
        await stage.occupy()
        tasks = stage.submit(*items)
        await asyncio.sleep(0)
        stage.database.gate.set()
        got = await outcomes(tasks)
        assert got == [item.poison or f"{item.key}{item.number}" for item in items]
        for batch in stage.database.batches:
            keys = [item.key for item in batch]
            assert keys == sorted(set(keys))
            assert len(batch) == 1 or sum(item.size for item in batch) <= MAXIMUM_BATCH_BYTES
        return stage.database.written[1:]

    written = play(scene)

    for key in "abcdefgh":
        of_key = [item for item in items if item.key == key and item.poison is None]
        assert [item for item in written if item.key == key] == of_key
