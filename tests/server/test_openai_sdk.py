"""The official client, unchanged, as a black box."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI, NotFoundError

from tests.fake_engine import FakeEngine


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as openai:
        yield openai


async def test_a_websocket_streams_and_chains_by_conversation(client: AsyncOpenAI, engine: FakeEngine) -> None:
    conversation = await client.conversations.create()
    async with client.responses.connect() as connection:
        for text in ("my name is Mira", "what is my name?"):
            await connection.response.create(model="fake", input=text, conversation=conversation.id)
            streamed = ""
            async for event in connection:
                if event.type == "response.output_text.delta":
                    streamed += event.delta
                elif event.type == "response.completed":
                    assert event.response.output_text == streamed == f"you said: {text}"
                    break
    assert [message.text for message in engine.requests[-1].messages] == [
        "You are Ada, a friendly assistant.",
        "my name is Mira",
        "you said: my name is Mira",
        "what is my name?",
    ]


async def test_http_streams_the_same_events(client: AsyncOpenAI) -> None:
    stream = await client.responses.create(model="fake", input="hi", stream=True)
    types = [event.type async for event in stream]
    assert types[0] == "response.created"
    assert types.count("response.output_text.delta") == 3
    assert types[-1] == "response.completed"


async def test_the_streaming_helper_builds_the_final_response(client: AsyncOpenAI) -> None:
    async with client.responses.stream(model="fake", input="hi") as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_response()).output_text == "you said: hi"


async def test_responses_chain_retrieve_list_and_delete(client: AsyncOpenAI) -> None:
    first = await client.responses.create(model="fake", input="one")
    second = await client.responses.create(model="fake", input="two", previous_response_id=first.id)
    assert (await client.responses.retrieve(second.id)).previous_response_id == first.id
    items = await client.responses.input_items.list(second.id)
    assert len(items.data) == 1
    await client.responses.delete(second.id)
    with pytest.raises(NotFoundError):
        await client.responses.retrieve(second.id)


async def test_a_stream_is_resumed_by_sequence_number(client: AsyncOpenAI) -> None:
    made = await client.responses.create(model="fake", input="hi there")
    stream = await client.responses.retrieve(made.id, stream=True, starting_after=4)
    numbers = [event.sequence_number async for event in stream]
    assert numbers == list(range(5, 12))


async def test_conversations_and_their_items(client: AsyncOpenAI) -> None:
    conversation = await client.conversations.create(
        items=[{"type": "message", "role": "user", "content": "hi"}], metadata={"a": "b"}
    )
    await client.conversations.items.create(
        conversation.id, items=[{"type": "message", "role": "user", "content": "more"}]
    )
    items = [item async for item in await client.conversations.items.list(conversation.id, order="asc")]
    assert len(items) == 2
    assert (await client.conversations.update(conversation.id, metadata={"a": "c"})).metadata == {"a": "c"}
    await client.conversations.delete(conversation.id)
    with pytest.raises(NotFoundError):
        await client.conversations.retrieve(conversation.id)


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert [model.id async for model in await client.models.list()] == ["fake"]
