"""Real WebSocket clients, over wss, with a token in the URL as the guide has it."""

import os

import pytest
from clients import (
    LAST_WORD,
    Job,
    joined,
    node_ws,
    python_aiohttp,
    python_autobahn,
    python_websocket_client,
    python_websockets,
    python_wsproto,
    wscat,
)
from harness import tokens

CLIENTS = {
    "wscat": wscat,
    "node ws": node_ws,
    "websockets": python_websockets,
    "aiohttp": python_aiohttp,
    "websocket-client": python_websocket_client,
    "wsproto": python_wsproto,
    "autobahn": python_autobahn,
}

#: websocket-client cannot compress, and wscat compresses but does not say so.
COMPRESSING = {"node ws", "websockets", "aiohttp", "wsproto", "autobahn"}

MESSAGES = [
    "hello",
    "",
    "grüße, 你好, 🦢",
    "compressible " * 20_000,
    b"\x00\xff\x80",
    os.urandom(1000),
    os.urandom(900_000),
    bytes(900_000),
    ("three ", "fragments, ", "one message"),
    (os.urandom(70_000), os.urandom(70_000)),
]

#: One miss closes, so a third ping says that two were answered.
HEARTBEAT = {"PING_INTERVAL": 200, "PONG_TIMEOUT": 5000, "MAX_MISSED_PONGS": 1}
PINGS = 3


@pytest.fixture(scope="module")
def doors(shared_gateway, ingress, certificate):
    """The two ways in: an ingress that terminates TLS, and the gateway's own TLS."""
    behind = shared_gateway(**HEARTBEAT)
    edge = shared_gateway(**HEARTBEAT, TLS_CERTIFICATE=certificate.chain, TLS_KEY=certificate.key)
    return {
        "through the ingress": f"wss://localhost:{ingress(behind).port}",
        "straight to the gateway": edge.websocket_origin,
    }


@pytest.mark.parametrize("door", ["through the ingress", "straight to the gateway"])
@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_talks_and_outlives_heartbeats(name, door, doors, authority):
    messages = MESSAGES
    if name == "wscat":
        messages = [message for message in map(joined, MESSAGES) if wscat.can_type(message)]
    url = f"{doors[door]}/echo?token={tokens.mint()}"
    transcript = CLIENTS[name].converse(Job(url, authority.certificate, messages, PINGS))

    sent = [*map(joined, messages), LAST_WORD]
    assert len(transcript.replies) == len(sent)
    for index, (reply, message) in enumerate(zip(transcript.replies, sent)):
        assert reply == message, f"message {index} came back changed"  # bare, pytest would print megabytes
    assert transcript.pings >= PINGS
    assert transcript.close_code == 1000
    if name in COMPRESSING:
        assert "permessage-deflate" in transcript.extensions


def test_a_client_that_offers_no_compression_gets_none(doors, authority):
    job = Job(f"{doors['through the ingress']}/echo?token={tokens.mint()}", authority.certificate, ["plain"], 0)
    assert not python_websocket_client.converse(job).extensions
