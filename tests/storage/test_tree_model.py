"""Random turns, branches, deletions and restarts against a plain-Python tree: the store never disagrees."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage import Store
from storage.records import Item, KnownPath
from tests.examples import examples
from tests.storage.worlds import ids, new_turn, user


class Tree(RuleBasedStateMachine):
    """The model: parent of each item in the order they were made, the active leaf, texts of replies."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.parents: dict[str, str | None] = {}
        self.leaf: str | None = None
        self.unfinished: list[str] = []
        self.count = 0
        self.known = KnownPath()

    @initialize()
    def open(self) -> None:
        self.store = self.runner.run(Store.open(Path(self.folder.name) / "chats.db"))
        self.runner.run(self.store.create_conversation("conv_1"))

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def pick(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.parents)))

    def path(self, leaf: str | None) -> list[str]:
        upward: list[str] = []
        while leaf is not None:
            upward.append(leaf)
            leaf = self.parents[leaf]
        return upward[::-1]

    def newest_leaf(self, leaf: str | None) -> str | None:
        while children := [name for name, parent in self.parents.items() if parent == leaf]:
            leaf = children[-1]
        return leaf

    async def paths(self) -> dict[str, tuple[Item, ...]]:
        """Each path read anew, and read from what another reader knows since before."""
        found = await asyncio.gather(*(self.store.path("conv_1", leaf) for leaf in self.parents))
        grown = await asyncio.gather(*(self.store.path("conv_1", leaf, self.known) for leaf in self.parents))
        assert [path.deleted for path in grown] == [path.deleted for path in found]
        assert [_as_seen(path) for path in grown] == [_as_seen(path) for path in found]
        if grown:
            self.known = grown[self.count % len(grown)]
        return {leaf: path.items for leaf, path in zip(self.parents, found, strict=True)}

    def grow(self, parent: str | None, *names: str) -> None:
        for name in names:
            self.parents[name] = parent
            parent = name
        self.leaf = parent

    def next_name(self) -> str:
        self.count += 1
        return str(self.count)

    @rule()
    def append(self) -> None:
        name = self.next_name()
        self.runner.run(self.store.append_items("conv_1", [user(name)]))
        self.grow(self.leaf, f"msg_{name}")

    @rule(at_root=st.booleans(), inputs=st.integers(0, 2))
    def turn(self, at_root: bool, inputs: int) -> None:
        name = self.next_name()
        asked = tuple(user(f"{name}_{n}") for n in range(inputs))
        self.runner.run(self.store.begin_turn(new_turn(name, inputs=asked, at_root=at_root)))
        self.grow(None if at_root else self.leaf, *(item.id for item in asked), f"msg_{name}_reply")
        self.unfinished.append(name)

    @precondition(lambda self: self.parents)
    @rule(data=st.data())
    def branch(self, data: st.DataObject) -> None:
        parent, name = self.pick(data), self.next_name()
        self.runner.run(self.store.begin_turn(new_turn(name, parent_item_id=parent)))
        self.grow(parent, f"msg_{name}", f"msg_{name}_reply")
        self.unfinished.append(name)

    @precondition(lambda self: self.parents)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        item = self.pick(data)
        self.runner.run(self.store.delete_item("conv_1", item))
        parent = self.parents.pop(item)
        self.parents = {name: parent if above == item else above for name, above in self.parents.items()}
        self.leaf = self.newest_leaf(parent) if self.leaf == item else self.leaf
        self.unfinished = [name for name in self.unfinished if f"msg_{name}_reply" != item]

    @precondition(lambda self: self.unfinished)
    @rule(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
    def finish(self, text: str) -> None:
        name = self.unfinished.pop(0)
        response = self.runner.run(self.store.finish_response(f"resp_{name}", "completed", text, [1] * len(text)))
        assert (response.text, response.delta_lengths) == (text, (1,) * len(text))

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(Store.open(Path(self.folder.name) / "chats.db"))
        interrupted = self.runner.run(self.store.interrupt_unfinished())
        assert sorted(interrupted) == sorted(f"resp_{name}" for name in self.unfinished)
        self.unfinished = []

    @invariant()
    def the_active_path_is_the_models(self) -> None:
        if hasattr(self, "store"):
            assert ids(self.runner.run(self.store.items("conv_1"))) == self.path(self.leaf)

    @invariant()
    def every_path_runs_by_position(self) -> None:
        paths = self.runner.run(self.paths())
        for leaf in self.parents:
            items = paths[leaf]
            positions = [item.position for item in items]
            assert ids(items) == self.path(leaf)
            assert positions == sorted(set(positions))


def _as_seen(path: KnownPath) -> list[tuple[str, int, str, str]]:
    return [(item.id, item.position, item.role, item.text) for item in path.items]


TestTree = Tree.TestCase
TestTree.settings = settings(
    max_examples=examples(10), stateful_step_count=12, suppress_health_check=[HealthCheck.too_slow]
)
