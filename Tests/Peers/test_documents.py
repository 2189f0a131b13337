"""The documents, as far as a program can tell whether they are true."""

import re
import subprocess

import pytest
from harness.gateway import ROOT, binary
from harness.processes import bare_environment

CONFIGURATION = ROOT / "docs/CONFIGURATION.md"
GUIDES = [
    ROOT / name for name in (
        "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/PLUGINS.md", "Tests/README.md", "Benchmarks/README.md")
] + sorted((ROOT / "docs/decisions").glob("*.md")) + sorted((ROOT / "Tests").glob("*/README.md"))
SOURCES = sorted(each for folder in ("Sources", "Examples", "Tests/PluginTesting") for each in (ROOT / folder).rglob("*.swift"))

#: In capitals, and nobody's setting: what a build or a test is told, and the kernel's and OpenSSL's own names.
NOT_SETTINGS = re.compile(r"EPOLL\w*|SO_\w+|SSL_\w+|E[A-Z]+|GATEWAY_\w+|FUZZ_SECONDS|SOAK_MINUTES|PEERS|GREETER_\w+|NAME_FILE|BENCHLOAD_\w+|RFC_\w+")

documents = pytest.mark.parametrize("path", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))


def code_spans(text):
    """What stands between backticks, fenced blocks aside."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def reference_rows():
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*?) \|", CONFIGURATION.read_text(), re.MULTILINE)
    return {name: default.strip("`") for name, _, default in rows}


def test_the_settings_reference_is_what_the_program_prints(tmp_path):
    printed = subprocess.run(
        [binary(), "config", "--reference"], env=bare_environment(tmp_path), capture_output=True, text=True, check=True)
    assert CONFIGURATION.read_text() == printed.stdout, "`make docs` writes it anew"


@documents
def test_links_lead_somewhere(path):
    text = path.read_text()
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [each for each in targets if "://" not in each and not (path.parent / each).exists()]
    assert missing == []


@documents
def test_files_that_are_named_exist(path):
    names = [each for each in code_spans(path.read_text()) if re.fullmatch(r"[\w+/.-]+\.(swift|py|md|yaml|sh)", each)]
    known = {str(each.relative_to(ROOT)) for folder in ("Sources", "Tests", "Examples", "docs", "k8s", "Benchmarks")
             for each in (ROOT / folder).rglob("*")} | {each.name for each in ROOT.iterdir()}
    missing = [each for each in names if not any(whole == each or whole.endswith(f"/{each}") for whole in known)]
    assert missing == []


def test_code_that_is_shown_is_the_code_as_it_is():
    documents = [ROOT / "README.md", ROOT / "docs/PLUGINS.md"]
    shown = subprocess.run([ROOT / "scripts/quote-code", "--check", *documents], capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, "")


def test_changes_that_the_tutorial_asks_for_fit_the_files():
    """What a diff keeps or takes away stands in its file."""
    text = (ROOT / "docs/PLUGINS.md").read_text()
    diffs = re.findall(r"^<!-- ([\w/.-]+) -->\n```diff\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(diffs) == text.count("```diff") > 3
    lines = [(path, line[1:]) for path, diff in diffs for line in diff.splitlines() if line[0] in " -"]
    assert [(path, line) for path, line in lines if line not in (ROOT / path).read_text().splitlines()] == []


def test_the_list_of_decisions_is_complete():
    """Each once, in order, under the title it has."""
    folder = ROOT / "docs/decisions"
    titles = {each.name: each.read_text().splitlines()[0].split(": ", 1)[1] for each in sorted(folder.glob("0*.md"))}
    listed = re.findall(r"^- (\d+): \[([^\]]+)\]\(([^)]+)\)", (folder / "README.md").read_text(), re.MULTILINE)
    assert [(int(number), title, name) for number, title, name in listed] == [
        (int(name[:4]), title, name) for name, title in titles.items()]


def test_every_suite_is_listed():
    text = (ROOT / "Tests/README.md").read_text()
    suites = [each.name for each in (ROOT / "Tests").iterdir() if each.is_dir()]
    suites += [each.name for each in (ROOT / "Tests/Peers").glob("test_*.py")]
    assert [each for each in suites if f"`{each}`" not in text] == []


@documents
def test_functions_that_are_named_exist(path):
    """`receive(after:)`, `Type.method()` and the like are declared somewhere under Sources."""
    declared = set(re.findall(r"\b(?:func|var|let|init|case)\s+`?(\w+)", "\n".join(s.read_text() for s in SOURCES)))
    named = [each for each in code_spans(path.read_text()) if re.fullmatch(r"(\w+\.)?\w+\((\w+:)*\)", each)]
    missing = [each for each in named if re.sub(r"\(.*", "", each).split(".")[-1] not in declared | {"init"}]
    assert missing == []


@documents
def test_types_that_are_named_exist(path):
    """Names of two words or more in CamelCase."""
    declared = set(re.findall(
        r"\b(?:class|struct|enum|protocol|actor|typealias)\s+(\w+)", "\n".join(s.read_text() for s in SOURCES)))
    modules = {"PluginKit"} | {f"Gateway{each.name}" for each in (ROOT / "Sources/Gateway").iterdir()}
    foreign = {"CancellationError", "TaskExecutor", "SerialExecutor", "OptionSet", "NonisolatedNonsendingByDefault"}
    tests = {each.name for each in (ROOT / "Tests").iterdir()}
    plugins = {f"{each.name}Plugin" for each in (ROOT / "Sources/Plugins").iterdir()} | {
        "HelloPlugin", "NamePlugin", "GreeterPlugin", "PluginTesting"}
    libraries = {each.name for each in (ROOT / "Sources/CLibraries").iterdir()}
    spans = [re.sub(r"[.(].*", "", each) for each in code_spans(path.read_text()) if not each.endswith(".swift")]
    named = [each for each in spans if re.fullmatch(r"[A-Z][a-z]+([A-Z]+[a-z]*)+", each)]
    assert [each for each in named if each not in declared | modules | plugins | libraries | foreign | tests] == []


def example_settings():
    """What the plugins under Examples read, and the pattern for all of one's settings: `HELLO_GREETING`, `HELLO_`."""
    known = set()
    for source in (ROOT / "Examples").rglob("*.swift"):
        text = source.read_text()
        prefix = re.search(r'name: PluginName = "([a-z-]+)"', text)[1].upper().replace("-", "_")
        names = re.findall(r'env\.(?:optional|required)\(\s*"([A-Z_]+)"', text)
        known |= {f"{prefix}_", *(f"{prefix}_{name}" for name in names)}
    return known


@documents
def test_settings_that_are_named_are_read(path):
    known = set(reference_rows()) | example_settings()
    named = {each for span in code_spans(path.read_text()) for each in re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", span)}
    assert {each for each in named - known if not NOT_SETTINGS.fullmatch(each)} == set()


@documents
def test_make_targets_that_are_named_exist(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    named = {word for line in re.findall(r"(?:^|`)make ([a-z][a-z -]*)", text, re.MULTILINE) for word in line.split("  ")[0].split()}
    assert named - targets == set()


def test_defaults_in_the_table_of_limits_are_those_of_the_reference():
    rows = re.findall(r"^\|[^|]*\| ([^|]*) \| `([A-Z0-9_]+)` \|", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    reference = reference_rows()
    wrong = {name: (said, reference.get(name)) for said, name in rows if said.replace(" ", "") != reference.get(name)}
    assert wrong == {}
