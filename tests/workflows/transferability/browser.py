"""A headless Chromium that loads a page, moves the mouse, and tells what went wrong.

It is driven by the DevTools protocol over a pair of pipes, so nothing but the browser is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
REQUIRED = "MLSEQM_REQUIRE_BROWSER"
"""Environment variable: where it is set, tests without a browser fail instead of being skipped."""
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--remote-debugging-pipe", "--disable-background-networking", "--disable-extensions"),
    *("--host-resolver-rules=MAP * 0.0.0.0", "--window-size=1200,900"),
)
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4."""
PATIENCE = 120.0
"""Seconds for one answer of the browser."""
PROBLEMS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def browser_path() -> str:
    """Where a Chromium is; without one the test is skipped, or fails where one is required."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and os.environ.get(REQUIRED):
        pytest.fail(f"no Chromium, and {REQUIRED} is set")
    if found is None:
        pytest.skip(f"no Chromium; with {REQUIRED} set this is a failure")
    return found


class Page:
    """One page, and all that the browser has told about it.

    Attributes
    ----------
    events : list of dict
        Notifications of the DevTools protocol, in order.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._to, self._from, self._rest = to_browser, from_browser, b""
        self._count, self._session = 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; raises RuntimeError where the browser refuses it."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        text = json.dumps(message).encode() + b"\0"
        while text:
            text = text[os.write(self._to, text) :]
        until = time.monotonic() + PATIENCE
        while True:
            found = self._message(until)
            if found.get("id") == self._count:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self.events.append(found)

    def open(self, url: str) -> None:
        """Load a page, its pictures included."""
        self.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message(until))

    def value(self, script: str) -> Any:
        """What an expression gives in the page; a promise is waited for."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def drag(self, x: float, y: float, dx: float, dy: float) -> None:
        """Press the left button there, move the mouse, release it."""
        for kind, step in (("mousePressed", 0.0), ("mouseMoved", 0.5), ("mouseMoved", 1.0)):
            self._mouse(kind, x + step * dx, y + step * dy)
        self._mouse("mouseReleased", x + dx, y + dy)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    @property
    def problems(self) -> list[str]:
        """What stands in the console, and errors of scripts."""
        return [json.dumps(e["params"]) for e in self.events if e["method"] in PROBLEMS]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page has asked for; not what it holds itself."""
        asked = [e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        urls = [parameters["request"]["url"] for parameters in asked]
        return [url for url in urls if not url.startswith("data:")]

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready = select.select([self._from], [], [], max(0.0, until - time.monotonic()))[0]
            part = os.read(self._from, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError(
                    "the browser is gone" if ready else "the browser does not answer"
                )
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with an empty page and a profile of its own."""
    command = [browser_path(), *OPTIONS, f"--user-data-dir={profile}"]
    (its_in, to_browser), (from_browser, its_out) = os.pipe(), os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(its_in), str(its_out), *command],
        pass_fds=(its_in, its_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(its_in)
    os.close(its_out)
    try:
        yield Page(to_browser, from_browser)
    finally:
        os.close(to_browser)  # it ends then
        os.close(from_browser)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
