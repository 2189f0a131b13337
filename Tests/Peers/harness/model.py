"""The stand-in model server as a process, with the test's hand on it."""

import json
import sys
import urllib.request
from pathlib import Path

from .processes import Process
from .waiting import until

PEERS = Path(__file__).resolve().parents[1]


class Model(Process):
    """Runs `python3 -m model` on a free port. `host` other than the loopback turns its check of Host off."""

    def __init__(self, folder, host="127.0.0.1", port=0, origins=()):
        allowed = [word for origin in origins for word in ("--origin", origin)]
        super().__init__(
            "model", [sys.executable, "-s", "-m", "model", "--host", host, "--port", port, *allowed], folder,
            {"PYTHONPATH": str(PEERS), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"})
        until(lambda: "\n" in self.stdout or self.exit_code is not None, "the model server to listen")
        assert self.exit_code is None, self.tail()
        ports = json.loads(self.stdout)
        self.port = ports["port"]
        self.origin = f"http://{host}:{self.port}"
        self._control = f"http://127.0.0.1:{ports['control']}"

    def _tell(self, method, path, value=None):
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self._control + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def behave(self, path=None, times=None, **behaviour):
        """What the requests that follow are answered with: those for `path`, or all; `times` of them, or all.

        The fields are those of `model.behaviour.Behaviour`. A newer rule goes before an older one that fits too, and a
        request that has a `behaviour` in its JSON body knows better.
        """
        bounds = {"path": path} | ({"times": times} if times else {})
        self._tell("POST", "/behaviour", bounds | behaviour)

    def behave_well(self):
        self._tell("DELETE", "/behaviour")

    def release(self):
        """Those that hang now go on."""
        self._tell("POST", "/release")

    @property
    def requests(self):
        """Everything asked so far, as dictionaries: the fields of `model.record.Entry`."""
        return self._tell("GET", "/requests")

    def forget(self):
        self._tell("DELETE", "/requests")

    def asked(self, path):
        """The requests for `path`, queries aside."""
        return [each for each in self.requests if each["target"].partition("?")[0] == path]

    def last(self, path, **fields):
        """The newest request for `path`, once its record says `fields`: `last("/api/chat", state="gone")`."""

        def match():
            found = self.asked(path)
            return found and all(found[-1][name] == value for name, value in fields.items()) and found[-1]

        return until(match, f"a request for {path} with {fields}; there were {self.requests}")

    def last_with_chunks(self, path, count):
        """The newest request for `path`, once `count` chunks of its answer are written."""
        return until(
            lambda: (found := self.asked(path)) and found[-1]["chunks"] >= count and found[-1],
            f"{count} chunks of an answer for {path}")
