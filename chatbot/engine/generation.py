"""One generation on its way through the engine, and what is told of it to who asked for it."""

from dataclasses import dataclass

from chatbot.engine.adapter_files import LoraAdapter
from chatbot.engine.base import Delta, Finish, GenerationFailed
from chatbot.engine.detokenize import ReplyText
from chatbot.engine.drafting import Drafter
from chatbot.engine.sampling import RowSampler
from chatbot.engine.scheduler import Row

Event = Delta | Finish | GenerationFailed
"""Any number of deltas, then one of the others."""


@dataclass(slots=True, eq=False, kw_only=True)
class Generation(Row):
    """A row with what it takes to turn its logits into text."""

    sampler: RowSampler
    text: ReplyText
    adapter: LoraAdapter | None = None
    drafter: Drafter | None = None
