"""A TCP connection to the gateway under test."""

import array
import fcntl
import socket
import termios
import time

#: Seconds in which the gateway must do what it has to do at once. Only a failing case waits that long.
PATIENCE = 10


class Closed(AssertionError):
    """The gateway ended the connection where more was due."""


class Connection:
    """Bytes to and from the gateway, as they are."""

    def __init__(self, gateway, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", gateway.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = gateway.port
        self.buffer = bytearray()
        #: The connection ended in a reset rather than in order.
        self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """A server that has refused and closed already is no error here: what it said is read afterwards."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def send_in_pieces(self, data, size=1):
        for start in range(0, len(data), size):
            self.send(data[start : start + size])
        return self

    def half_close(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def fill(self):
        """Receives more; `False` at the end of the connection."""
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, BrokenPipeError):
            self.was_reset = True
            return False
        except TimeoutError:
            seen = bytes(self.buffer[:200])
            raise AssertionError(f"nothing more came within {PATIENCE} s; unread so far: {seen!r}") from None
        self.buffer += data
        return bool(data)

    def let_pile_up(self):
        """Reads nothing until something waits here and no more is added: whoever sends to this end is held up, or done."""
        waiting, before = array.array("i", [0]), -1
        deadline = time.monotonic() + PATIENCE
        while waiting[0] == 0 or waiting[0] != before:
            assert time.monotonic() < deadline, f"{waiting[0]} bytes wait after {PATIENCE} s, and their number still changes"
            before = waiting[0]
            time.sleep(0.02)
            fcntl.ioctl(self.socket, termios.FIONREAD, waiting)
        return self

    def read(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise Closed(f"the connection ended after {bytes(self.buffer[:200])!r}, {count} bytes were due")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read_until(self, mark):
        start = 0
        while (place := self.buffer.find(mark, start)) < 0:
            start = max(0, len(self.buffer) - len(mark))
            if not self.fill():
                raise Closed(f"the connection ended after {bytes(self.buffer[:200])!r}, {mark!r} was due")
        return self.read(place + len(mark))

    def read_to_end(self):
        while self.fill():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def expect_end(self):
        """The gateway closes now, of its own accord, and says nothing more."""
        rest = self.read_to_end()
        assert not rest, f"more came where the connection was to be closed: {rest[:300]!r}"

    def is_silent(self, seconds=0.05):
        """Whether nothing comes, and the connection stays open, for a little while."""
        if self.buffer:
            return False
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1)
            self.buffer += data
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)
