"""Who is let in, and what the others are told, before and after the upgrade."""

import asyncio
import json
import ssl

import pytest
import websockets
from clients import PATIENCE
from harness import tokens
from harness.gateway import binary
from harness.processes import run

UPGRADE = [
    "-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Version: 13",
    "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


@pytest.fixture(scope="module")
def gate(shared_gateway):
    return shared_gateway()


@pytest.fixture(scope="module")
def door(gate, ingress, authority):
    """The ingress: where users meet a refusal."""
    return Door(f"localhost:{ingress(gate).port}", authority.certificate)


class Door:
    def __init__(self, place, authority):
        self.place = place
        self.authority = authority

    def refusal(self, query="", *headers):
        """Status and JSON body of an upgrade that is answered with HTTP."""
        flags = [word for header in headers for word in ("-H", header)]
        done = run([
            "curl", "--silent", "--http1.1", "--max-time", "10", "--cacert", self.authority, *UPGRADE, *flags,
            "--write-out", "\n%{http_code}", f"https://{self.place}/echo{query}",
        ])
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), json.loads(body)

    def connect(self, query="", **options):
        context = ssl.create_default_context(cafile=self.authority)
        return websockets.connect(f"wss://{self.place}/echo{query}", ssl=context, ping_interval=None, **options)


def talk(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


# Refused before the upgrade


@pytest.mark.parametrize("token, reason", [
    (None, "token"),
    ("nonsense", "token"),
    (tokens.mint(lifetime=-3600), "expired"),
    (tokens.mint(secret="another secret, just as long as the first"), "signature"),
    (tokens.mint(aud="somebody-else"), "aud"),
    (tokens.mint(iss="https://somebody.else/"), "iss"),
    (tokens.mint(exp=None), "exp"),
    (tokens.mint(header={"alg": "none", "typ": "JWT"}), ""),
    (tokens.mint(header={"alg": "hs256", "typ": "JWT"}), ""),
    (tokens.mint(role="anon"), "role"),
], ids=["none", "nonsense", "expired", "forged", "audience", "issuer", "eternal", "alg none", "alg case", "anon"])
def test_a_refusal_comes_before_the_upgrade_and_says_why(token, reason, door):
    status, body = door.refusal(f"?token={token}" if token else "")
    assert status in (401, 403)
    assert set(body["error"]) >= {"code", "message"}
    assert reason in (body["error"]["code"] + " " + body["error"]["message"]).lower()
    assert token is None or token not in json.dumps(body)


def test_two_credentials_that_differ_are_a_bad_request(door):
    assert door.refusal(f"?token={tokens.mint()}", f"Authorization: Bearer {tokens.mint(sub='other')}")[0] == 400


def test_the_id_that_the_ingress_gave_a_request_stands_in_its_refusal(door):
    assert door.refusal("", "X-Request-ID: peers-1.a_b")[1]["requestId"] == "peers-1.a_b"


# Let in


async def _echo(door, query="", **options):
    async with door.connect(query, **options) as socket:
        await socket.send("hello")
        return await socket.recv(), socket.subprotocol


def test_a_token_may_come_in_the_query(door):
    assert talk(_echo(door, f"?token={tokens.mint()}"))[0] == "hello"


def test_a_token_may_come_in_the_authorization_header(door):
    assert talk(_echo(door, extra_headers={"Authorization": f"Bearer {tokens.mint()}"}))[0] == "hello"


def test_a_token_may_come_as_a_subprotocol_as_browsers_must_send_it(door):
    assert talk(_echo(door, subprotocols=["bearer", tokens.mint()])) == ("hello", "bearer")


# After the upgrade


async def _close_code(door, token, *messages):
    async with door.connect(f"?token={token}") as socket:
        for message in messages:
            await socket.send(message)
        await socket.wait_closed()
        return socket.close_code


def test_a_socket_closes_with_4401_when_its_token_expires(door):
    assert talk(_close_code(door, tokens.mint(lifetime=2))) == 4401


def test_a_message_over_the_limit_closes_with_1009(door):
    assert talk(_close_code(door, tokens.mint(), bytes((1 << 20) + 1))) == 1009


# The token commands


def token_command(gate, *arguments):
    return run([binary(), "token", *arguments], environment={"PATH": "/usr/bin:/bin"} | gate.settings, check=False)


def test_a_minted_token_is_let_in(gate, door):
    done = token_command(gate, "mint")
    assert done.returncode == 0, done.stderr.decode()
    assert talk(_echo(door, f"?token={done.stdout.decode().strip()}"))[0] == "hello"


def test_explain_accepts_a_good_token(gate):
    assert token_command(gate, "explain", tokens.mint()).returncode == 0


@pytest.mark.parametrize("token, check", [
    (tokens.mint(lifetime=-3600), "exp"),
    (tokens.mint(aud="somebody-else"), "aud"),
    (tokens.mint(secret="another secret, just as long as the first"), "signature"),
], ids=["expired", "audience", "forged"])
def test_explain_names_the_check_that_failed(token, check, gate):
    done = token_command(gate, "explain", token)
    assert done.returncode != 0
    assert check in (done.stdout + done.stderr).decode().lower()
