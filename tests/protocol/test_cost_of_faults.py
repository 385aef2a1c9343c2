from typing import Any

import pytest
from pydantic import ValidationError

from chatbot.protocol.archive import ArchivedConversation
from chatbot.protocol.chat_completions import ChatCompletionCreate
from chatbot.protocol.requests import ConversationCreate, ItemsCreate, Request, ResponseCreate

MANY = 3000
A_FEW = 20
WRONG_PARTS = {"role": "user", "content": [1] * MANY}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ResponseCreate, {"input": [1] * MANY}),
        (ResponseCreate, {"input": [WRONG_PARTS] * 2}),
        (ResponseCreate, {"input": "hi", "stop": [1] * MANY}),
        (ResponseCreate, {"input": "hi", "metadata": {str(n): n for n in range(MANY)}}),
        (ChatCompletionCreate, {"messages": [1] * MANY}),
        (ChatCompletionCreate, {"messages": [WRONG_PARTS]}),
        (ConversationCreate, {"items": [1] * MANY, "metadata": {str(n): n for n in range(MANY)}}),
        (ItemsCreate, {"items": [1] * MANY}),
        (ArchivedConversation, {"messages": [1] * MANY, "branches": [1] * MANY}),
    ],
)
def test_a_body_full_of_faults_has_only_a_few_that_are_looked_at(kind: type[Request], body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(body)
    assert caught.value.error_count() <= A_FEW
