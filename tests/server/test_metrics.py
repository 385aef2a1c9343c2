"""What Prometheus reads of a server, by Prometheus's own parser."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatbot.engine.base import GenerationFailed
from tests.fake_engine import FakeEngine


async def told(http: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
    """Return the samples by their names and the values of their labels."""
    text = (await http.get("/metrics")).raise_for_status().text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


async def test_replies_and_tokens_are_counted(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    usage = (await http.post("/v1/responses", json={"input": "hi"})).json()["usage"]
    engine.reply = lambda request: [GenerationFailed("broken")]
    await http.post("/v1/responses", json={"input": "hi"})
    samples = await told(http)
    assert samples["chatbot_replies_total", "fake", "completed"] == 1
    assert samples["chatbot_replies_total", "fake", "failed"] == 1
    assert samples["chatbot_prompt_tokens_total",] == usage["input_tokens"]
    assert samples["chatbot_generation_tokens_total",] == usage["output_tokens"]
    assert samples["chatbot_time_to_first_token_seconds_count",] == 1
    assert samples["chatbot_reply_seconds_count",] == 1


async def test_a_reply_is_running_until_its_end(http: httpx.AsyncClient, engine: FakeEngine) -> None:
    engine.free = 0
    created = (await http.post("/v1/responses", json={"input": "hi", "background": True})).json()
    assert (await told(http))["chatbot_replies_running",] == 1
    engine.gate.set()
    await http.get(f"/v1/responses/{created['id']}", params={"stream": "true"})
    assert (await told(http))["chatbot_replies_running",] == 0


@pytest.mark.parametrize(("trouble", "is_ready"), [("", 1), ("stuck", 0)])
async def test_an_engine_in_trouble_is_told(
    http: httpx.AsyncClient, engine: FakeEngine, trouble: str, is_ready: int
) -> None:
    engine.trouble = trouble
    assert (await told(http))["chatbot_ready",] == is_ready
    engine.trouble = ""
