"""Chromium as a consumer: pages read streams chunk by chunk, break them off, and are held to CORS."""

import pytest
from harness import answers
from harness.browser import Browser
from harness.model import Model
from harness.waiting import until
from model.behaviour import text

#: Reads a stream line by line and shows how far it is.
READ = """
    window.seen = [];
    const answer = await fetch("%s/api/chat", {method: "POST", signal: window.leaving?.signal, body: JSON.stringify({
        model: "llama3.2", messages: [{role: "user", content: "Why?"}]})});
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let unread = "";
    for (;;) {
        const {value, done} = await reader.read();
        if (done) break;
        const lines = (unread + value).split("\\n");
        unread = lines.pop();
        for (const line of lines) window.seen.push(JSON.parse(line).message.content);
    }
    return window.seen.join("");
"""


@pytest.fixture
def page(browser):
    """A page of an origin of its own."""
    server = answers.Server({"/": answers.reply(b"<!doctype html><title>page</title>", content_type="text/html")})
    with browser.open(server.origin + "/") as page:
        yield page
    server.stop()


def test_a_page_sees_each_chunk_when_it_comes(page, model):
    model.behave(hang=3)
    page.start("reading", READ % model.origin)
    until(lambda: page.run("return window.seen?.length") == 3, "three chunks in the page")
    model.release()
    assert page.finish("reading") == text(8, 16)


def test_a_page_that_breaks_off_is_gone_at_the_model(page, model):
    model.behave(hang=2)
    page.run("window.leaving = new AbortController();")
    page.start("reading", READ % model.origin)
    until(lambda: page.run("return window.seen?.length") == 2, "two chunks in the page")
    page.run("window.leaving.abort();")
    assert model.last("/api/chat", state="gone")["chunks"] == 2


def test_a_page_of_a_foreign_origin_reads_nothing(browser, model):
    """The model allows pages of this machine by their address, and this one has another name."""
    server = answers.Server({"/": answers.reply(b"<!doctype html>", content_type="text/html")})
    try:
        with browser.open(server.origin.replace("127.0.0.1", "page.localhost") + "/") as page:
            refused = page.run(
                f"try {{ await fetch('{model.origin}/api/tags'); return null }} catch (error) {{ return error.name }}")
    finally:
        server.stop()
    assert refused == "TypeError"
    assert model.last("/api/tags", state="done")["status"] == 403


def test_a_browser_may_be_told_to_trust_the_ingress(tmp_path, ingress):
    model = Model(tmp_path / "model")
    secure = Browser(tmp_path / "chromium", trusts_all=True)
    try:
        with secure.open(f"https://localhost:{ingress(model).port}/") as page:
            assert page.run("return document.body.innerText") == "Ollama is running"
    finally:
        secure.stop()
        model.stop()
