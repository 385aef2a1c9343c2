"""`/metrics`: what Prometheus reads. Replies, tokens, and how long people wait, all since the start of the server."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import Request
from starlette.responses import Response as HTTPResponse
from starlette.routing import Route

from chatbot.conversation.turn import Turns
from chatbot.engine.base import Engine
from storage.records import Response

WAITS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
PACES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """Counts the replies of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._replies = self._counter("replies", "Replies that have ended", "model", "status")
        self._prompt = self._counter("prompt_tokens", "Tokens of prompts")
        self._cached = self._counter("prompt_tokens_cached", "Those whose KV was kept and not computed again")
        self._generated = self._counter("generation_tokens", "Tokens of replies")
        self._first = self._histogram("time_to_first_token_seconds", "From the engine's getting a turn", WAITS_S)
        self._pace = self._histogram("time_per_output_token_seconds", "Between tokens, the mean of a reply", PACES_S)
        self._whole = self._histogram("reply_seconds", "From the engine's getting a turn to the last token", WAITS_S)

    def watch(self, turns: Turns, engine: Engine) -> None:
        """Tell from now on how many replies run, and whether the engine answers."""
        self._gauge("replies_running", "Replies that have begun").set_function(lambda: turns.running_count)
        self._gauge("ready", "Whether a turn would be answered").set_function(lambda: engine.health().is_ready)

    def note(self, response: Response) -> None:
        """Count a reply that has ended; only one that came to its own end has numbers."""
        self._replies.labels(response.model, response.state).inc()
        if (usage := response.usage) is None:
            return
        tokens, first_s, whole_s = usage["completion_tokens"], usage["first_token_s"], usage["total_s"]
        self._prompt.inc(usage["prompt_tokens"])
        self._cached.inc(usage["cached_tokens"])
        self._generated.inc(tokens)
        self._first.observe(first_s)
        self._whole.observe(whole_s)
        if tokens > 1:
            self._pace.observe((whole_s - first_s) / (tokens - 1))

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"chatbot_{name}", what, labels, registry=self.registry)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(f"chatbot_{name}", what, registry=self.registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"chatbot_{name}", what, buckets=buckets, registry=self.registry)


class MetricsRoutes:
    """The endpoint of `/metrics`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def routes(self) -> list[Route]:
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, _: Request) -> HTTPResponse:
        return HTTPResponse(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)
