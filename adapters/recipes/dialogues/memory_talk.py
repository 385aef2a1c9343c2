"""Talk that memory is made of: facts told, corrected, asked for, checked, summed up, and last words repeated."""

from __future__ import annotations

import re

from adapters.recipes.dialogues.detail_talk import new_detail, note, question_and_answer
from adapters.recipes.dialogues.facts import Fact, FactKind, ask, fact_kinds, not_told
from adapters.recipes.dialogues.grammar import expand, sentence_case
from adapters.recipes.dialogues.knowledge import joined
from adapters.recipes.dialogues.reflection import reflection
from adapters.recipes.dialogues.sentences import asks_yes_or_no
from adapters.recipes.dialogues.slots import draw, draw_to_remember
from adapters.recipes.dialogues.small_talk import some, walk
from adapters.recipes.dialogues.talk import Talk
from adapters.recipes.dialogues.together import Telling, acknowledged, greeted, in_one_breath, words

YES_OR_NO, OPEN = "_after a question of yes or no", "_after an open question"
"""The topics with what may be said to the question with which something told is taken note of."""
_SUMMARY_ASK = (
    "What do you know about me?",
    "What do you remember about me?",
    "Tell me what you know about me.",
    "What have I told you about me?",
    "What have you learned about me?",
    "Do you remember anything about me?",
    "Do you know anything about me?",
    "What did I tell you about myself?",
    "Sum up what you know about me.",
)
_SUMMARY_NONE = (
    "Not much yet. You haven't told me anything about yourself.",
    "Nothing yet. Tell me something about you!",
    "You haven't told me anything about yourself yet.",
)
_OF_ONESELF = re.compile(r"\b(?:i|im|my|me|mine|we|us|our)\b", re.IGNORECASE)
_CORRECT_LEAD = (
    "Actually, ",
    "No, ",
    "Sorry, I meant ",
    "Wait, ",
    "I made a mistake, ",
    "Correction: ",
    "Oh, I mean ",
    "No, that's wrong, ",
)
_CORRECT_ACK = (
    "Oh, sorry. So {k}.",
    "Thanks for telling me. I will remember that {k}.",
    "I see, {k}. Thank you!",
    "Got it, {k}.",
    "My mistake! Now I know that {k}.",
)
_TOGETHER = 0.24
"""How often what is told is told with something else in one message."""
_GIVEN_BACK = 0.25
"""How often such a message is answered with its own words, where these can be turned."""
_REMEMBER_TELL = (
    "Remember that {k}.",
    "Please remember: {k}.",
    "Don't forget that {k}.",
    "You should know that {k}.",
    "Keep in mind that {k}.",
    "I want you to remember that {k}.",
    "Did I tell you that {k}?",
)
_REMEMBER_ACK = (
    "I will remember that {k}.",
    "All right, {k}. I won't forget.",
    "Okay, I'll keep in mind that {k}.",
    "Noted: {k}.",
    "Thanks, now I know that {k}.",
)
_CHECK_ASK = (
    "Is it right that {k}?",
    "Is it true that {k}?",
    "Did I say that {k}?",
    "Am I right that {k}?",
    "Do you remember if {k}?",
)
_SAID_ASK = (
    "What did I just say?",
    "What did I say?",
    "What was my last message?",
    "Can you repeat what I said?",
    "Repeat what I said.",
    "What did I just write?",
    "What did I say before?",
)
_SAID = ('You said: "{k}"', 'You wrote: "{k}"', 'Your last message was: "{k}"')
_PRONOUNS = {
    **dict.fromkeys(("sister", "mother", "daughter", "aunt", "grandmother", "wife"), "her"),
    **dict.fromkeys(("brother", "father", "son", "uncle", "grandfather", "husband"), "his"),
    **dict.fromkeys(("dog", "cat", "horse", "parrot", "hamster", "goldfish"), "its"),
    **dict.fromkeys(("friend", "teacher", "cousin", "neighbor", "roommate", "boss"), "their"),
}
_PRONOUN_ASK = (
    "What is {p} name?",
    "What's {p} name [again|]?",
    "Do you remember {p} name?",
    "[So|And|Quick,] what was {p} name?",
    "Can you tell me {p} name?",
    "What did I say {p} name was?",
    "{p} name is?",
    "Say {p} name.",
    "I forgot {p} name already.",
    "Did you get {p} name?",
)


def new_fact(talk: Talk, kind: FactKind | None = None) -> Fact:
    """A fact not told yet, with a value that no other fact of this talk has."""
    if kind is None:
        kinds = untold_kinds(talk)
        weights = [5 if each.name == "name" else 2 if each.slot in ("petname", "city") else 1 for each in kinds]
        kind = talk.rng.choices(kinds, weights)[0]
    fact = Fact(kind, value_for(talk, kind))
    talk.facts[kind.name] = fact
    return fact


def untold_kinds(talk: Talk) -> list[FactKind]:
    """The kinds of facts that were neither told nor said by the way."""
    return [kind for name, kind in fact_kinds().items() if name not in talk.facts and name not in talk.implied]


def value_for(talk: Talk, kind: FactKind) -> str:
    """A value that nothing told or taken back in this talk has, so that an answer is right for the right reason."""
    taken = talk.values | {talk.persona.me}
    value = draw_to_remember(kind.slot, talk.rng)
    for _ in range(20):
        if value not in taken:
            break
        value = draw_to_remember(kind.slot, talk.rng)
    talk.values.add(value)
    return value


def tell(talk: Talk) -> None:
    """A new fact told in one of three ways: alone, with other things, or to be remembered."""
    rng = talk.rng
    chance = rng.random()
    if chance < _TOGETHER:
        tell_together(talk)
        return
    fact = new_fact(talk)
    if chance < _TOGETHER + 0.08:
        user = expand(rng.choice(_REMEMBER_TELL), rng, lambda _: fact.first_person())
        answer = expand(rng.choice(_REMEMBER_ACK), rng, lambda _: fact.known())
        talk.exchange(user, answer, (fact.value,))
    else:
        talk.exchange(words(fact, rng), fact.ack(rng), (fact.value,))
        if fact.kind.name in _PRONOUNS and rng.random() < 0.2:
            ask_by_pronoun(talk, fact)
        elif (asked := talk.turns[-1]["content"]).endswith("?") and rng.random() < 0.3:
            walk(talk, some(talk, (YES_OR_NO if asks_yes_or_no(asked) else OPEN,)))


def tell_together(talk: Talk) -> None:
    """Two or three things told in one message; the first message often begins with a greeting and a name."""
    rng, is_first = talk.rng, not talk.turns
    name = fact_kinds()["name"]
    told: list[Telling] = []
    if name in untold_kinds(talk) and rng.random() < (0.6 if is_first else 0.15):
        told.append(new_fact(talk, name))
    while len(told) < 2 or (len(told) < 3 and rng.random() < 0.15):
        told.append(new_fact(talk) if rng.random() < 0.5 else note(talk, new_detail(talk)))
    message = in_one_breath(told, rng)
    if is_first and rng.random() < 0.6:
        message = greeted(message, rng)
    given_back = reflection(message, rng) if rng.random() < _GIVEN_BACK else None
    talk.exchange(message, given_back or acknowledged(told, rng), tuple(talk.values))


def ask_by_pronoun(talk: Talk, fact: Fact) -> None:
    """A question that names nobody, right after somebody was told of."""
    pronoun = _PRONOUNS[fact.kind.name]
    asked = expand(talk.rng.choice(_PRONOUN_ASK), talk.rng, lambda _: pronoun)
    talk.exchange(sentence_case(asked), fact.say(talk.rng))


def correct(talk: Talk) -> None:
    """The latest fact taken back and told anew."""
    told = [name for name in talk.facts if name not in talk.implied]
    if not told:
        return
    kind = talk.facts.pop(told[-1]).kind
    fact = new_fact(talk, kind)
    lead = talk.rng.choice(_CORRECT_LEAD)
    user = lead + (fact.first_person() + "." if talk.rng.random() < 0.7 else fact.value + ".")
    answer = expand(talk.rng.choice(_CORRECT_ACK), talk.rng, lambda _: fact.known())
    talk.exchange(user, answer, (fact.value,))


def ask_known(talk: Talk) -> None:
    """A question for something that was told, alone or in passing."""
    told: list[Telling] = [*talk.facts.values(), *talk.details]
    if not told:
        return
    match talk.rng.choice(told):
        case Fact() as fact:
            talk.exchange(ask(fact.kind, talk.rng), fact.say(talk.rng))
        case detail:
            talk.exchange(*question_and_answer(detail, talk.rng), tuple(detail.values.values()))


def ask_untold(talk: Talk) -> None:
    """A question for something that was never told, honestly answered."""
    kinds = untold_kinds(talk)
    weights = [4 if kind.slot in ("name", "petname") else 1 for kind in kinds]
    kind = talk.rng.choices(kinds, weights)[0]
    talk.exchange(ask(kind, talk.rng), not_told(kind, talk.rng))


def summary(talk: Talk) -> None:
    """Every fact that was told, in the order of telling; what was only said in passing is not summed up."""
    if not talk.facts and _has_told_of_oneself(talk):
        return
    facts = [fact.known() for fact in talk.facts.values()]
    lead = talk.rng.choice(("I know that ", "You told me that ", "", "I remember that "))
    answer = sentence_case(f"{lead}{joined(facts)}.") if facts else talk.rng.choice(_SUMMARY_NONE)
    talk.exchange(talk.rng.choice(_SUMMARY_ASK), answer)


def _has_told_of_oneself(talk: Talk) -> bool:
    return any(_OF_ONESELF.search(turn["content"]) for turn in talk.turns[::2])


def check(talk: Talk) -> None:
    """A claim about a told fact, right or wrong, confirmed or put right."""
    if not talk.facts:
        return
    rng = talk.rng
    fact = rng.choice(list(talk.facts.values()))
    claimed = fact if rng.random() < 0.5 else Fact(fact.kind, draw(fact.kind.slot, rng))
    user = expand(rng.choice(_CHECK_ASK), rng, lambda _: claimed.first_person())
    talk.exchange(user, f"{'Yes' if claimed.value == fact.value else 'No'}, {fact.known()}.", (claimed.value,))


def what_said(talk: Talk) -> None:
    """The user's latest message repeated word for word."""
    if talk.turns:
        said = talk.turns[-2]["content"]
        talk.exchange(talk.rng.choice(_SAID_ASK), expand(talk.rng.choice(_SAID), talk.rng, lambda _: said))
