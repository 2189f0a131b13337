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


# wscat as a person sits before it


def test_wscat_sees_why_it_is_not_let_in(doors, authority):
    for url, status in ((f"/echo?token={tokens.mint(lifetime=-3600)}", 401), ("/echo", 401), ("/nowhere", 404)):
        with wscat.Session(doors["through the ingress"] + url, authority.certificate) as session:
            assert session.refused() == status


def test_wscat_reads_json_pings_and_closes(doors, authority):
    url = f"{doors['through the ingress']}/echo?token={tokens.mint()}"
    with wscat.Session(url, authority.certificate).connected() as session:
        session.say({"type": "ping", "id": "1"})
        assert session.hear() == {"type": "ping", "id": "1"}
        session.ping()
        assert session.close() == (1000, "")


def test_wscat_sees_that_its_message_is_too_large(shared_gateway):
    gate = shared_gateway(MAX_FRAME_SIZE=4096)
    header = f"Authorization: Bearer {tokens.mint()}"
    with wscat.Session(f"{gate.websocket_origin}/echo", headers=[header]).connected() as session:
        session.say("x" * 5000)
        assert session.closed()[0] == 1009
