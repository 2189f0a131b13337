"""Waiting for something to be true, for a bounded time."""

import time


def until(condition, what, seconds=15):
    """Asks `condition` until it answers with something true, and returns that.

    Fails after `seconds`, naming `what` was waited for. An exception of `condition` is not caught.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)
