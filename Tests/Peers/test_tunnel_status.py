"""What the tunnel tells of itself: metrics as a scraper reads them, alerts over them, and the page in a browser."""

import http.client
import json
import re
import subprocess

import pytest
import yaml
from harness import exposition, tokens
from harness.gateway import ROOT
from harness.tunnel import USER
from harness.waiting import until

SCRAPER = "a-token-that-only-the-scraper-knows"
RULES = ROOT / "k8s/monitoring/tunnel.rules.yaml"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def connected(shared_tunnels):
    """A gateway with an agent beside the stand-in model, which the tests share: what they count is what they add."""
    return shared_tunnels(METRICS_TOKEN=SCRAPER)


@pytest.fixture
def tunnel(connected):
    """Its gateway."""
    connected.forget()
    return connected.gateway


def scrape(tunnel):
    status, headers, body = tunnel.get("/api/tunnel/metrics", headers=bearer(SCRAPER))
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return exposition.parse(body.decode())


def ask(tunnel, method, path, token, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", tunnel.port, timeout=10)
    connection.request(method, path, json.dumps(body) if body is not None else None, bearer(token))
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text else None


# ---- Metrics --------------------------------------------------------------------------------------------------------


def test_a_scraper_reads_each_request_once_however_often_it_comes(tunnel):
    names = ["success_total", "failed_total", "latency_ms_count"]

    def counts(families):
        return {name: exposition.total(families, f"tunnel_request{'' if 'latency' in name else 's'}_{name}") for name in names}

    before = counts(scrape(tunnel))

    def added(families):
        return [now - before[name] for name, now in counts(families).items()]

    for _ in range(3):
        assert tunnel.get("/ollama/api/tags", headers=bearer(tokens.mint(sub=USER)))[0] == 200
    for _ in range(2):
        assert tunnel.get("/ollama/api/tags", headers=bearer(tokens.mint(sub="nobody")))[0] == 503
    # The last byte may be read before it is counted.
    until(lambda: added(scrape(tunnel)) == [3, 2, 3], "the count")
    for _ in range(2):
        families = scrape(tunnel)
        now = counts(families)
        assert added(families) == [3, 2, 3]
        assert exposition.total(families, "tunnel_requests_total", status="success") == now["success_total"]
        assert exposition.total(families, "tunnel_requests_total", status="error") == now["failed_total"]
        assert exposition.total(families, "tunnel_errors_total") == now["failed_total"]
        assert exposition.total(families, "tunnel_active_users") == 1
        assert exposition.total(families, "tunnel_bytes_received_total") > 0
        assert 0 < exposition.total(families, "tunnel_error_rate") < 1
        assert exposition.total(families, "tunnel_circuit_breakers", state="closed") == 1
    first, second = (exposition.total(scrape(tunnel), "tunnel_cpu_usage_seconds") for _ in range(2))
    assert second - first < 1, "added up at each scrape"


def test_figures_of_a_user_outlive_the_agent(tunnels):
    made = tunnels(METRICS_TOKEN=SCRAPER, TUNNEL_RESUME_GRACE=0)
    assert made.ask("/api/tags").status == 200
    path = f"/api/tunnel/metrics/user/{USER}"
    _, here = ask(made.gateway, "GET", path, SCRAPER)
    assert here["connectionCount"] == 1 and here["requestCount"] == 1 and here["successRate"] == 1
    assert here["averageLatency"] > 0 and here["dataTransferred"] > 0 and here["lastActivity"].endswith("Z")
    made.agent.stop()
    gone = until(
        lambda: (figures := ask(made.gateway, "GET", path, SCRAPER)[1])["connectionCount"] == 0 and figures,
        "the agent's end")
    assert {**gone, "connectionCount": 1, "dataTransferred": 0} == {**here, "dataTransferred": 0}
    assert gone["dataTransferred"] >= here["dataTransferred"]


def test_nobody_else_reads_them(tunnel):
    for path in ["metrics", "metrics/json", "metrics/user/ada", "diagnostics", "config"]:
        assert tunnel.get(f"/api/tunnel/{path}")[0] == 401
        assert tunnel.get(f"/api/tunnel/{path}", headers=bearer(tokens.mint(permissions=["administrator"])))[0] == 403
        assert tunnel.get(f"/api/tunnel/{path}", headers=bearer(tokens.mint(permissions=["admin"])))[0] == 200


def test_the_log_level_changes_at_once_and_for_the_whole_gateway(gateway):
    tunnel = gateway(PLUGINS="tunnel", LOG_LEVEL="error")
    admin = tokens.mint(permissions=["admin"])
    assert ask(tunnel, "PUT", "/api/tunnel/config/log-level", admin, {"level": "info"})[1]["level"] == "INFO"
    until(lambda: "log level changed" in tunnel.stdout, "the line about it")
    status, answer = ask(tunnel, "PUT", "/api/tunnel/config", admin, {"TUNNEL_CONNECT_TIMEOUT": 1})
    assert status == 409 and "gateway reload" in answer["error"]
    assert ask(tunnel, "POST", "/api/tunnel/config/reset", admin)[1]["config"]["LOG_LEVEL"] == "ERROR"
    until(lambda: tunnel.stdout.count("log level changed") == 2, "the line about going back")


# ---- Alerts ---------------------------------------------------------------------------------------------------------

FUNCTIONS = {"sum", "max", "rate", "increase", "histogram_quantile", "by"}


def alerts():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_is_one_that_prometheus_takes(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"]
    expression = rule["expr"]
    for pair in ("()", "[]", "{}"):
        assert expression.count(pair[0]) == expression.count(pair[1])
    assert re.search(r"[<>]=?|==", expression), "it compares with something"
    # A ratio above one or a percentage would never fire, or always.
    for threshold in re.findall(r"_(?:rate|ratio)\b[^<>]*[<>] ([\d.]+)", expression):
        assert 0 < float(threshold) < 1


def test_alerts_are_about_metrics_that_exist(tunnel):
    families = scrape(tunnel)
    samples = {name for family in families.values() for name, _, _ in family.samples}
    assert ask(tunnel, "GET", "/api/tunnel/health", SCRAPER)[1]["status"] == "healthy"
    for rule in alerts():
        expression = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", rule["expr"])
        named = set(re.findall(r"[a-z_]{2,}", expression)) - FUNCTIONS - {"up"}
        assert named <= samples, f"{rule['alert']}: {named - samples}"


def test_prometheus_itself_takes_the_rules():
    checked = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def lint(page):
    """What promtool finds; code 3 is for names alone, anything else for a page that it cannot read."""
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
    assert checked.returncode in (0, 3), checked.stdout + checked.stderr
    return {line.split()[0] for line in (checked.stdout + checked.stderr).splitlines()}


def test_prometheus_itself_takes_the_metrics(tunnel):
    assert tunnel.get("/ollama/api/tags", headers=bearer(tokens.mint(sub=USER)))[0] == 200
    assert lint(tunnel.get("/metrics", ops=True)[2].decode()) == set()
    # Names that the guide gave them, and dashboards know.
    assert lint(tunnel.get("/api/tunnel/metrics", headers=bearer(SCRAPER))[2].decode()) == {
        "tunnel_cpu_usage_seconds", "tunnel_p95_latency_ms", "tunnel_p99_latency_ms", "tunnel_request_latency_ms"}


# ---- The page -------------------------------------------------------------------------------------------------------


def sign_in(page, token):
    page.run(
        f"document.getElementById('token').value = {json.dumps(token)};"
        "document.getElementById('sign-in-form').requestSubmit();")


def text(page, selector):
    return page.run(f"return document.querySelector({json.dumps(selector)})?.innerText")


def click(page, selector):
    page.run(f"document.querySelector({json.dumps(selector)}).click();")


def test_the_page_shows_the_agent_and_streams_an_answer(browser, tunnel):
    token = tokens.mint(sub=USER)
    with browser.open(f"http://localhost:{tunnel.port}/tunnel/") as page:
        sign_in(page, token)
        until(lambda: text(page, ".agent h3") == "desk", "the agent's card")
        assert text(page, "#bridge") == "Connected"
        assert text(page, ".agent .pill") == "Connected"
        until(lambda: page.run("return document.getElementById('model').value"), "a model to ask")
        page.run("document.getElementById('try-form').requestSubmit();")
        until(lambda: "First words after" in text(page, "#try-figures"), "the first words")
        until(lambda: page.run("return document.getElementById('try-stop').hidden"), "the end of the answer")
        assert len(text(page, "#answer")) > 10
        assert not page.run("return document.getElementById('answer').classList.contains('bad')")
        asked = page.run("return [location.href, ...performance.getEntriesByType('resource').map((each) => each.name)]")
        assert len(asked) > 5 and not any(token in each for each in asked)
        assert all(each.startswith(f"http://localhost:{tunnel.port}/") for each in asked)


def test_a_credential_is_created_shown_once_and_revoked(browser, tunnel):
    with browser.open(f"http://localhost:{tunnel.port}/tunnel/") as page:
        sign_in(page, tokens.mint(sub="enroller"))
        until(lambda: page.run("return !document.getElementById('no-enrolments').hidden"), "the empty list")
        page.run("document.getElementById('name').value = 'laptop'; document.getElementById('enrol-form').requestSubmit();")
        credential = until(lambda: text(page, "#credential"), "the credential")
        assert credential.startswith("gwe_")
        assert f"--url ws://localhost:{tunnel.port} --name laptop" in text(page, "#run-command")
        assert credential not in text(page, "#run-command")
        until(lambda: text(page, "#enrolments strong") == "laptop", "it in the list")
        click(page, "#credential-done")
        assert credential not in page.run("return document.documentElement.outerHTML")
        click(page, "#enrolments button")
        click(page, "#revoke button[value=keep]")
        assert text(page, "#enrolments strong") == "laptop"
        # Asked again before the page has heard that the dialog ended: that end must not answer the second question.
        page.run("".join(f"document.querySelector('{each}').click();" for each in (
            "#enrolments button", "#revoke button[value=keep]", "#enrolments button")))
        click(page, "#revoke button[value=revoke]")
        until(lambda: text(page, "#enrolments strong") is None, "an empty list")


def test_a_token_that_is_refused_leads_back_and_is_forgotten(browser, tunnel):
    with browser.open(f"http://localhost:{tunnel.port}/tunnel/") as page:
        sign_in(page, tokens.mint(lifetime=-100))
        until(lambda: page.run("return !document.getElementById('notice').hidden"), "the reason")
        assert page.run("return !document.getElementById('sign-in').hidden && document.getElementById('signed-in').hidden")
        assert page.run("return sessionStorage.length") == 0


@pytest.mark.parametrize("width", [320, 1280])
def test_the_page_fits_and_every_field_has_a_name(browser, tunnel, width):
    with browser.open(f"http://localhost:{tunnel.port}/tunnel/") as page:
        sign_in(page, tokens.mint(sub="nobody"))
        until(lambda: page.run("return !document.getElementById('no-agents').hidden"), "the page")
        page.resize(width, 800)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        unnamed = page.run("""
            const named = (each) => each.labels?.length || each.getAttribute("aria-label") || each.innerText?.trim();
            return [...document.querySelectorAll("input, select, textarea, button")].filter(
                (each) => each.checkVisibility() && !named(each)).map((each) => each.outerHTML);""")
        assert unnamed == []
