"""Debian's Chromium without a window, told by the DevTools protocol what to open and what to run there."""

import itertools
import json
import os
import re

import websocket

from .processes import Process, bare_environment
from .waiting import until

#: Seconds that a page may take to load, and a script to end.
PATIENCE = 30


class Browser(Process):
    """A profile of its own in `folder`. Nothing goes out: names other than localhost are not found.

    With `trusts_all` it takes every certificate: the tests' authority is not in the browser's own store.
    """

    def __init__(self, folder, trusts_all=False):
        # Chromium's sandbox is for users; root has none to put it in.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        super().__init__("chromium", [
            "chromium", "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}/profile",
            "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
            *(["--ignore-certificate-errors"] if trusts_all else []), *root, "about:blank",
        ], folder, bare_environment(folder))

        def address():
            assert self.exit_code is None, self.tail()
            return re.search(r"DevTools listening on (ws://\S+)", self.stderr)

        self._address = until(address, "Chromium to listen", PATIENCE)[1]
        self._tools = websocket.create_connection(self._address, timeout=PATIENCE, suppress_origin=True)
        self._numbers = itertools.count(1)
        self._events = []

    def stop(self, patience=10):
        self._tools.close()
        super().stop(patience)

    def _call(self, method, session=None, **parameters):
        message = {"id": next(self._numbers), "method": method, "params": parameters}
        self._tools.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while (answer := json.loads(self._tools.recv())).get("id") != message["id"]:
            self._events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _wait_for(self, method, session):
        def match(event):
            return event.get("method") == method and event.get("sessionId") == session

        while not any(map(match, self._events)):
            self._events.append(json.loads(self._tools.recv()))
        self._events = [event for event in self._events if not match(event)]

    def open(self, url):
        """A tab with `url`, once it has loaded."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable", session)
        self._call("Runtime.enable", session)
        failure = self._call("Page.navigate", session, url=url).get("errorText")
        assert not failure, f"{url}: {failure}"
        self._wait_for("Page.loadEventFired", session)
        return Page(self, target, session)


class Page:
    """An open tab; use it in a `with`."""

    def __init__(self, browser, target, session):
        self._browser = browser
        self._target = target
        self._session = session

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._browser._call("Target.closeTarget", targetId=self._target)

    def run(self, script):
        """What `script`, the body of an async function, returns, as far as JSON can hold it; what it throws fails."""
        answer = self._browser._call(
            "Runtime.evaluate", self._session, expression=f"(async () => {{ {script} }})()", awaitPromise=True,
            returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width, height):
        """As if the window had this many CSS pixels."""
        self._browser._call(
            "Emulation.setDeviceMetricsOverride", self._session, width=width, height=height, deviceScaleFactor=1,
            mobile=False)

    def start(self, name, script):
        """Runs it in the background; `finish(name)` has its outcome."""
        place = f"window[{json.dumps(name)}]"
        self.run(f"{place} = (async () => {{ {script} }})(); {place}.catch(() => 0);")

    def finish(self, name):
        return self.run(f"return await window[{json.dumps(name)}];")
