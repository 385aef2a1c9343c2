import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters import published
from adapters.store import AdapterStore
from chatbot.conversation.personas import Personas
from chatbot.engine.digest import adapter_folder_digest
from chatbot.protocol.errors import InvalidRequest, NotFound
from tests.fake_engine import FakeEngine
from tests.tiny import make_tiny_adapter, make_tiny_model


@dataclass
class World:
    """A store in which a test publishes adapters, and the personas over it."""

    root: Path
    engine: FakeEngine = field(default_factory=FakeEngine)

    def __post_init__(self) -> None:
        self.store = AdapterStore([self.root / "adapters"])
        self.personas = Personas(self.engine, self.store)
        self.base = make_tiny_model(self.root / "base")

    def publish(self, name: str, *, base_digest: str = "digest-of-fake", seed: int = 0) -> None:
        def fill(folder: Path, version: int) -> None:
            made = make_tiny_adapter(self.base, self.root / f"{name}-{version}", seed=seed)
            for file in made.iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
            (folder / "base.json").write_text(f'{{"name": "fake", "digest": "{base_digest}"}}')
            (folder / "persona.toml").write_text(
                f'name = "{name}"\nsystem = "You are a {name}."\n[sampling]\ntemperature = 0.1\n'
            )

        self.store.publish(name, fill)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_base_model_answers_by_its_name_or_by_none(world: World) -> None:
    assert await world.personas.resolve(None) == await world.personas.resolve("fake") == world.personas.base


async def test_a_persona_brings_its_system_prompt_and_sampling(world: World) -> None:
    world.publish("pirate")
    pirate = await world.personas.resolve("pirate")
    assert (pirate.system, dict(pirate.sampling), pirate.version) == ("You are a pirate.", {"temperature": 0.1}, 1)


async def test_a_version_published_while_the_server_runs_is_used_at_once(world: World) -> None:
    world.publish("pirate")
    first = await world.personas.resolve("pirate")
    world.publish("pirate", seed=1)
    second = await world.personas.resolve("pirate")
    assert (first.version, second.version) == (1, 2)
    assert first.digest != second.digest
    assert await world.personas.resolve("pirate@v1") == first


async def test_a_version_is_hashed_once_and_holds_nobody_else_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    others_go_on = threading.Event()

    def slow(folder: Path) -> str:
        hashed.append(folder)
        assert others_go_on.wait(10)
        return adapter_folder_digest(folder)

    world.publish("pirate")
    monkeypatch.setattr(published, "adapter_folder_digest", slow)
    personas = Personas(world.engine, AdapterStore([world.root / "adapters"]))  # which has not seen it so far
    asked = [asyncio.create_task(personas.resolve("pirate")) for _ in range(3)]
    while not hashed:
        await asyncio.sleep(0)
    others_go_on.set()
    assert {persona.version for persona in await asyncio.gather(*asked)} == {1}
    assert len(hashed) == 1


async def test_a_persona_of_another_base_is_not_offered_and_says_why(world: World) -> None:
    world.publish("pirate", base_digest="another")
    assert [persona.name for persona in await world.personas.all()] == ["fake"]
    with pytest.raises(InvalidRequest) as caught:
        await world.personas.resolve("pirate")
    assert caught.value.code == "model_mismatch"


async def test_a_newer_version_on_another_base_does_not_hide_one_that_fits(world: World) -> None:
    world.publish("pirate")
    world.publish("pirate", base_digest="another")
    assert (await world.personas.resolve("pirate")).version == 1
    assert [persona.version for persona in await world.personas.all()] == [None, 1]


async def test_of_a_long_name_that_nobody_has_only_the_beginning_is_told(world: World) -> None:
    with pytest.raises(NotFound) as caught:
        await world.personas.resolve("x" * 200_000)
    assert caught.value.message == f"no model or persona is called {'x' * 60!r}; known are fake"


async def test_an_unknown_name_is_answered_with_the_nearest(world: World) -> None:
    world.publish("pirate")
    with pytest.raises(NotFound, match="did you mean 'pirate'"):
        await world.personas.resolve("pirrate")


async def test_an_adapter_is_loaded_once(world: World) -> None:
    world.publish("pirate")
    pirate = await world.personas.resolve("pirate")
    world.engine.digest_of = lambda folder: pirate.digest or ""
    async with world.personas.loaded(pirate) as first, world.personas.loaded(pirate) as second:
        assert first == second == pirate.digest
    assert len(world.engine.loaded) == 1
    async with world.personas.loaded(world.personas.base) as nothing:
        assert nothing is None


async def test_a_replaced_adapter_is_freed_once_no_reply_holds_it(world: World) -> None:
    world.engine.digest_of = lambda folder: next(found.digest for found in world.store.scan() if found.path == folder)
    for seed in range(3):
        world.publish("pirate", seed=seed)
    personas = [await world.personas.resolve(f"pirate@v{version}") for version in (1, 2, 3)]
    first, second, third = (persona.digest for persona in personas)
    async with world.personas.loaded(personas[0]):
        async with world.personas.loaded(personas[1]):
            pass
        async with world.personas.loaded(personas[2]):
            assert world.engine.unloaded == [second]  # the first is still spoken with
    world.publish("poet", seed=7)
    async with world.personas.loaded(await world.personas.resolve("poet")):
        assert world.engine.unloaded == [second, first]
    async with world.personas.loaded(personas[2]):
        pass
    assert third not in world.engine.unloaded
