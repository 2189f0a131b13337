"""Debian's python3-websocket (websocket-client), which cannot compress."""

import struct

import websocket
from websocket import ABNF

from . import LAST_WORD, PATIENCE, Transcript


def converse(job):
    transcript = Transcript()
    socket = websocket.create_connection(job.url, timeout=PATIENCE, sslopt={"ca_certs": str(job.authority)})
    try:
        for message in job.messages:
            _send(socket, message)
            transcript.replies.append(_next(socket, transcript))
        while transcript.pings < job.pings:
            opcode, _ = socket.recv_data_frame(control_frame=True)
            assert opcode == ABNF.OPCODE_PING
            transcript.pings += 1
        socket.send(LAST_WORD)
        transcript.replies.append(_next(socket, transcript))
        socket.send_close(1000)
        opcode, frame = socket.recv_data_frame(control_frame=True)
        assert opcode == ABNF.OPCODE_CLOSE
        transcript.close_code = struct.unpack("!H", frame.data[:2])[0]
    finally:
        socket.shutdown()
    return transcript


def _send(socket, message):
    parts = message if isinstance(message, tuple) else (message,)
    opcode = ABNF.OPCODE_TEXT if isinstance(parts[0], str) else ABNF.OPCODE_BINARY
    for index, part in enumerate(parts):
        final = index == len(parts) - 1
        socket.send_frame(ABNF.create_frame(part, opcode if index == 0 else ABNF.OPCODE_CONT, int(final)))


def _next(socket, transcript):
    """The next message; the library answers pings before it shows them."""
    while True:
        opcode, frame = socket.recv_data_frame(control_frame=True)
        if opcode == ABNF.OPCODE_PING:
            transcript.pings += 1
        else:
            return frame.data.decode() if opcode == ABNF.OPCODE_TEXT else frame.data
