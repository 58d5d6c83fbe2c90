"""A headless Chromium for tests: screenshots, errors, and what was asked of which machine."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What Chromium asks for of itself, whatever page it shows.
ITS_OWN = (
    "update.googleapis.com",
    "content-autofill.googleapis.com",
    "accounts.google.com",
    "clients2.google.com",
    "www.google.com",
    "optimizationguide-pa.googleapis.com",
    "android.clients.google.com",
    "safebrowsing.googleapis.com",
)
PIPES = 'exec "${@:3}" 3<&"$1" 4>&"$2"'  # bash: Chromium reads commands from 3, answers on 4


class Browser:
    """A page in Chromium; use it with `with`. Skips the test where no browser is installed.

    errors: what the page said was wrong. urls: all that was asked for but by the browser itself,
    known after the end: also connections opened before any request.
    """

    def __init__(self, folder: Path, *options: str, height: int = 900) -> None:
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None:
            pytest.skip(f"needs a browser, none of {', '.join(BROWSERS)} is installed")
        self.errors: list[str] = []
        self.urls: set[str] = set()
        self._log, self._buffer, self._last = folder / "net.json", b"", 0
        self._session: str | None = None
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                PIPES,
                "browser",
                str(commands),
                str(answers),
                program,
                "--headless",
                "--no-sandbox",
                "--no-first-run",
                "--disable-component-update",
                "--disable-sync",
                "--disable-background-networking",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                f"--user-data-dir={folder / 'profile'}",
                f"--log-net-log={self._log}",
                *options,
                "about:blank",
            ],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=1100,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        asked = set(re.findall(r'"(?:url|host)":"([^"]+)"', self._log.read_text()))
        self.urls = {
            url
            for url in asked
            if not any(host in url for host in ITS_OWN)
            and not url.startswith(("data:", "chrome", "blob:"))
        }

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the DevTools protocol, and its result."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (answer := self._read()).get("id") != self._last:
            self._note(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise OSError("the browser has ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters["exceptionDetails"]))

    def open(self, address: str) -> None:
        """Show a page; returns when it is loaded."""
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + 60
        while (
            self.call("Runtime.evaluate", expression="document.readyState")["result"]["value"]
            != "complete"
        ):
            assert time.monotonic() < deadline, f"{address} is not loaded"
            time.sleep(0.05)

    def screenshot(self) -> np.ndarray:
        """The window, uint8 BGR [H, W, 3]."""
        png = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
