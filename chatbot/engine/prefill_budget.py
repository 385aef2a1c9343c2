"""How much of the waiting prompts a step may compute, so that replies being streamed do not stall.

While replies stream, prompts get nearly as much time as the streams themselves, and no more than `prefill_s`: a token
then takes about twice as long as without them. When nothing streams, only the time to the first token counts, and a
step is as long as a cancel or a newcomer may wait. Pure.
"""

from chatbot.engine.prefill_rate import PrefillRate, smoothed

SMALLEST_CHUNK = 8
"""Tokens of a prompt that are computed at once however slow that is: fewer cost almost the same.

With 16 instead, the end of a prompt of 4000 stretched the p99 between tokens of 8 streams 2.8 times on a slow CPU."""
STREAM_SHARE = 0.8
"""Time for prompts, in times of the streams': with sampling and noise the p99 between tokens stays within 2.5 times."""
ALONE_FACTOR = 4
"""How many times `prefill_s` a step may take when nothing streams."""
UNMEASURED_WORK = 64.0
"""What the first step of all may do when nothing streams; it is measured. Beside streams it is the smallest chunk."""
CALM_STEPS = 64
"""Steps without lack of memory after which twice as many tokens are tried again."""


class PrefillBudget:
    """The budget of prompt work per step, and what is learnt from each step."""

    def __init__(self, parity: float, *, prefill_s: float, prefill_tokens: int) -> None:
        """parity: the position at which attention costs as much as the rest of the model.

        prefill_tokens: most tokens per step, however fast they are; what a step takes of memory grows with them.
        """
        self.rate = PrefillRate(parity)
        """Of steps without streams; what work is, is the same beside them."""
        self._rate_beside = PrefillRate(parity)
        """Apart, since the few tokens that are computed beside streams cost more each than many do."""
        self._prefill_s = prefill_s
        self._prefill_tokens = prefill_tokens
        self._decode_s: float | None = None
        self._calm_steps = 0
        self.most_tokens = prefill_tokens
        """Most tokens in a step now: fewer than allowed for a while after memory ran out."""

    @property
    def is_short_of_memory(self) -> bool:
        return self.most_tokens < self._prefill_tokens

    def work(self, *, is_streaming: bool) -> float:
        """Return the work for the next step, given whether replies are being streamed."""
        if not is_streaming:
            return self.rate.work_within(ALONE_FACTOR * self._prefill_s) or UNMEASURED_WORK
        share_s = self._prefill_s if self._decode_s is None else STREAM_SHARE * self._decode_s
        return self._rate_beside.work_within(min(self._prefill_s, share_s)) or SMALLEST_CHUNK

    def note_prefill(self, work: float, seconds: float, *, is_streaming: bool) -> None:
        """Learn from prompt chunks that were computed together."""
        (self._rate_beside if is_streaming else self.rate).note(work, seconds)
        self._calm_steps += 1
        if self._calm_steps >= CALM_STEPS:
            self.most_tokens = min(self._prefill_tokens, 2 * self.most_tokens)
            self._calm_steps = 0

    def note_decode(self, seconds: float) -> None:
        """Learn from a step of the replies that are being streamed."""
        self._decode_s = smoothed(self._decode_s, seconds)

    def note_out_of_memory(self, tokens: int) -> None:
        """Allow only half of the tokens that were too many, until a while has passed."""
        self._calm_steps = 0
        self.most_tokens = min(self.most_tokens, max(tokens // 2, SMALLEST_CHUNK))
