"""A headless browser for the tests: Debian's chromium, driven through chromedriver over localhost.

W3C WebDriver is a little JSON over HTTP: `urllib` is enough. Nothing here reaches beyond this machine.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

QUIET = (
    "--headless",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def missing():
    """What of the browser is not installed, in words; "" if it is there."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no {' and no '.join(absent)} on this machine (Debian's chromium, chromium-driver)" if absent else ""


class Browser:
    """One browser for a whole module; `with Browser() as browser`."""

    def __enter__(self):
        self._root = ""
        self._folder = tempfile.TemporaryDirectory(prefix="dpaudit-browser-")
        self._driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self._root = f"http://127.0.0.1:{self._port()}"
            options = {
                "args": [*QUIET, f"--user-data-dir={self._folder.name}"],
                "binary": shutil.which("chromium"),
                "perfLoggingPrefs": {"enableNetwork": True, "enablePage": False},
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
            session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._root += f"/session/{session['sessionId']}"
            self._call("POST", "/url", {"url": "about:blank"})  # instead of chromium's own first page
            self.requests()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if "/session/" in self._root:
                self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(20)
            self._driver.stdout.close()
            self._folder.cleanup()

    def open(self, path, *, width=1280, scheme="light"):
        """Show a file at that width, as someone sees it who prefers `scheme`."""
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )
        self.said(), self.requests()
        self._call("POST", "/url", {"url": Path(path).resolve().as_uri()})

    def media(self, medium):
        """ "print" shows the page as it is printed."""
        self._devtools("Emulation.setEmulatedMedia", media=medium)

    def run(self, script):
        """What a script returns; the page's own policy does not hold for it."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def said(self):
        """Console messages since the last call: errors, and whatever a policy refused."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self):
        """Addresses asked for since the last call."""
        logged = self._call("POST", "/se/log", {"type": "performance"})
        entries = [json.loads(each["message"])["message"] for each in logged]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]

    def alert(self):
        """The text of an open dialog; None if there is none."""
        try:
            return self._call("GET", "/alert/text")
        except urllib.error.HTTPError as error:
            if json.load(error)["value"]["error"] != "no such alert":
                raise
            return None

    def screenshot(self, path, *, height=None):
        """The page as PNG, whole unless a height is given."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": height or size[1], "scale": 1}
        shot = self._devtools("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def _devtools(self, command, **parameters):
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _call(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=120) as answer:
            return json.load(answer)["value"]

    def _port(self):
        for line in self._driver.stdout:
            if "started successfully on port" in line:
                return int(line.rsplit(" ", 1)[1].strip(" .\n"))
        raise RuntimeError("chromedriver ended before it listened")
