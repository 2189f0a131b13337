"""The files of a deployment, as far as they can be checked without a cluster."""

import re
import shlex

import pytest
import yaml
from harness.gateway import ROOT

K8S = ROOT / "k8s"
FILES = sorted(K8S.glob("*.yaml"))
CONFIGURATION = ROOT / "docs/CONFIGURATION.md"

#: The deployment guide's own values: whoever followed it finds them here.
GUIDE = {
    "WEBSOCKET_PORT": "3001", "PING_INTERVAL": "30000", "PONG_TIMEOUT": "5000", "MAX_MISSED_PONGS": "3",
    "COMPRESSION_ENABLED": "true", "COMPRESSION_LEVEL": "6", "MAX_FRAME_SIZE": "1048576", "NODE_ENV": "production",
}
GUIDE_SECRETS = {
    "SUPABASE_AUTH_DOMAIN": "supabase-auth-domain",
    "SUPABASE_AUTH_AUDIENCE": "supabase-auth-audience",
    "SUPABASE_AUTH_ISSUER": "supabase-auth-issuer",
}

#: What the process may take, in seconds, once DRAIN_TIMEOUT is over: the loops' end, and the log's.
STOPPING = 4


def documents(path):
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def of_kind(kind):
    return [each for path in FILES for each in documents(path) if each["kind"] == kind]


@pytest.fixture(scope="module")
def pod():
    (deployment,) = of_kind("Deployment")
    return deployment["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.fixture(scope="module")
def environment(container):
    return {each["name"]: each for each in container["env"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_document_says_what_it_is_and_where(path):
    for each in documents(path):
        assert each["apiVersion"] and each["kind"]
        if each["kind"] != "Kustomization":
            assert each["metadata"]["name"] and each["metadata"]["namespace"] == "cloudtolocalllm"


def test_the_kustomization_lists_every_file_but_the_example():
    (kustomization,) = of_kind("Kustomization")
    others = {path.name for path in FILES} - {"kustomization.yaml", "secrets.example.yaml"}
    assert set(kustomization["resources"]) == others


def test_the_guides_settings_are_kept(environment):
    assert {name: environment[name].get("value") for name in GUIDE} == GUIDE
    references = {name: environment[name]["valueFrom"]["secretKeyRef"] for name in GUIDE_SECRETS}
    assert references == {
        name: {"name": "cloudtolocalllm-secrets", "key": key} for name, key in GUIDE_SECRETS.items()
    }


def test_every_secret_that_is_used_stands_in_the_example(environment):
    example = {each["metadata"]["name"]: each["stringData"] for each in of_kind("Secret")}
    for setting in environment.values():
        if reference := setting.get("valueFrom", {}).get("secretKeyRef"):
            assert reference.get("optional") or reference["key"] in example[reference["name"]]


def test_every_setting_is_documented(environment):
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", CONFIGURATION.read_text(), re.MULTILINE))
    assert set(environment) <= documented


def test_the_settings_file_is_mounted_and_sets_only_what_exists_and_nothing_twice(container, environment, pod):
    (settings,) = of_kind("ConfigMap")
    (volume,) = [each for each in pod["volumes"] if each["name"] == "settings"]
    assert volume["configMap"]["name"] == settings["metadata"]["name"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "settings"]
    assert "subPath" not in mount, "a mounted file never changes"
    (name,) = settings["data"]
    assert environment["GATEWAY_ENV_FILE"]["value"] == f"{mount['mountPath']}/{name}"
    names = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", settings["data"][name], re.MULTILINE))
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", CONFIGURATION.read_text(), re.MULTILINE))
    assert names and names <= documented and not names & set(environment)


def test_the_container_may_do_nothing_it_need_not(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    allowed = container["securityContext"]
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["allowPrivilegeEscalation"] is False
    assert allowed["capabilities"] == {"drop": ["ALL"]}


def test_the_drain_ends_before_the_pod_is_killed(pod, container, environment):
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    drain = int(environment["DRAIN_TIMEOUT"]["value"]) / 1000
    assert int(seconds) + drain + STOPPING < pod["terminationGracePeriodSeconds"]


def test_what_is_written_goes_to_a_volume(container, environment, pod):
    (mount,) = [each for each in container["volumeMounts"] if not each.get("readOnly")]
    assert mount["mountPath"] == environment["STATE_DIRECTORY"]["value"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    assert "emptyDir" in volume


def test_the_operators_port_is_in_the_pod_and_nowhere_else(container, environment):
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"websocket": 3001, "ops": 9901}
    assert environment["OPS_LISTEN"]["value"] == "0.0.0.0:9901"
    (service,) = of_kind("Service")
    assert [each["port"] for each in service["spec"]["ports"]] == [3001]
    for ingress in of_kind("Ingress"):
        assert "9901" not in str(ingress) and "'ops'" not in str(ingress)


def test_selectors_select_the_pods():
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    (service,), (budget,), (policy,) = map(of_kind, ("Service", "PodDisruptionBudget", "NetworkPolicy"))
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        policy["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector and selector.items() <= labels.items()


def test_the_ingress_lets_a_quiet_socket_live_for_an_hour():
    (ingress,) = of_kind("Ingress")
    notes = ingress["metadata"]["annotations"]
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(notes[f"nginx.ingress.kubernetes.io/{name}"]) >= 3600
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["ws.cloudtolocalllm.online"]


def test_the_image_is_built_with_the_packages_that_setup_installs():
    def words(pattern, text):
        return set(shlex.split(re.search(pattern, text, re.DOTALL)[1].replace("\\\n", " "), comments=True))

    setup = words(r"run_packages=\((.*?)\n\)", (ROOT / "scripts/setup").read_text())
    image = words(r"apt-get install --yes --no-install-recommends \\\n(.*?)&&", (ROOT / "Dockerfile.prod").read_text())
    assert image == setup - {"ffmpeg"}
