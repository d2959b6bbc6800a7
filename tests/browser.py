"""A headless Chromium that tests drive through its DevTools protocol, over two pipes.

No driver and no package is needed: messages are JSON with a zero byte behind each. Debian and
Ubuntu have the browser as package `chromium` or `chromium-browser`.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str | None:
    """Path of the browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One open page. `messages` are the errors and warnings of its console."""

    def __init__(self, send: int, receive: int):
        self._send, self._file = send, os.fdopen(receive, "rb", closefd=False)
        self._number, self._session = 0, ""
        self.messages: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Calls a method of the protocol, and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self._file.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser ended")
            content += byte
        return json.loads(content)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.messages.append(str(params["exceptionDetails"]))
        if event.get("method") == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.messages.append(str(params["args"]))
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] in (
            "error",
            "warning",
        ):
            self.messages.append(params["entry"]["text"])

    def open(self, path: Path) -> None:
        """Opens a file, and waits until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.run(
            "document.readyState === 'complete' || new Promise(r => addEventListener('load', r))"
        )

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression; promises are waited for."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Waits until a JavaScript expression is true, at most 20 seconds."""
        found = self.run(
            f"(async () => {{ for (let i = 0; i < 400; i++) {{ if ({condition}) return true;"
            " await new Promise(r => setTimeout(r, 50)); } return false; })()"
        )
        assert found, f"this never became true: {condition}"

    def key(self, key: str, code: int) -> None:
        """Presses a key and lets it go."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
            )

    def view(self, width: int, height: int, *, dark: bool = False) -> None:
        """Size of the window, and the colours that the reader prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Writes a PNG of what is seen, or of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def open_page(path: Path, profile: Path) -> Iterator[Page]:
    """Opens a file in a browser of its own, which ends with the block.

    Args:
      path: The page.
      profile: An empty folder for the browser.
    """
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    program = find_chromium()
    assert program, "no Chromium here"
    # the browser reads its descriptor 3 and writes its descriptor 4
    command = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", command, "bash", program, *options],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    page = Page(from_us, to_us)
    try:
        page.open(path)
        yield page
    finally:
        process.terminate()
        process.wait(timeout=30)
        os.close(from_us)
        os.close(to_us)
