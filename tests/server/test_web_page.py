"""The page at `/`: what is served, to whom, and what it may do."""

import re
from pathlib import Path

import httpx
import pytest

from tests.fake_engine import FakeEngine
from tests.live_server import live_server

WEB = Path(__file__).parents[2] / "chatbot" / "server" / "web"


async def test_the_page_and_all_that_it_names_are_served(http: httpx.AsyncClient) -> None:
    page = await http.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    named = re.findall(r'(?:href|src)="(web/[^"]+)"', page.text)
    assert {path.rsplit(".")[-1] for path in named} == {"css", "js", "svg"}
    for script in WEB.glob("*.js"):
        named += [f"web/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text())]
    for path in set(named):
        assert (await http.get(f"/{path}")).status_code == 200, path


async def test_a_script_is_served_as_one(http: httpx.AsyncClient) -> None:
    assert (await http.get("/web/main.js")).headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/style.css"])
async def test_every_file_says_that_nothing_else_may_be_loaded(http: httpx.AsyncClient, path: str) -> None:
    headers = (await http.get(path)).headers
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_a_browser_asks_each_time_and_gets_a_file_again_only_if_it_changed(http: httpx.AsyncClient) -> None:
    first = await http.get("/")
    assert first.headers["cache-control"] == "no-cache"
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = await http.get("/", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await http.get("/", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_head_tells_what_get_would(http: httpx.AsyncClient) -> None:
    whole, head = await http.get("/"), await http.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize("path", ["/web/nothing.js", "/web/", "/web/index.html", "/web/..%2Fapp.py", "/web//main.js"])
async def test_nothing_but_the_files_of_the_page_is_served(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_route")


async def test_the_page_needs_no_key_and_what_it_shows_does(tmp_path: Path) -> None:
    async with (
        live_server(tmp_path, FakeEngine(), api_key="sk-1") as url,
        httpx.AsyncClient(base_url=url, verify=False) as http,
    ):
        for path in ("/", "/web/main.js", "/web/style.css"):
            assert (await http.get(path)).status_code == 200
        for path in ("/web", "/web/nothing.js", "/web%2F..%2Fv1/models", "/v1/models", "/metrics"):
            assert (await http.get(path)).status_code == 401


async def test_the_page_is_not_served_under_a_name_that_is_not_ours(http: httpx.AsyncClient) -> None:
    assert (await http.get("/", headers={"Host": "evil.example"})).status_code == 403
    assert (await http.get("/", headers={"Origin": "http://evil.example"})).status_code == 403


def test_no_script_or_style_stands_in_the_page_itself() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|https?:", page)
    for script in WEB.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text())
