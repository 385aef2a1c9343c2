"""The user's own sentence given back: "my flight was late" answered with "Your flight was late, I see. What happened?".

What an answer can always be made of, whatever is told: the way of ELIZA (Weizenbaum, "ELIZA - a computer program for
the study of natural language communication between man and machine", 1966).
"""

from __future__ import annotations

import random
import re

from adapters.recipes.dialogues.grammar import sentence_case
from adapters.recipes.dialogues.sentences import sentences

_LONGEST = 15
"""Words that a sentence may have to be given back."""
_OWN = re.compile(r"(?:I|I'm|I've|I'd|I'll|My|We|We're|We've|We'll|Our)\b", re.IGNORECASE)
_OPINION = re.compile(
    r"I(?:'ve)? (?:\w+ )?(?:agree|believe|bet|can't|didn't|don't|guess|heard?|hope|know|mean|see|think|wonder)\b"
    r"|I(?:'ll| \w+'?ll| will| do| did| am| have)$",
    re.IGNORECASE,
)
"""What only answers another, or is about something said before."""
_GRAVE = re.compile(
    r"\b(?:die[ds]?|dying|dead|kill\w*|suicid\w*|hurts?|hate|sex\w*|porn|drunk|drugs?|guns?|fat|hell|damn|shit)\b",
    re.IGNORECASE,
)
"""What needs more than to be given back."""
_SPOKEN_TO = re.compile(r"\b(?:you|your|yours|yourself|u|ur|let's|lets)\b|[?\"():]", re.IGNORECASE)
_CUT = re.compile(r"\b(?:too|either|yes|no|yeah|and|but|or|so|because|that|if)$|\bI \w+ I\b", re.IGNORECASE)
_CLAUSE_END = re.compile(
    r",? (?:and|but|because|so|since|which|though|while|when) (?=(?:I|it|my|we|he|she|they)\b)|; | - "
)
_SECOND = {
    **{"i": "you", "me": "you", "we": "you", "us": "you", "am": "are", "my": "your", "our": "your", "mine": "yours"},
    **{
        "ours": "yours",
        "myself": "yourself",
        "ourselves": "yourselves",
        "im": "you're",
        "ive": "you've",
        "i'm": "you're",
    },
    **{"i've": "you've", "i'd": "you'd", "i'll": "you'll", "we're": "you're", "we've": "you've", "we'll": "you'll"},
}
_WORD = re.compile(r"[A-Za-z']+")
_WAS = re.compile(r"\bI was(n't)?\b", re.IGNORECASE)
_FRAMES = (
    *("So {r}. {ask}", "{r}, I see. {ask}", "{r}? {ask}", "{r}! {ask}", "Ah, {r}. {ask}", "Oh, {r}! {ask}"),
    *("So {r}.", "{r}, I see.", "I see, {r}.", "Ah, {r}.", "All right, {r}.", "Okay, {r}."),
    *("So {r}. {say}", "{r}, I see. {say}", "I hear you: {r}. {say}"),
)
_ASKS = (
    *("What is that like?", "How do you feel about it?", "What happened?", "How did that come about?", "Tell me more!"),
    *("What do you make of it?", "Is that good or bad for you?", "How is that going?", "Do you want to tell me more?"),
    *("What else?", "How come?", "Is there a story behind it?", "What does it mean to you?", "And what comes next?"),
    *("Are you happy with that?", "Is that new?", "Would you like to say more?"),
)
_SAYS = (
    *("Thank you for telling me.", "I'm listening.", "Go on, I'm all ears.", "Good to know.", "I didn't know that."),
    *("I'd like to hear more about that.", "I'll keep that in mind.", "I follow."),
)


def reflected(text: str) -> str | None:
    """The first sentence that speaks of the user, as said to him, without its mark; None where none can be turned."""
    for sentence in sentences(text):
        clause = _CLAUSE_END.split(sentence.strip(" .!"))[0].strip(" ,.!")
        words = clause.split()
        if _OWN.match(clause) and 3 <= len(words) <= _LONGEST and not _is_unfit(clause):
            return _WORD.sub(_turned, _WAS.sub(r"you were\1", clause))
    return None


def reflection(text: str, rng: random.Random) -> str | None:
    """An answer that gives the user's words back, often with a question; None where they cannot be turned."""
    told = reflected(text)
    if told is None:
        return None
    parts = {"r": told, "ask": rng.choice(_ASKS), "say": rng.choice(_SAYS)}
    return sentence_case(rng.choice(_FRAMES).format_map(parts))


def _is_unfit(clause: str) -> bool:
    return bool(_OPINION.match(clause) or any(each.search(clause) for each in (_GRAVE, _SPOKEN_TO, _CUT)))


def _turned(match: re.Match[str]) -> str:
    word = match.group()
    return _SECOND.get(word.lower(), word)
