from pathlib import Path

import pytest
from pydantic import ValidationError

from chatbot.settings import Settings


def test_a_flag_beats_the_environment_and_the_environment_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_text("port = 1\nslots = 1\nthreads = 1\n")
    monkeypatch.setenv("CHATBOT_PORT", "2")
    monkeypatch.setenv("CHATBOT_SLOTS", "2")
    settings = Settings(port=3)
    assert (settings.port, settings.slots, settings.threads) == (3, 2, 1)


def test_an_unknown_key_in_the_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_text("prot = 1\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings()


def test_home_holds_everything(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_path == tmp_path / "data" / "chats.db"
    assert settings.adapters_dir == tmp_path / "data" / "adapters"
    assert settings.state_dir == tmp_path / "state"
    assert settings.kv_dir == tmp_path / "cache" / "kv"


def test_a_key_that_a_browser_could_not_send_is_refused() -> None:
    with pytest.raises(ValidationError, match="api_key"):
        Settings(api_key="a key")


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
