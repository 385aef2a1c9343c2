from pathlib import Path

import pytest
from pydantic import ValidationError

from chatbot.settings import Settings, settings_files


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


def test_home_may_begin_with_a_tilde_and_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHATBOT_HOME", "~/chats")
    assert Settings().data_dir == tmp_path / "chats" / "data"
    monkeypatch.setenv("CHATBOT_HOME", "")
    assert Settings().home is None


def test_a_home_in_a_file_is_found_from_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CHATBOT_HOME", raising=False)
    user_file = settings_files()[1]
    user_file.parent.mkdir(parents=True, exist_ok=True)
    user_file.write_text('home = "chats"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Settings().home == user_file.parent / "chats"
    user_file.write_text('home = ""')
    assert Settings().home is None


def test_a_file_may_begin_as_windows_editors_begin_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chatbot.toml").write_bytes(b"\xef\xbb\xbfport = 1\r\n")
    assert Settings().port == 1


@pytest.mark.parametrize("given", ["a.example,fd00::1", "a.example, fd00::1,", '["a.example", "fd00::1"]'])
def test_a_list_in_a_variable_has_commas_or_is_json(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("CHATBOT_ALLOW_HOST", given)
    assert Settings().allow_host == ["a.example", "fd00::1"]


def test_a_key_that_a_browser_could_not_send_is_refused() -> None:
    with pytest.raises(ValidationError, match="letters, digits"):
        Settings(api_key="a key")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("http://localhost:3000/", "http://localhost:3000"),
        ("HTTPS://Chat.Example:443", "https://chat.example"),
        ("http://chat.example:80", "http://chat.example"),
        ("http://chat.example:8080", "http://chat.example:8080"),
        ("chrome-extension://abcd", "chrome-extension://abcd"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(given: str, sent: str) -> None:
    assert Settings(allow_origin=[given]).allow_origin == [sent]


@pytest.mark.parametrize("origin", ["*", "null", "localhost:3000", "https://chat.example/app", "https://*.example", ""])
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError, match="expected scheme://host"):
        Settings(allow_origin=[origin])


@pytest.mark.parametrize("host", ["chat.example:8765", "http://chat.example", "*", "[::1]:80", ""])
def test_a_host_that_no_request_could_name_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="without scheme and port"):
        Settings(allow_host=[host])


def test_hosts_are_names_and_addresses() -> None:
    hosts = ["chat.example", "my_box", "10.0.0.7", "fd00::1", "[::1]", "::ffff:10.0.0.7"]
    assert Settings(allow_host=hosts).allow_host == hosts


def test_a_model_in_the_home_folder_is_named_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "smol").mkdir()
    assert Settings(model="~/smol").model_name == "smol"
    assert Settings(model="~nobody-here/smol").model_name == "~nobody-here/smol"


def test_every_setting_is_documented() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
