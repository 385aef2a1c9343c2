"""Chat Completions: what the official client and those like it need, and nothing of it stays."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, InternalServerError
from openai.types.chat import ChatCompletionMessageParam

from chatbot.engine.base import GenerationFailed, Sampling
from tests.fake_engine import FakeEngine

CHAT: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are Ada."},
    {"role": "user", "content": "my name is Mira"},
    {"role": "assistant", "content": "Hello Mira"},
    {"role": "user", "content": "what is my name?"},
]
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hi"}]


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as openai:
        yield openai


async def test_the_model_sees_the_chat_that_was_given(client: AsyncOpenAI, engine: FakeEngine) -> None:
    told = await client.chat.completions.create(model="fake", messages=CHAT, temperature=0.1, max_tokens=9)
    assert told.choices[0].message.content == "you said: what is my name?"
    assert told.choices[0].finish_reason == "stop"
    assert told.usage is not None
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens
    (request,) = engine.requests
    assert [(message.role, message.text) for message in request.messages] == [
        (message["role"], message["content"]) for message in CHAT if "content" in message
    ]
    assert request.sampling == Sampling(temperature=0.1, max_tokens=9)


async def test_what_a_client_may_take_for_the_end_of_a_line_ends_none(client: AsyncOpenAI, engine: FakeEngine) -> None:
    engine.reply = lambda request: ["one\u2028two\u2029three\u0085four"]
    async with client.chat.completions.with_streaming_response.create(model="fake", messages=HI, stream=True) as answer:
        lines = [line async for line in answer.iter_lines() if line]
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert chunks[1]["choices"][0]["delta"] == {"content": "one\u2028two\u2029three\u0085four"}


async def test_a_stream_brings_the_role_the_pieces_the_reason_and_the_usage(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="fake", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    choices = [chunk.choices[0] for chunk in chunks[:-1]]
    assert choices[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in choices) == "you said: hi"
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all("usage" in chunk.model_fields_set and chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_nothing_is_stored_but_the_engine_may_remember_what_it_computed(
    http: httpx.AsyncClient, client: AsyncOpenAI, engine: FakeEngine
) -> None:
    told = await client.chat.completions.create(model="fake", messages=HI)
    response_id = told.id.replace("chatcmpl-", "resp_")
    while (await http.get(f"/v1/responses/{response_id}")).status_code != 404:  # deleted after its end was told
        pass
    assert (await http.get("/v1/conversations")).json()["data"] == []
    assert engine.requests[0].is_stateless
    assert engine.forgotten == []


async def test_without_instructions_a_persona_speaks_by_its_own(client: AsyncOpenAI, engine: FakeEngine) -> None:
    await client.chat.completions.create(model="fake", messages=HI)
    assert engine.requests[0].messages[0].text == "You are Ada, a friendly assistant."


async def test_a_reader_that_leaves_ends_its_reply(client: AsyncOpenAI, engine: FakeEngine) -> None:
    engine.free = 1
    stream = await client.chat.completions.create(model="fake", messages=HI, stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    while not engine.cancelled:
        await client.models.list()


async def test_a_failure_is_told_whole_or_in_the_stream(
    client: AsyncOpenAI, http: httpx.AsyncClient, engine: FakeEngine
) -> None:
    engine.reply = lambda request: ["half", GenerationFailed("broken")]
    with pytest.raises(InternalServerError, match="the model failed on this turn"):
        await client.chat.completions.create(model="fake", messages=HI)
    body = {"messages": HI, "stream": True}
    frames = (await http.post("/v1/chat/completions", json=body)).text.removesuffix("\n\n").split("\n\n")
    told: list[dict[str, Any]] = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
    assert told[1]["choices"][0]["delta"] == {"content": "half"}
    assert "usage" not in told[1]
    assert told[-1]["error"]["code"] == "generation_failed"
    assert frames[-1] == "data: [DONE]"


async def test_a_chat_that_cannot_fit_is_refused(client: AsyncOpenAI) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(BadRequestError) as refused:
        await client.chat.completions.create(model="fake", messages=long)
    assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
