"""Requests with one byte changed or added, at every place: RFC 9112 §11.2.

Whatever becomes of such a request, what it hides in its body is never answered, and every answer is a whole one.
"""

import pytest
from wire.http import CANARY, Closed, HTTPConnection

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
#: With bytes in front that no method has: whoever takes the body for a request, from its first byte or, by another
#: length of one digit, from a later one, finds none.
BODY = b"=" * 20 + HIDDEN
OCTETS = b"\0\x01\t\n\x0b\x0c\r\x1f \"#%&'()*+,-./05:;<=>?@A[\\]_{|}\x7f\x80\x85\xa0\xad\xff"

REQUESTS = {
    "with a length": (
        b"POST /echo HTTP/1.1\r\nHost: gateway.test\r\nX-Any: value\r\nContent-Length: %d\r\nAccept: */*\r\n\r\n"
        % len(BODY),
        BODY,
    ),
    "in chunks": (
        b"POST /echo HTTP/1.1\r\nHost: gateway.test\r\nX: value\r\nTransfer-Encoding: chunked\r\nTE: x\r\n\r\n%x;a=b\r\n"
        % len(BODY),
        BODY + b"\r\n0\r\nX: y\r\n\r\n",
    ),
    "a GET with a length": (
        b"GET /echo?q HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
        % len(BODY),
        BODY,
    ),
}


def answers(gateway, data):
    """The whole responses that came; one that was cut short ends the list."""
    responses = []
    with HTTPConnection(gateway) as connection:
        connection.send(data).half_close()
        try:
            while connection.buffer or connection.fill():
                responses.append(connection.response())
        except Closed:
            pass
    return responses


def check(gateway, data):
    responses = answers(gateway, data)
    final = [r for r in responses if r.status >= 200]
    assert len(final) <= 2, f"{data!r}: {final}"
    assert all(b"canary" not in r.body or r.body == b"canary-answered" for r in final), f"{data!r}: {final}"
    if len(final) == 2:
        assert final[1].body == b"canary-answered" or final[1].status in (400, 501, 505), f"{data!r}: {final[1]}"


def places(head, is_full):
    return range(len(head)) if is_full else range(0, len(head), 11)


@pytest.mark.parametrize("octet", OCTETS, ids=lambda o: f"{o:02x}")
@pytest.mark.parametrize("name", REQUESTS)
def test_9112_11_2_one_byte_replaced(plain, name, octet, is_full):
    head, rest = REQUESTS[name]
    for place in places(head, is_full):
        check(plain, head[:place] + bytes([octet]) + head[place + 1 :] + rest + CANARY)


@pytest.mark.parametrize("octet", OCTETS, ids=lambda o: f"{o:02x}")
@pytest.mark.parametrize("name", REQUESTS)
def test_9112_11_2_one_byte_added(plain, name, octet, is_full):
    head, rest = REQUESTS[name]
    for place in places(head, is_full):
        check(plain, head[:place] + bytes([octet]) + head[place:] + rest + CANARY)


@pytest.mark.parametrize("name", REQUESTS)
def test_9112_11_2_one_byte_left_out(plain, name):
    head, rest = REQUESTS[name]
    for place in range(len(head)):
        check(plain, head[:place] + head[place + 1 :] + rest + CANARY)


@pytest.mark.parametrize("name", REQUESTS)
def test_9112_11_2_two_neighbours_exchanged(plain, name):
    head, rest = REQUESTS[name]
    for place in range(len(head) - 1):
        check(
            plain,
            head[:place] + head[place + 1 : place + 2] + head[place : place + 1] + head[place + 2 :] + rest + CANARY,
        )


@pytest.mark.parametrize("name", REQUESTS)
def test_9112_11_2_a_line_twice_or_never(plain, name):
    head, rest = REQUESTS[name]
    lines = head.split(b"\r\n")
    for number in range(len(lines)):
        for changed in (lines[:number] + lines[number:][:1] + lines[number:], lines[:number] + lines[number + 1 :]):
            check(plain, b"\r\n".join(changed) + rest + CANARY)
