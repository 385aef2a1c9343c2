"""One evaluation: the base's figures, those of each adapter on the same questions, and replies for a person to read."""

import asyncio
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.counted import counted
from adapters.errors import BadData, Problem
from adapters.evaluation.figures import Figures, by_group, figures
from adapters.evaluation.question import Chat, QuestionSet, as_chat, under
from adapters.evaluation.question_sets import question_sets
from adapters.evaluation.replies import REPLY_TOKENS, replies
from adapters.evaluation.translation import Pair, scores
from adapters.recipes.dialogues.personas import DEFAULT_SYSTEM
from adapters.recipes.personas.voices import RECOGNISERS, is_in_voice, prompts
from adapters.store import AdapterFolder
from chatbot.engine.base import ChatMessage, Engine

PROMPTS = Path(__file__).with_name("prompts.toml")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Shown:
    """A chat that everybody gets, with its reply, unjudged."""

    chat: Chat
    reply: str

    def as_dict(self) -> dict[str, Any]:
        turns = [{"role": message.role, "content": message.text} for message in self.chat]
        return {"messages": turns, "reply": self.reply}


@dataclass(frozen=True, slots=True)
class PersonaFigures:
    """What an adapter does to the figures, and how much it sounds like its persona."""

    figures: Figures
    drop: dict[str, float]
    """By how much each group of questions fell against the base, as a share."""
    voice: float | None
    """Share of replies to the persona's prompts that are in its voice; None without a recogniser or such replies."""
    voice_of_base: float | None
    """The same for the base's replies to the same prompts."""
    replies: list[Shown]
    translation: dict[str, dict[str, float]]
    """BLEU and chrF by subset of the pairs; empty without pairs."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "drop": self.drop,
            "voice": self.voice,
            "voice_of_base": self.voice_of_base,
            "translation": self.translation,
            "replies": [shown.as_dict() for shown in self.replies],
            **self.figures.as_dict(),
        }


@dataclass(slots=True)
class Evaluation:
    """All that was measured of one model."""

    model: str
    digest: str
    """Of the model's folder: what was measured holds for these weights alone."""
    count: int
    """Questions of each set."""
    base: Figures
    shown: list[Shown]
    personas: dict[str, PersonaFigures] = field(default_factory=dict)
    perplexity: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "digest": self.digest,
            "count": self.count,
            "base": self.base.as_dict(),
            "personas": {name: persona.as_dict() for name, persona in self.personas.items()},
            "perplexity": self.perplexity,
            "prompts": [shown.as_dict() for shown in self.shown],
        }


async def evaluate(
    engine: Engine, adapters: Sequence[AdapterFolder], count: int, say: Say, pairs: Sequence[Pair] = ()
) -> Evaluation:
    """Ask a started engine everything, once plain and once with each adapter; `say` hears what is going on.

    `pairs` are questions with reference answers, by which replies with an adapter are scored too. What is longer than
    the window with one of the system messages is not asked. Raises BadData if a pair is.
    """
    _require_room(engine, adapters, pairs)
    sets = _that_fit(engine, question_sets(count), [adapter.system for adapter in adapters])
    asked = sum(len(each.questions) for each in sets)
    say(f"{engine.base.name}: {asked} questions in {len(sets)} sets")
    base = await _figures(engine, sets, None, None)
    shown = await _shown(engine, _fixed_prompts(), None)
    found = Evaluation(engine.base.name, engine.base.digest, count, base, shown)
    for adapter in adapters:
        say(f"{adapter.reference}: the same questions")
        found.personas[adapter.reference] = await _persona(engine, adapter, sets, base, pairs)
    return found


async def _persona(
    engine: Engine, adapter: AdapterFolder, sets: Sequence[QuestionSet], base: Figures, pairs: Sequence[Pair]
) -> PersonaFigures:
    digest = await engine.load_adapter(adapter.path)
    mine = await _figures(engine, sets, adapter.system, digest)
    before, after = by_group(base.right), by_group(mine.right)
    has_voice = adapter.name in RECOGNISERS
    chats = [(ChatMessage("user", text),) for text in prompts(adapter.name)] if has_voice else []
    spoken = await _shown(engine, [_with_system(chat, adapter.system) for chat in chats], digest)
    plain = await _shown(engine, [_with_system(chat, DEFAULT_SYSTEM) for chat in chats], None)
    return PersonaFigures(
        figures=mine,
        drop={group: round(share - after[group], 4) for group, share in before.items()},
        voice=_voice(adapter.name, spoken) if spoken else None,
        voice_of_base=_voice(adapter.name, plain) if plain else None,
        replies=spoken,
        translation=await _translation(engine, adapter, digest, pairs),
    )


async def _figures(engine: Engine, sets: Sequence[QuestionSet], system: str | None, adapter: str | None) -> Figures:
    chats = [[under(question.chat, system, DEFAULT_SYSTEM) for question in each.questions] for each in sets]
    return figures(sets, [await replies(engine, asked, adapter) for asked in chats])


async def _shown(engine: Engine, chats: Sequence[Chat], adapter: str | None) -> list[Shown]:
    asked = [chat for chat in chats if _lacks(engine, chat) <= 0]
    return [Shown(chat, reply.text) for chat, reply in zip(asked, await replies(engine, asked, adapter), strict=True)]


async def _translation(
    engine: Engine, adapter: AdapterFolder, digest: str, pairs: Sequence[Pair]
) -> dict[str, dict[str, float]]:
    chats = [_with_system(pair.chat, adapter.system) for pair in pairs]
    return await asyncio.to_thread(scores, pairs, await replies(engine, chats, digest))


def _that_fit(engine: Engine, sets: Sequence[QuestionSet], systems: Sequence[str | None]) -> list[QuestionSet]:
    """Leave out the questions whose talk is longer than the window: nobody could know what stands before it.

    It counts with each of the system messages, for everybody gets the same questions.
    """
    distinct = {None, *systems}

    def fits(chat: Chat) -> bool:
        return all(_lacks(engine, under(chat, system, DEFAULT_SYSTEM)) <= 0 for system in distinct)

    return [QuestionSet(each.name, tuple(q for q in each.questions if fits(q.chat))) for each in sets]


def _require_room(engine: Engine, adapters: Sequence[AdapterFolder], pairs: Sequence[Pair]) -> None:
    """Raise BadData for pairs that are too long for the window, before anything is asked."""
    problems = [
        Problem(pair.file, pair.line, f"{counted(lacking, 'token')} too long for {adapter.reference} (cut it)")
        for adapter in adapters
        for pair in pairs
        if (lacking := _lacks(engine, _with_system(pair.chat, adapter.system))) > 0
    ]
    if problems:
        raise BadData(problems)


def _lacks(engine: Engine, chat: Chat) -> int:
    """Return how many tokens the window lacks for a chat and its reply; 0 or less if they fit."""
    return engine.count_tokens(chat) + REPLY_TOKENS - engine.base.context_tokens


def _with_system(chat: Chat, system: str | None) -> Chat:
    """Return a chat with this system message, unless it has its own."""
    return (ChatMessage("system", system), *chat) if system and chat[0].role != "system" else chat


def _voice(persona: str, shown: Sequence[Shown]) -> float:
    return round(sum(is_in_voice(persona, each.reply) for each in shown) / len(shown), 4)


def _fixed_prompts() -> list[Chat]:
    """Return the chats of the prompts file; each is a system message or none, then turns that end with the user's."""
    chats = tomllib.loads(PROMPTS.read_text("utf-8"))["chats"]
    roles = ("user", "assistant")
    return [
        _with_system(
            as_chat([{"role": roles[at % 2], "content": text} for at, text in enumerate(chat["turns"])]),
            chat.get("system", DEFAULT_SYSTEM),
        )
        for chat in chats
    ]
