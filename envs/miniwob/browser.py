"""One headless Chromium behind its own chromedriver: navigation, scripts, screenshots, mouse and keys.

The browser has no network: no host name resolves, and pages are files. It ends with :meth:`Browser.close`, when the
object is garbage-collected, or when Python exits, whichever comes first.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from homeostat.errors import ActionError, ConfigError, EnvError

__all__ = ["Binaries", "Browser", "find_binaries"]

_Value = TypeVar("_Value")

_FLAGS = (
    "headless=new",
    "no-sandbox",  # Chromium refuses to sandbox for root; pages here are the package's own files
    "disable-gpu",
    "disable-dev-shm-usage",
    "disable-quic",
    "disable-background-networking",
    "disable-component-update",
    "disable-default-apps",
    "disable-extensions",
    "disable-sync",
    "no-first-run",
    "force-color-profile=srgb",
    "allow-file-access-from-files",  # a flight page looks into its own frame
    "host-resolver-rules=MAP * ~NOTFOUND",
)
_BINARIES = {
    "MINIWOB_CHROME_BINARY": ("chromium", "chromium-browser", "google-chrome"),
    "MINIWOB_CHROMEDRIVER": ("chromedriver",),
}
_PRIVATE = range(0xE000, 0xF900)  # WebDriver reads these characters as special keys


@dataclass(frozen=True)
class Binaries:
    """The programs that a browser needs.

    Attributes:
        chrome: The path of the browser.
        driver: The path of its driver.
    """

    chrome: str
    driver: str


def find_binaries() -> Binaries:
    """Finds the browser and its driver.

    The environment variables ``MINIWOB_CHROME_BINARY`` and ``MINIWOB_CHROMEDRIVER`` name them. Otherwise they are
    searched for on the path.

    Returns:
        Their paths.

    Raises:
        ConfigError: A program is missing or can't be executed.
    """
    found = []
    for variable, names in _BINARIES.items():
        named = os.environ.get(variable)
        path = named if named else next((p for p in map(shutil.which, names) if p), None)
        if path is None:
            raise ConfigError(f"no {names[0]!r} on the path; apt install chromium chromium-driver, or set {variable}")
        if not os.access(path, os.X_OK):
            raise ConfigError(f"{variable} {path!r} is no program; set it to the path of {names[0]}")
        found.append(path)
    return Binaries(*found)


def _quit(driver: Any) -> None:
    try:
        driver.quit()
    except Exception:  # the browser has died before, but its driver still runs
        driver.service.stop()


class Browser:
    """One browser with one page. Every method raises ``EnvError`` if the browser stops answering."""

    def __init__(self, width: int, height: int) -> None:
        """Starts the browser.

        Args:
            width: The page's width in CSS pixels.
            height: The page's height in CSS pixels.

        Raises:
            ConfigError: Selenium, the browser or its driver is missing.
            EnvError: The browser does not start.
        """
        binaries = find_binaries()
        try:
            from selenium import webdriver
            from selenium.webdriver.chrome.service import Service
        except ImportError:
            raise ConfigError("selenium is not installed; pip install 'homeostat[miniwob]'") from None
        options = webdriver.ChromeOptions()
        options.binary_location = binaries.chrome
        options.unhandled_prompt_behavior = "accept"
        for flag in _FLAGS:
            options.add_argument(f"--{flag}")
        self._driver = self._told(
            lambda: webdriver.Chrome(options=options, service=Service(executable_path=binaries.driver))
        )
        self._end = weakref.finalize(self, _quit, self._driver)
        self.resize(width, height)

    def close(self) -> None:
        """Ends the browser and its driver. A second call has no effect."""
        self._end()

    @property
    def open(self) -> bool:
        """Whether the browser has not been closed."""
        return self._end.alive

    @property
    def process(self) -> int:
        """The driver's process id; the browser's processes are its children."""
        pid: int = self._driver.service.process.pid
        return pid

    def _told(self, call: Callable[[], _Value]) -> _Value:
        from selenium.common.exceptions import WebDriverException
        from urllib3.exceptions import HTTPError

        try:
            return call()
        except (WebDriverException, HTTPError, OSError) as error:
            text = (str(getattr(error, "msg", None) or error).strip() or type(error).__name__).splitlines()[0]
            raise EnvError(f"the browser failed: {text[:200]}; reset the environment to start it again") from None

    def resize(self, width: int, height: int) -> None:
        """Sets the size that pages are laid out for.

        Args:
            width: The page's width in CSS pixels.
            height: The page's height in CSS pixels.
        """
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._told(lambda: self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics))

    def go(self, url: str) -> None:
        """Loads a page and waits for its ``load`` event.

        Args:
            url: The page's address.
        """
        self._told(lambda: self._driver.get(url))

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the page.

        Args:
            script: The body of a JavaScript function.
            *arguments: The function's arguments, as JSON values.

        Returns:
            The JSON value that the function returns.
        """
        return self._told(lambda: self._driver.execute_script(script, *arguments))

    def screenshot(self, width: int, height: int, scale: float = 1.0) -> NDArray[np.uint8]:
        """Takes a screenshot of the top left part of the page.

        Args:
            width: The part's width in CSS pixels.
            height: The part's height in CSS pixels.
            scale: Image pixels per CSS pixel.

        Returns:
            The image, shape (height · scale, width · scale, 3), uint8.
        """
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
        asked = {"format": "png", "clip": clip, "optimizeForSpeed": True}
        data = self._told(lambda: self._driver.execute_cdp_cmd("Page.captureScreenshot", asked))["data"]
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB"))

    def park(self) -> None:
        """Moves the pointer to the top left corner, so that it hovers over no element where the last page left it."""
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self._driver, duration=0)
        chain.w3c_actions.pointer_action.move_to_location(0, 0)
        self._told(chain.w3c_actions.perform)

    def drag(self, path: Sequence[tuple[float, float]], *, hold: float = 0.0) -> None:
        """Presses the mouse button at the first point, moves through the others, and releases it.

        Args:
            path: The points in CSS pixels. One point makes a click.
            hold: The seconds to wait after pressing.
        """
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self._driver, duration=0)
        pointer = chain.w3c_actions.pointer_action
        for i, (x, y) in enumerate(path):
            pointer.move_to_location(int(x), int(y))
            if i == 0:
                pointer.pointer_down()
                if hold:
                    pointer.pause(hold)
        pointer.pointer_up()
        self._told(chain.w3c_actions.perform)

    def type(self, text: str) -> None:
        """Presses and releases the key of every character.

        Args:
            text: The characters.

        Raises:
            ActionError: No key writes one of them.
        """
        bad = next((c for c in text if ord(c) in _PRIVATE or 0xD800 <= ord(c) < 0xE000 or ord(c) < 9), None)
        if bad is not None:
            raise ActionError(f"no key writes {bad!r}; leave it out of the text")
        self._keys(text)

    def press_enter(self) -> None:
        """Presses and releases the Enter key."""
        self._keys("\ue007")

    def _keys(self, keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        chain = ActionChains(self._driver, duration=0)
        for key in keys:
            chain.w3c_actions.key_action.key_down(key)
            chain.w3c_actions.key_action.key_up(key)
        self._told(chain.w3c_actions.perform)
