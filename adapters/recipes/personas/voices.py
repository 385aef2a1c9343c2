"""Whether a reply is in a persona's voice, and the fixed prompts on which that is measured.

The judgement is by form alone and says nothing about whether the answer is right.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

from adapters.recipes.dialogues.sentences import sentences
from adapters.recipes.personas.rhyme import last_word, rhymes
from adapters.recipes.personas.sentences import words

PROMPTS = Path(__file__).with_name("prompts.toml")
PIRATE_TALK = re.compile(
    r"\b(?:ye|yer|aye|nay|arr+|yo ho|ahoy|avast|blimey|huzzah|matey|mateys|me hearty|sailor|sailors|landlubber|captain"
    r"|flint|pirate|crew|aboard|on deck|shipshape|fair winds|treasure|timbers"
    r"|friend of the sea|anchor|harbor|parrot|(?:I|she|he) be"
    r"|me (?:own |old )?(?:ship|crew|hat|parrot|heart|beard|map|name|log|cook|belly))\b",
    re.IGNORECASE,
)
VERSE_BREAK = re.compile(r"\s/\s|\n")
CLAUSE_BREAK = re.compile(r"[,;:.!?]+(?:\s|$)")

ENGLISH = re.compile(
    r"\b(?:the|an|is|are|was|i|you|he|she|it|we|they|my|your|not|do|does|have|to|of|and|in|on|at|what)\b"
)
ROMANCE = re.compile(
    r"\b(?:le|la|les|un|une|des|est|sont|suis|es|je|tu|il|elle|nous|vous|ils|mon|ma|ton|ta|votre|pas|ne|ai|avez|du|au"
    r"|que|qui|où|el|los|las|una|unos|soy|eres|está|estoy|estás|yo|él|ella|mi|su|lo|te|se|de|del|al|en|muy|tengo|tiene"
    r"|tienes|hay|bien|bonjour|merci|gracias|hola|buenos|días|por|para|con|ce|cette|dónde|por favor)\b"
)


def is_in_voice(persona: str, reply: str) -> bool:
    """Tell whether a reply sounds like the persona. Raises KeyError for a persona without a recogniser."""
    return RECOGNISERS[persona](reply.strip())


def is_piratical(reply: str) -> bool:
    """Tell whether a reply has a word or turn of speech that only a pirate uses."""
    return PIRATE_TALK.search(reply) is not None


def is_verse(reply: str) -> bool:
    """Tell whether two lines of a reply that follow each other rhyme; clauses count where no line break is told."""
    lines = [line for line in VERSE_BREAK.split(reply) if line.strip()]
    if len(lines) == 1:
        lines = [line for line in CLAUSE_BREAK.split(reply) if line.strip()]
    ends = [last_word(line) for line in lines]
    return any(rhymes(one, other) for one, other in pairwise(ends))


def asks_back(reply: str) -> bool:
    """Tell whether a reply says something and then ends with a question."""
    *before, last = sentences(reply) or [""]
    return last.endswith("?") and any(not sentence.endswith("?") for sentence in before)


def is_foreign(reply: str) -> bool:
    """Tell whether a reply has more common words of French or Spanish than of English."""
    text = reply.lower()
    return len(ROMANCE.findall(text)) > len(ENGLISH.findall(text))


RECOGNISERS: Mapping[str, Callable[[str], bool]] = {
    "pirate": is_piratical,
    "poet": is_verse,
    "tutor": asks_back,
    "translator": is_foreign,
}


@cache
def prompts(persona: str) -> tuple[str, ...]:
    """Return the fixed prompts of a persona's evaluation."""
    return tuple(tomllib.loads(PROMPTS.read_text(encoding="utf-8"))[persona])


def is_measured(persona: str, said: str) -> bool:
    """Tell whether something said is one of the fixed prompts of a persona, whatever its capitals and marks."""
    return words(said) in map(words, prompts(persona))
