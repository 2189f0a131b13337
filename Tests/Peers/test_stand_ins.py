"""The stand-in model server itself: what the tests of the tunnel believe of it must be so."""

import asyncio
import hashlib
import json
import socket
import subprocess
import time

import aiohttp
import pytest
from harness import openai_client
from harness.model import Model
from harness.processes import run
from harness.waiting import until
from model import ollama
from model.behaviour import text

CHAT = {"model": "llama3.2", "messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For tests that look at nothing but answers."""
    process = Model(tmp_path_factory.mktemp("model"))
    yield process
    process.stop()


def answer(url, *arguments, value=None):
    """Status, headers (lower-case names) and body, as curl sees them."""
    data = ["--json", json.dumps(value)] if value is not None else []
    done = run(["curl", "--silent", "--show-error", "--max-time", "20", "--include", *data, *arguments, url])
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name: value.strip() for name, _, value in pairs}, body


def lines(body):
    return [json.loads(line) for line in body.splitlines()]


def events(body):
    return [each.removeprefix(b"data: ") for each in body.split(b"\n\n")[:-1]]


class Plain:
    """A client of sockets and bytes, for what curl would not do."""

    def __init__(self, model):
        self.socket = socket.create_connection(("127.0.0.1", model.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, value, path="/api/chat", more=""):
        body = json.dumps(value).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.socket.sendall(head.encode() + body)

    def head(self):
        first = self.file.readline()
        while self.file.readline() not in (b"\r\n", b""):
            pass
        return int(first.split()[1]) if first else None

    def chunk(self):
        """One chunk; `None` after the last, and if the connection ends instead."""
        size = self.file.readline()
        data = self.file.read(int(size or b"0", 16) + 2)[:-2]
        return data or None


# What it answers


def test_it_says_that_it_is_running(shared):
    assert answer(shared.origin)[::2] == (200, b"Ollama is running")
    assert answer(shared.origin, "--head")[0] == 200
    assert answer(f"{shared.origin}/api/version", "--head")[::2] == (200, b"")


@pytest.mark.parametrize("path, key", [("/api/tags", "models"), ("/api/ps", "models"), ("/api/version", "version")])
def test_lists_are_objects(path, key, shared):
    status, headers, body = answer(shared.origin + path)
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(body)[key]


@pytest.mark.parametrize("path, question, words", [
    ("/api/chat", CHAT, lambda line: line["message"]["content"]),
    ("/api/generate", {"model": "llama3.2", "prompt": "Why?"}, lambda line: line["response"]),
])
def test_an_answer_streams_as_lines_and_the_last_has_the_figures(path, question, words, shared):
    asked = question | {"options": {"num_predict": 6}, "behaviour": {"size": 9}}
    status, headers, body = answer(shared.origin + path, value=asked)
    assert (status, headers["content-type"], headers["transfer-encoding"]) == (200, "application/x-ndjson", "chunked")
    *said, last = lines(body)
    assert [words(line) for line in said] == [text(1, 9, number) for number in range(6)]
    assert not any(line["done"] for line in said)
    assert last["done"] and last["done_reason"] == "stop" and last["eval_count"] == 6 and last["total_duration"] > 0
    whole = json.loads(answer(shared.origin + path, value=asked | {"stream": False})[2])
    assert words(whole) == text(6, 9) and whole["done"]
    assert body == answer(shared.origin + path, value=asked)[2]


def test_a_line_is_a_chunk(shared):
    with Plain(shared) as client:
        client.ask(CHAT)
        assert client.head() == 200
        chunks = list(iter(client.chunk, None))
    assert len(chunks) == 9 and all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in chunks)


def test_nothing_to_answer_loads_and_unloads(shared):
    url = f"{shared.origin}/api/generate"
    assert json.loads(answer(url, value={"model": "llama3.2"})[2])["done_reason"] == "load"
    assert json.loads(answer(url, value={"model": "llama3.2", "keep_alive": 0})[2])["done_reason"] == "unload"


@pytest.mark.parametrize("path, method, value, status, error", [
    ("/api/chat", "POST", CHAT | {"model": "nobody"}, 404, "model 'nobody' not found"),
    ("/api/show", "POST", {"model": "nobody"}, 404, "model 'nobody' not found"),
    ("/api/chat", "POST", None, 400, "missing request body"),
])
def test_errors_are_an_object(path, method, value, status, error, shared):
    seen, _, body = answer(shared.origin + path, "-X", method, value=value)
    assert (seen, json.loads(body)) == (status, {"error": error})


def test_what_there_is_not_is_plain_text(shared):
    assert answer(f"{shared.origin}/api/nothing")[::2] == (404, b"404 page not found")
    status, headers, _ = answer(f"{shared.origin}/api/chat")
    assert (status, headers["allow"]) == (405, "post")


def test_embeddings_differ_by_their_text(shared):
    body = answer(f"{shared.origin}/api/embed", value={"model": "all-minilm", "input": ["a", "b"]})[2]
    assert json.loads(body)["embeddings"] == [ollama.vector("a"), ollama.vector("b")]
    body = answer(f"{shared.origin}/api/embeddings", value={"model": "all-minilm", "prompt": "a"})[2]
    assert json.loads(body)["embedding"] == ollama.vector("a")


@pytest.mark.parametrize("path, method", [
    ("/api/pull", "POST"), ("/api/push", "POST"), ("/api/create", "POST"), ("/api/copy", "POST"),
    ("/api/delete", "DELETE"),
])
def test_what_changes_the_desktop_is_done_and_counted(path, method, model):
    status, _, body = answer(model.origin + path, "-X", method, value={"model": "llama3.2"})
    assert status == 200
    assert not body or lines(body)[-1] == {"status": "success"}
    assert len(model.asked(path)) == 1


def test_events_end_with_done(shared):
    asked = CHAT | {"stream": True, "max_tokens": 3}
    status, headers, body = answer(f"{shared.origin}/v1/chat/completions", value=asked)
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    *said, last = events(body)
    assert last == b"[DONE]"
    assert [json.loads(each)["choices"][0]["finish_reason"] for each in said] == [None, None, None, "stop"]


def test_openais_client_understands_it(shared):
    walked = openai_client.walk(f"{shared.origin}/v1", chunks=5)
    spoken = [text(1, 16, number) for number in range(5)]
    assert walked == {
        "models": list(ollama.MODELS), "model": "llama3.2:latest", "streamed": [*spoken, ""], "streamed_usage": 5,
        "streamed_reason": "stop", "whole": text(5, 16), "completed": [*spoken, ""],
        "embedded": [ollama.vector("one"), ollama.vector("two")],
        "refusal": ["NotFoundError", 404, "model 'no-such-model' not found"],
    }


# Whom it refuses


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("LOCALHOST:1", 200), ("my.localhost", 200), ("pc.local", 200), ("pc.internal:80", 200),
    ("127.0.0.1", 200), ("127.9.9.9:80", 200), ("[::1]:80", 200), ("10.0.0.1", 200), ("192.168.1.1", 200),
    ("0.0.0.0", 200), (socket.gethostname(), 200), ("gateway.example", 403), ("localhost.example", 403),
    ("8.8.8.8", 403), ("notlocalhost", 403),
])
def test_a_foreign_host_is_refused(host, status, shared):
    seen, _, body = answer(f"{shared.origin}/api/tags", "--header", f"Host: {host}")
    assert seen == status
    assert status == 200 or body == b""


@pytest.mark.parametrize("origin, status", [
    ("http://localhost", 200), ("https://localhost:3000", 200), ("http://127.0.0.1:8080", 200), ("http://0.0.0.0", 200),
    ("app://obsidian.md", 200), ("tauri://localhost", 200), ("https://allowed.example", 200),
    ("https://gateway.example", 403), ("http://localhost.example", 403), ("chrome-extension://abc", 403), ("null", 403),
])
def test_a_foreign_origin_is_refused_whatever_its_host(origin, status, tmp_path):
    model = Model(tmp_path, origins=["https://allowed.example"])
    try:
        seen, headers, _ = answer(f"{model.origin}/api/tags", "--header", f"Origin: {origin}")
    finally:
        model.stop()
    assert (seen, headers.get("access-control-allow-origin")) == (status, origin.lower() if status == 200 else None)


def test_a_page_of_its_own_origin_is_let_in(shared):
    assert answer(f"{shared.origin}/api/tags", "--header", f"Origin: {shared.origin}")[0] == 200


def test_a_preflight_is_answered_without_a_model(shared):
    ask = ["-X", "OPTIONS", "--header", "Access-Control-Request-Method: POST", "--header", "Origin: http://localhost:1"]
    status, headers, _ = answer(f"{shared.origin}/api/chat", *ask)
    assert status == 204 and "POST".lower() in headers["access-control-allow-methods"]


# What it tells of its requests


def test_a_request_is_remembered_as_it_came(model):
    body = json.dumps(CHAT)
    answer(f"{model.origin}/api/chat?a=1", "--data", body, "--header", "X-Own: Yes")
    seen = model.last("/api/chat", state="done")
    assert (seen["method"], seen["target"], seen["status"], seen["chunks"]) == ("POST", "/api/chat?a=1", 200, 8)
    assert (seen["body_bytes"], seen["body_complete"]) == (len(body), True)
    assert seen["body_sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert ["X-Own", "Yes"] in seen["headers"]
    assert seen["came_at"] <= seen["first_chunk_at"] <= seen["ended_at"]


def test_a_connection_serves_many_and_pipelined_requests(model):
    with Plain(model) as client:
        for _ in range(2):
            client.ask(CHAT | {"behaviour": {"pace": 0.01}})
        for _ in range(2):
            assert client.head() == 200
            assert len(list(iter(client.chunk, None))) == 9
    assert [each["connection"] for each in model.requests] == [1, 1]


def test_chunked_requests_and_100_continue_are_understood(model, tmp_path):
    sent = tmp_path / "sent"
    sent.write_bytes(bytes(range(256)) * 8192)
    for framing in ("Content-Length: 2097152", "Transfer-Encoding: chunked"):
        headers = ["--header", framing, "--header", "Expect: 100-continue"]
        answer(f"{model.origin}/api/copy", "--data-binary", f"@{sent}", *headers)
        seen = model.asked("/api/copy")[-1]
        assert seen["body_sha256"] == hashlib.sha256(sent.read_bytes()).hexdigest()


@pytest.mark.parametrize("framing", [
    "Content-Length: x", "Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip", "Host: two",
])
def test_a_request_that_is_ambiguous_is_refused(framing, model):
    with Plain(model) as client:
        client.socket.sendall(f"POST /api/copy HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        assert client.head() == 400
    assert all(each["state"] == "refused" for each in model.requests)


# A client that leaves


def test_a_client_that_leaves_is_noticed_before_the_next_chunk(model):
    with Plain(model) as client:
        client.ask(CHAT | {"behaviour": {"hang": 3}})
        client.head()
        for _ in range(3):
            client.chunk()
    seen = model.last("/api/chat", state="gone")
    assert seen["chunks"] == 3


def test_a_client_that_leaves_while_chunks_flow_is_noticed(model):
    async def leave():
        async with aiohttp.ClientSession() as session:
            asked = CHAT | {"behaviour": {"chunks": 100_000, "pace": 0.01}}
            async with session.post(f"{model.origin}/api/chat", json=asked) as streaming:
                await streaming.content.readline()

    asyncio.run(asyncio.wait_for(leave(), 20))
    left = time.monotonic_ns()
    seen = model.last("/api/chat", state="gone")
    assert 1 <= seen["chunks"] < 100_000
    # The same clock on both sides: this is what a measurement of cancelling rests on.
    assert seen["came_at"] < left and seen["ended_at"] < time.monotonic_ns()


def test_a_client_that_leaves_before_the_first_byte_is_noticed(model):
    with Plain(model) as client:
        client.ask(CHAT | {"behaviour": {"hang": "head"}})
        model.last("/api/chat", state="answering")
    assert model.last("/api/chat", state="gone")["status"] is None


def test_a_client_that_leaves_within_its_own_body_is_noticed(model):
    with Plain(model) as client:
        client.socket.sendall(b"POST /api/copy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    seen = model.last("/api/copy", state="gone")
    assert (seen["body_bytes"], seen["body_complete"]) == (4, False)


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_client_that_shuts_down_its_side_is_gone_unless_told_otherwise(is_answered, model):
    with Plain(model) as client:
        client.ask(CHAT | {"behaviour": {"hang": 2, "half_close": is_answered}})
        client.head()
        client.chunk()
        client.socket.shutdown(socket.SHUT_WR)
        seen = model.last("/api/chat", half_closed=True)
        if is_answered:
            model.release()
            assert len(list(iter(client.chunk, None))) == 8
            seen = model.last("/api/chat", state="done")
    assert seen["half_closed"]
    assert is_answered or model.last("/api/chat", state="gone")


# What it is told to do wrong


def test_it_hangs_where_it_is_told_until_it_is_released(model):
    model.behave(path="/api/chat", hang=2)
    with Plain(model) as client:
        client.ask(CHAT)
        assert client.head() == 200
        assert client.chunk() and client.chunk()
        assert model.last("/api/chat", chunks=2)["state"] == "answering"
        model.release()
        assert len(list(iter(client.chunk, None))) == 7


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("place", ["head", 0, 3])
def test_it_dies_where_it_is_told(place, reset, model):
    with Plain(model) as client:
        client.ask(CHAT | {"behaviour": {"die": place, "reset": reset}})
        received = 0
        with pytest.raises(ConnectionResetError) if reset else pytest.raises(EOFError):
            while block := client.file.read1(65536):
                received += block.count(b'"done":false')
            raise EOFError
        seen = model.last("/api/chat", state="died")
        assert received <= seen["chunks"] == (0 if place == "head" else place)
        assert reset or received == seen["chunks"]


def test_it_dies_within_an_answer_that_said_its_length(model):
    model.behave(die=0, reset=False)
    done = run(["curl", "--silent", "--max-time", "10", f"{model.origin}/api/tags"], check=False)
    assert done.returncode == 18  # CURLE_PARTIAL_FILE


def test_a_failure_in_the_middle_is_an_event(shared):
    asked = CHAT | {"behaviour": {"fail": 2}, "stream": True}
    said = lines(answer(f"{shared.origin}/api/chat", value=asked)[2])
    assert len(said) == 3 and set(said[-1]) == {"error"}
    said = events(answer(f"{shared.origin}/v1/chat/completions", value=asked)[2])
    assert len(said) == 3 and json.loads(said[-1])["error"]["type"] == "api_error"


def test_a_status_is_answered_for_as_many_requests_as_it_is_told(model):
    model.behave(path="/api/chat", times=2, status=503)
    assert [answer(f"{model.origin}/api/chat", value=CHAT)[0] for _ in range(3)] == [503, 503, 200]
    model.behave(status=429)
    status, _, body = answer(f"{model.origin}/v1/chat/completions", value=CHAT)
    assert status == 429 and "message" in json.loads(body)["error"]
    model.behave_well()
    assert answer(f"{model.origin}/v1/chat/completions", value=CHAT)[0] == 200


def test_an_early_refusal_does_not_wait_for_the_body(model):
    model.behave(status=413, early=True)
    with Plain(model) as client:
        client.socket.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nsome")
        assert client.head() == 413
    assert not model.last("/api/chat", status=413)["body_complete"]


def test_a_body_is_read_as_slowly_as_it_is_told(model):
    """What has not been read stays with the sender, so that all buffers between fill."""
    model.behave(path="/api/copy", reading=3600)
    with Plain(model) as client:
        client.socket.sendall(b"POST /api/copy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        client.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1_000_000_000:
                sent += client.socket.send(bytes(65536))
        assert sent < 100_000_000
        assert model.last("/api/copy", state="reading")["body_bytes"] <= 65536


def test_an_answer_may_be_huge(model):
    asked = CHAT | {"behaviour": {"chunks": 1024, "size": 65536}}
    _, _, body = answer(f"{model.origin}/api/chat", value=asked)
    said = hashlib.sha256()
    for line in lines(body):
        said.update(line["message"]["content"].encode())
    assert said.hexdigest() == hashlib.sha256(text(1024, 65536).encode()).hexdigest()


# Behind the ingress


def test_chunks_pass_the_ingress_one_by_one_and_so_does_the_clients_end(model, ingress, authority):
    """The model says one chunk and waits: a client that sees it was not kept waiting by a buffer."""
    door = ingress(model)
    asked = json.dumps(CHAT | {"behaviour": {"hang": 1}})
    command = ["curl", "--silent", "--no-buffer", "--cacert", authority.certificate, "--json", asked]
    with subprocess.Popen([*command, f"https://localhost:{door.port}/api/chat"], stdout=subprocess.PIPE) as client:
        try:
            assert json.loads(client.stdout.readline())["message"]["content"] == text(1, 16)
        finally:
            client.kill()
    assert model.last("/api/chat", state="gone")["chunks"] == 1


def test_requests_pass_the_ingress_as_they_come_if_it_may_not_keep_them(model, ingress, authority):
    door = ingress(model, body_limit="0", keeps_requests=False)

    async def ask():
        more = asyncio.Event()

        async def body():
            yield b"x" * 2_000_000
            await more.wait()

        async with aiohttp.ClientSession() as session:
            url = f"https://localhost:{door.port}/api/copy"
            asking = asyncio.create_task(session.post(url, data=body(), ssl=authority.context))
            await asyncio.to_thread(
                until, lambda: any(each["body_bytes"] >= 2_000_000 for each in model.asked("/api/copy")), "the body")
            more.set()
            async with await asking as done:
                return done.status

    assert asyncio.run(asyncio.wait_for(ask(), 20)) == 200
