"""Sentences about a fact that are put together: a frame ("I forgot {it}.") around a name of the fact ("my dish").

A wording seen with one fact only teaches that fact; a frame met with all of them teaches what asking and telling are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from adapters.recipes.dialogues.grammar import expand, sentence_case

_ASKS_NOUN = (
    "What is {it}?",
    "[So|And|Now,|Ok,|Hey,] what was {it}?",
    "What was {it} again?",
    "Tell me {it}[, please|].",
    "[Please|] remind me of {it}.",
    "Do you [still|] [remember|know] {it}?",
    "Can you [still|] [name|say|recall] {it}?",
    "{it}, please.",
    "{it}?",
    "{it} was [what|which] again?",
    "And {it}?",
    "What about {it}?",
    "I forgot {it}.",
    "I can't think of {it}, can you?",
    "[Quick,|Quickly:|Question:|A test:] {it}?",
    "I told you {it}, [right|no|didn't I]? [Say it|Repeat it|Which is it].",
    "Help me out: {it}?",
    "Have you noted {it}?",
    "Did you write down {it}?",
    "Look up {it} for me.",
    "Look back in our chat for {it}.",
    "Let me hear {it}.",
    "Repeat {it} for me.",
    "Say {it} [once more|again|].",
    "What have you got down for {it}?",
    "What did I [say|tell you] about {it}?",
    "What do you know about {it}?",
    "I want to see if you [know|recall] {it}.",
    "Surely you didn't forget {it}?",
    "You do know {it}, don't you?",
    "My memory is bad. {it}?",
    "A friend asks for {it}. What do I answer?",
    "Someone wants to know {it}.",
    "Put {it} on my card.",
    "Fill in the form for me: {it}.",
    "Is {it} still in your head?",
    "Does {it} ring a bell?",
    "Give me {it}.",
    "Name {it}.",
    "How about {it}, any idea?",
)
_ASKS_CLAUSE = (
    "Do you [still|] [know|remember|recall] {it}?",
    "[Can|Would|Will] you tell me {it}[, please|]?",
    "Tell me {it}[, please|].",
    "Say {it}.",
    "Remind me {it}.",
    "[So|And|] {it}?",
    "I forgot {it}.",
    "I no longer know {it}.",
    "[Any idea|Got any idea] {it}?",
    "I wonder if you know {it}.",
    "Let's see if you know {it}.",
    "I told you {it}. [Well|So|Say it]?",
    "Did I mention {it}?",
    "Did I ever tell you {it}?",
    "[Have you noted|Did you note] {it}?",
    "Someone asks {it}. What's the answer?",
    "A form wants to know {it}.",
    "You should know by now {it}.",
    "Surely you know {it}?",
    "Explain to my friend {it}.",
    "I'd like to hear from you {it}.",
    "Are you sure you know {it}?",
    "Is it clear to you {it}?",
    "Show me that you know {it}.",
    "I want you to say {it}.",
)

_TELLS_NOUN = (
    "{it} is {v}.",
    "{it}: {v}.",
    "{it}? {v}[, of course|, clearly|].",
    "{v} is {it}.",
    "{v}. That's {it}.",
    "When it comes to {it}, I [say|answer] {v}.",
    "If anyone asks for {it}, say {v}.",
    "Put down {v} as {it}.",
    "Write this down: {it} is {v}.",
    "[You may note|Please save] {it}: {v}.",
    "[Let me|I want to] tell you {it}: {v}.",
    "For your notes, {it} is {v}.",
    "Somebody asked for {it} today, and I said {v}.",
    "I had to fill in a form, and for {it} I wrote {v}.",
    "I should mention {it}: {v}.",
    "Guess {it}! It's {v}.",
    "Did I mention {it}? {v}.",
    "Speaking of {it}: {v}.",
    "Keep {it} in mind: {v}.",
    "Here is {it}: {v}.",
    "You asked for {it}. It's {v}.",
    "It's no secret that {it} is {v}.",
    "I always forget to say {it}: {v}.",
    "{v}, by the way, is {it}.",
    "btw {it} is {v}",
)
_TELLS_CLAUSE = (
    "You want to know {it}? {v}.",
    "I'll tell you {it}: {v}.",
    "Let me say {it}: {v}.",
    "People ask me {it}. {v}, I say.",
    "Here's {it}: {v}.",
    "Guess {it}! {v}.",
    "Note {it}: {v}.",
    "Someone asked me {it}, and I said {v}.",
    "Did I say {it}? {v}.",
    "A form asked {it}. I wrote {v}.",
    "Remember {it}: {v}.",
    "I haven't said {it} yet. {v}!",
    "Ever wondered {it}? {v}.",
    "It's easy to say {it}: {v}.",
    "They know {it} by now: {v}.",
)


def asking(nouns: Sequence[str], clauses: Sequence[str], rng: random.Random) -> str:
    """A question for what these noun phrases ("my dish") and these clauses ("what I like to eat") name."""
    names, frames = rng.choice(((nouns, _ASKS_NOUN), (clauses, _ASKS_CLAUSE)))
    it = rng.choice(names)
    return sentence_case(expand(rng.choice(frames), rng, lambda _: it))


def telling(nouns: Sequence[str], clauses: Sequence[str], value: str, rng: random.Random) -> str:
    """A sentence that tells the value of what these noun phrases and these clauses name."""
    names, frames = rng.choice(((nouns, _TELLS_NOUN), (clauses, _TELLS_CLAUSE)))
    it = rng.choice([name for name in names if " you" not in name])
    return sentence_case(expand(rng.choice(frames), rng, {"it": it, "v": value}.__getitem__))
