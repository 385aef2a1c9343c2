"""The registry holds one row for each version of each persona."""

from storage import Store
from storage.records import AdapterRecord


async def test_a_version_is_replaced_and_others_stay(store: Store) -> None:
    old = AdapterRecord("pirate", 1, "old", "base", "/a/pirate/1", {"loss": 2.5})
    new = AdapterRecord("pirate", 1, "new", "base", "/a/pirate/1")
    second = AdapterRecord("pirate", 2, "two", "base", "/a/pirate/2")
    other = AdapterRecord("bard", 1, "bard", "base", "/a/bard/1")
    await store.register_adapters([])
    await store.register_adapters([old, second])
    assert await store.adapters() == [old, second]
    await store.register_adapters([new, other])
    assert await store.adapters() == [other, new, second]


async def test_the_last_of_equal_versions_counts(store: Store) -> None:
    records = [AdapterRecord("pirate", 1, digest, "base", "/a") for digest in ("one", "two")]
    await store.register_adapters(records)
    assert await store.adapters() == records[1:]
