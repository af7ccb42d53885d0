"""What those who approve are told: the figures side by side, in the form that each chat takes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from conftest import Toy
from mlops.ci.announcement import Announcement, announce_version, send
from mlops.config import load_project
from mlops.model.registry import Version

URL = "https://github.com/ORG/credit-risk/actions/runs/1"


def version(number: int, **figures: str) -> Version:
    return Version("toy", number, "run", {f"holdout.{name}": value for name, value in figures.items()})


@pytest.fixture
def announcement(toy: Toy) -> Announcement:
    new, old = version(3, roc_auc="0.81", log_loss="0.4"), version(2, roc_auc="0.7906")
    return announce_version(load_project(toy.root), new, old, URL)


def test_the_figures_stand_beside_those_of_production(announcement: Announcement) -> None:
    assert announcement.columns == ("metric", "version 3", "production (version 2)")
    assert announcement.rows == (("log_loss", "0.4000", "-"), ("roc_auc", "0.8100", "0.7906"))
    assert announcement.markdown().splitlines()[2:] == [
        "| metric | version 3 | production (version 2) |",
        "| :-- | --: | --: |",
        "| log_loss | 0.4000 | - |",
        "| roc_auc | 0.8100 | 0.7906 |",
    ]
    lines = announcement.text().splitlines()
    assert [line.index(word) for line, word in zip(lines[1:], ("version 3", "0.4000", "0.8100"), strict=True)] == [
        10
    ] * 3


def test_the_first_version_has_nothing_beside_it(toy: Toy) -> None:
    made = announce_version(load_project(toy.root), version(1, roc_auc="0.8"), None, URL)
    assert (made.columns[2], made.rows) == ("production (none)", (("roc_auc", "0.8000", "-"),))


def test_slack_gets_a_table_and_the_link() -> None:
    made = Announcement("A <b> & c", ("metric", "new", "old"), (("roc_auc", "0.8", "0.7"),), URL)
    text = made.for_slack()["text"]
    assert text.startswith("*A &lt;b&gt; &amp; c*\n```metric   new  old\n")
    assert text.endswith(f"```\n<{URL}|Report and approval>")


def test_teams_gets_an_adaptive_card(announcement: Announcement) -> None:
    [attachment] = announcement.for_teams()["attachments"]
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    facts = card["body"][1]["facts"]
    assert facts[1] == {"title": "roc_auc", "value": "0.7906 → 0.8100"}
    assert card["actions"][0]["url"] == URL


@contextmanager
def chat(status: int) -> Iterator[tuple[str, list[Any]]]:
    """Serve a webhook that answers with a status; yield its address and what it got."""
    got: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/secret-token", got
        server.shutdown()


def test_a_webhook_gets_the_card(announcement: Announcement) -> None:
    with chat(202) as (address, got):
        assert send(announcement, address) == ""
    assert got == [announcement.for_teams()]


def test_a_chat_that_fails_holds_up_no_release_and_leaks_no_address(announcement: Announcement) -> None:
    with chat(500) as (address, _):
        problem = send(announcement, address)
    assert problem == "The webhook did not take the message (500). The release goes on."
    assert "secret-token" not in send(announcement, "http://127.0.0.1:9/secret-token")


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "hooks.slack.com/x", "https://", "ftp://x/y", "$(MLOPS_WEBHOOK)"]
)
def test_what_is_not_an_address_of_the_web_is_not_called(address: str, announcement: Announcement) -> None:
    problem = send(announcement, address)
    assert problem == "MLOPS_WEBHOOK is not an address. Nobody was told; the release goes on."
