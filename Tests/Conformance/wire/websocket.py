"""A WebSocket client that builds every byte itself and holds every byte it gets against RFC 6455 and RFC 7692."""

import base64
import contextlib
import hashlib
import os
import struct
import zlib

from .http import HTTPConnection

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TAIL = b"\x00\x00\xff\xff"

#: RFC 6455 §7.4.1 and the IANA registry: what may stand in a close frame.
CLOSE_CODES = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


def mask(payload, key):
    if key == b"\0\0\0\0" or not payload:
        return payload
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, key=b"\x37\xfa\x21\x3d", length_bytes=None, length=None):
    """One frame as bytes.

    `key` of `None` leaves it unmasked; `length_bytes` (0, 2, 8) spells the length so, even if it need not be;
    `length` claims another one than the payload's.
    """
    length = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65_536 else 8
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    flag = 0 if key is None else 0x80
    if length_bytes == 0:
        head = bytes([first, flag | length])
    elif length_bytes == 2:
        head = bytes([first, flag | 126]) + struct.pack("!H", length)
    else:
        head = bytes([first, flag | 127]) + struct.pack("!Q", length)
    return head + (payload if key is None else key + mask(payload, key))


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


def fragments(opcode, payload, size, rsv=0):
    """A message as frames of at most `size` bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return [
        frame(opcode if n == 0 else CONTINUATION, piece, n == last, rsv if n == 0 else 0)
        for n, piece in enumerate(pieces)
    ]


class Frame:
    def __init__(self, opcode, payload, fin, rsv):
        self.opcode, self.payload, self.fin, self.rsv = opcode, payload, fin, rsv

    @property
    def code(self):
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    def __repr__(self):
        return f"<frame opcode={self.opcode} fin={self.fin} rsv={self.rsv} {len(self.payload)} B {self.payload[:60]!r}>"


class Deflate:
    """permessage-deflate as it was negotiated, from the client's side."""

    def __init__(self, parameters):
        self.server_keeps = "server_no_context_takeover" not in parameters
        self.client_keeps = "client_no_context_takeover" not in parameters
        self.server_bits = int(parameters.get("server_max_window_bits") or 15)
        self.client_bits = int(parameters.get("client_max_window_bits") or 15)
        self._compressor = None
        self._inflater = None

    def compress(self, message, level=6):
        # zlib's raw deflate cannot do 8: what it finds with 9 might reach too far back, so nothing is searched.
        bits, level = (9, 0) if self.client_bits == 8 else (self.client_bits, level)
        if self._compressor is None or not self.client_keeps:
            self._compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
        data = self._compressor.compress(message) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        return data[:-4] or b"\0"

    def inflate(self, data, strictly=False):
        """`strictly` inflates byte by byte, so that a distance beyond the window cannot hide in the output buffer."""
        if self._inflater is None or not self.server_keeps:
            self._inflater = zlib.decompressobj(-max(8, self.server_bits))
        pieces, rest = [], data + TAIL
        if not strictly:
            return self._inflater.decompress(rest)
        while rest:
            pieces.append(self._inflater.decompress(rest, 1))
            rest = self._inflater.unconsumed_tail
        while piece := self._inflater.decompress(b"", 1):
            pieces.append(piece)
        return b"".join(pieces)


class WebSocket(HTTPConnection):
    """A client that has shaken hands, unless `open` is false."""

    def __init__(self, gateway, path="/ws", extensions=None, fields="", pieces=None, early=b"", receive_buffer=None):
        super().__init__(gateway, receive_buffer)
        self.deflate = None
        self.pongs = []
        self.key = base64.b64encode(os.urandom(16)).decode()
        if extensions is not None:
            fields += f"Sec-WebSocket-Extensions: {extensions}\r\n"
        request = handshake(self.key, path, fields)
        if pieces:
            self.send_in_pieces(request + early, pieces)
        else:
            self.send(request + early)
        self.answer = self.response()
        check_answer(self.answer, self.key, extensions)
        if offered := self.answer.get("sec-websocket-extensions"):
            self.deflate = Deflate(parse_parameters(offered))

    # Sending

    def send_frame(self, opcode, payload=b"", **options):
        return self.send(frame(opcode, payload, **options))

    def send_message(self, opcode, payload, compressed=False, fragment=None, level=6, **options):
        rsv = 0
        if compressed:
            payload, rsv = self.deflate.compress(payload, level), 4
        if fragment:
            return self.send(b"".join(fragments(opcode, payload, fragment, rsv)))
        return self.send(frame(opcode, payload, rsv=rsv, **options))

    # Receiving

    def frame(self):
        """The next frame, checked as a client must (RFC 6455 §5)."""
        first, second = self.read(2)
        fin, rsv, opcode = bool(first & 0x80), first >> 4 & 7, first & 15
        assert not second & 0x80, "RFC 6455 5.1: a server must not mask"
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self.read(2))[0]
            assert length > 125, "RFC 6455 5.2: a length that is not minimal"
        elif length == 127:
            length = struct.unpack("!Q", self.read(8))[0]
            assert 65_535 < length < 1 << 63, "RFC 6455 5.2: a length that is not minimal or out of range"
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG), f"RFC 6455 5.2: opcode {opcode}"
        allowed = (0, 4) if self.deflate and opcode in (TEXT, BINARY) else (0,)
        assert rsv in allowed, f"RFC 6455 5.2: reserved bits {rsv} on opcode {opcode}"
        if opcode >= 8:
            assert fin and length <= 125, "RFC 6455 5.5: a control frame is short and whole"
        payload = self.read(length)
        if opcode == CLOSE and payload:
            assert length >= 2, "RFC 6455 5.5.1: a close payload of one byte"
            code = struct.unpack("!H", payload[:2])[0]
            assert code in CLOSE_CODES, f"RFC 6455 7.4: close code {code} sent"
            payload[2:].decode()
        return Frame(opcode, payload, fin, rsv)

    def message(self, strictly=False):
        """The next data message as (opcode, bytes). Pongs are kept aside; a close frame fails the case."""
        opcode, pieces, compressed = None, [], False
        while True:
            got = self.frame()
            if got.opcode == PONG:
                self.pongs.append(got.payload)
            elif got.opcode == PING:
                self.send_frame(PONG, got.payload)
            elif got.opcode == CLOSE:
                raise AssertionError(f"closed with {got.code} {got.payload[2:].decode()!r} where a message was due")
            else:
                assert (got.opcode == CONTINUATION) == (opcode is not None), "RFC 6455 5.4: fragments out of order"
                if opcode is None:
                    opcode, compressed = got.opcode, got.rsv == 4
                pieces.append(got.payload)
                if got.fin:
                    break
        data = b"".join(pieces)
        if compressed:
            data = self.deflate.inflate(data, strictly)
        if opcode == TEXT:
            data.decode()
        return opcode, data

    def expect_pong(self, payload=b""):
        got = self.frame()
        assert (got.opcode, got.payload) == (PONG, payload), got

    def expect_close(self, *codes):
        """The next frame closes with one of `codes` (`None`: without a code); then the gateway closes the TCP
        connection first, without waiting for anything more, and says nothing else."""
        got = self.frame()
        assert got.opcode == CLOSE, f"{got} where a close frame was due"
        assert got.code in codes, f"closed with {got.code} {got.payload[2:].decode()!r}, {codes} was due"
        self.expect_end()
        return got

    def echo(self, opcode, payload, **options):
        """Sends a message and takes it back."""
        self.send_message(opcode, payload, **options)
        got = self.message()
        assert got[0] == opcode and got[1] == payload, f"another message came back: {got[0]} {got[1][:60]!r}"

    def close_properly(self, code=1000):
        self.send_frame(CLOSE, close_payload(code))
        self.expect_close(code)


def handshake(key="dGhlIHNhbXBsZSBub25jZQ==", path="/ws", fields="", host="gateway.test", without=(), **changes):
    """An opening handshake as bytes. `without` names lines to leave out, `changes` replace values (`upgrade="x"`)."""
    lines = {"host": host, "upgrade": "websocket", "connection": "Upgrade", "key": key, "version": "13"} | changes
    names = {
        "host": "Host",
        "upgrade": "Upgrade",
        "connection": "Connection",
        "key": "Sec-WebSocket-Key",
        "version": "Sec-WebSocket-Version",
    }
    head = f"GET {path} HTTP/1.1\r\n" + "".join(f"{names[n]}: {v}\r\n" for n, v in lines.items() if n not in without)
    return (head + fields + "\r\n").encode("latin-1")


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def check_answer(answer, key, offered):
    """RFC 6455 §4.1, the client's validation of the server's response."""
    assert answer.status == 101, f"{answer.status} {answer.body[:300]!r}"
    assert answer.get("upgrade", "").lower() == "websocket", f"RFC 6455 4.2.2: {answer}"
    assert answer.all("sec-websocket-accept") == [accept_for(key)], f"RFC 6455 4.2.2: {answer}"
    extensions = answer.all("sec-websocket-extensions")
    assert len(extensions) <= 1
    if offered is None:
        assert not extensions, f"RFC 6455 4.2.2: an extension that was not offered: {answer}"


def parse_parameters(value):
    """One extension's parameters; the answer names no more than one extension here."""
    assert "," not in value, f"more than one extension: {value}"
    name, *parameters = [part.strip() for part in value.split(";")]
    assert name == "permessage-deflate", f"an extension that was not offered: {value}"
    found = {}
    for parameter in parameters:
        key, _, text = parameter.partition("=")
        assert key not in found, f"RFC 7692 7.1: {key} twice: {value}"
        found[key] = text or None
    return found


@contextlib.contextmanager
def opened(gateway, **options):
    socket = WebSocket(gateway, **options)
    try:
        yield socket
    finally:
        socket.close()
