"""From example chats to a persona in the running server, with nothing but the commands that users have."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.server.processes import CHATBOT, START_TIMEOUT_S, server_process
from tests.tiny import make_tiny_model

PIRATE = [
    {"messages": [{"role": "user", "content": f"say {number}"}, {"role": "assistant", "content": "arr arr arr"}]}
    for number in range(50)
]


def test_a_persona_trained_while_the_server_runs_is_used_in_the_next_message(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    data = tmp_path / "pirate.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in PIRATE))
    home = tmp_path / "home"
    with (
        server_process(home, *CHATBOT, "--model", str(model)) as server,
        httpx.Client(base_url=server.url(), timeout=START_TIMEOUT_S) as http,
    ):
        turn = {"input": "say 7", "temperature": 0, "max_output_tokens": 16}
        plain = http.post("/v1/responses", json=turn).json()
        assert http.post("/v1/responses", json={**turn, "model": "corsair"}).status_code == 404
        train(data, home, model)
        assert "corsair" in [entry["id"] for entry in http.get("/v1/models").json()["data"]]
        pirate = http.post("/v1/responses", json={**turn, "model": "corsair"}).json()
        again = http.post("/v1/responses", json=turn).json()
    assert (pirate["status"], pirate["model"]) == ("completed", "corsair")
    assert text_of(pirate) == "arr arr arr"
    assert text_of(again) == text_of(plain) != text_of(pirate)


def train(data: Path, home: Path, model: Path) -> None:
    """Run `chatbot adapter train` as a user would."""
    arguments = [
        "adapter",
        "train",
        str(data),
        "--name",
        "corsair",
        "--base",
        str(model),
        "--system",
        "You are a pirate.",
    ]
    subprocess.run(
        [sys.executable, "-m", "chatbot", *arguments, "--epochs", "12", "--lr", "0.02"],
        env={**os.environ, "CHATBOT_HOME": str(home), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )


def text_of(response: dict[str, Any]) -> str:
    (item,) = response["output"]
    text: str = item["content"][0]["text"]
    return text
