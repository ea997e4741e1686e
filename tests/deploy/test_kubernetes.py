"""The Kubernetes manifests are valid, deny by default and start a bot: each overlay as kubectl builds it."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from bots.adapters import SETTINGS_SECTIONS
from bots.cli import main as cli
from core.settings import load_settings, setting_variables
from core.timings import Timings
from tests.deploy.test_deploy import BOT_MEMORY_BYTES, FILE_READER_BYTES, ROOT, bytes_of
from tests.deploy.tools import run_tool

pytestmark = pytest.mark.slow

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("one", "shards", "webhook")
SEVERAL_PROCESSES = ("shards", "webhook")
OLDEST_VERSION = "1.29"
"""Of Kubernetes, for which the manifests are valid."""
LABELS = {"app.kubernetes.io/name": "parley"}
SECRET_VALUES = {
    "api_key": "io-key",
    "database_url": "postgresql://parley:password@postgres/parley",
    "discord_token": "MTIz.abc.def",
    "secret_key": "k" * 32,
    "telegram_token": "1:token",
}

Resource = dict[str, Any]


@cache
def build(overlay: str) -> tuple[Resource, ...]:
    return tuple(yaml.safe_load_all(run_tool("kubectl", "kustomize", KUBERNETES / "overlays" / overlay)))


def resources(overlay: str, kind: str) -> list[Resource]:
    return [resource for resource in build(overlay) if resource["kind"] == kind]


def resource(overlay: str, kind: str) -> Resource:
    (found,) = resources(overlay, kind)
    return found


def pod(overlay: str) -> Resource:
    spec: Resource = resource(overlay, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(overlay: str) -> Resource:
    (found,) = pod(overlay)["containers"]
    return dict(found)


def environment(overlay: str) -> dict[str, str]:
    """The variables of the container, with values for what the secret holds."""
    config_maps = {item["metadata"]["name"]: item["data"] for item in resources(overlay, "ConfigMap")}
    values: dict[str, str] = {}
    for source in container(overlay)["envFrom"]:
        values |= config_maps[source["configMapRef"]["name"]]
    for variable in container(overlay)["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["name"] == "parley"
        values[variable["name"]] = SECRET_VALUES[reference["key"]]
    return values


@pytest.mark.parametrize("version", [OLDEST_VERSION, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_are_valid(overlay: str, version: str) -> None:
    for item in build(overlay):
        kubernetes_validate.validate(item, version, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_references(overlay: str) -> None:
    assert resources(overlay, "Secret") == []
    assert set(environment(overlay)) <= setting_variables(SETTINGS_SECTIONS)
    text = yaml.safe_dump_all(build(overlay))
    assert not any(value in text for value in SECRET_VALUES.values())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_container_starts_a_bot_with_valid_settings(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(overlay).items():
        monkeypatch.setenv(name, value)
    settings = load_settings(SETTINGS_SECTIONS).core
    assert settings.database_url.startswith("postgresql:") == (overlay in SEVERAL_PROCESSES)
    assert "command" not in container(overlay), "the image's entry point is parley"
    name, *options = container(overlay)["args"]
    command = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    command.make_context(name, options)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_is_restricted(overlay: str) -> None:
    """What Kubernetes calls the restricted security standard, and a file system that is read-only."""
    specification = pod(overlay)
    assert specification["securityContext"]["runAsNonRoot"] is True
    assert specification["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert specification["automountServiceAccountToken"] is False
    assert container(overlay)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"]: mount["mountPath"] for mount in container(overlay)["volumeMounts"]}
    assert mounted == {"tmp": "/tmp", "data": "/data"}
    assert {volume["name"] for volume in specification["volumes"]} == set(mounted)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_has_the_user_of_the_image(overlay: str) -> None:
    user = pod(overlay)["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in (ROOT / "deploy" / "Containerfile").read_text()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_bot_has_time_to_stop_and_memory(overlay: str) -> None:
    assert pod(overlay)["terminationGracePeriodSeconds"] > Timings().exit_deadline + 5
    assert bytes_of(container(overlay)["resources"]["limits"]["memory"]) >= FILE_READER_BYTES + BOT_MEMORY_BYTES


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_selects_the_pods(overlay: str) -> None:
    deployment = resource(overlay, "Deployment")["spec"]
    assert deployment["template"]["metadata"]["labels"].items() >= LABELS.items()
    assert deployment["selector"] == {"matchLabels": LABELS}
    assert all(item["metadata"]["labels"] == LABELS for item in build(overlay))
    for policy in resources(overlay, "NetworkPolicy"):
        assert policy["spec"]["podSelector"] == {"matchLabels": LABELS}
    for budget in resources(overlay, "PodDisruptionBudget"):
        assert budget["spec"]["selector"] == {"matchLabels": LABELS}
    for service in resources(overlay, "Service"):
        assert service["spec"]["selector"] == LABELS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_network_is_closed_by_default(overlay: str) -> None:
    """Only the overlay with the webhook lets anybody in; metadata services and private networks are out of reach."""
    policies = {item["metadata"]["name"]: item["spec"] for item in resources(overlay, "NetworkPolicy")}
    assert sorted(policies["parley"]["policyTypes"]) == ["Egress", "Ingress"]
    incoming = {name: rule for name, policy in policies.items() for rule in policy.get("ingress", [])}
    assert set(incoming) == ({"parley-webhook"} if overlay == "webhook" else set())
    assert all(rule["from"] for rule in incoming.values())
    ports = {
        port["port"] for policy in policies.values() for rule in policy.get("egress", []) for port in rule["ports"]
    }
    assert ports == {53, 443} | ({5432} if overlay in SEVERAL_PROCESSES else set())
    blocks = [to["ipBlock"] for rule in policies["parley"]["egress"] for to in rule["to"] if "ipBlock" in to]
    excluded = {network for block in blocks for network in block.get("except", [])}
    assert {"10.0.0.0/8", "169.254.0.0/16", "fc00::/7"} <= excluded


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_dns_is_reachable_at_the_address_of_the_node_cache(overlay: str) -> None:
    (policy,) = (item["spec"] for item in resources(overlay, "NetworkPolicy") if item["metadata"]["name"] == "parley")
    rules = [rule for rule in policy["egress"] if {"ipBlock": {"cidr": "169.254.20.10/32"}} in rule["to"]]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [53, 53]


def build_with_component(overlay: str, component: str, folder: Path) -> list[Resource]:
    return build_overlay(f"resources: [../{overlay}]\ncomponents: [../../components/{component}]\n", folder)


def build_overlay(content: str, folder: Path) -> list[Resource]:
    shutil.copytree(KUBERNETES, folder / "kubernetes")
    own = folder / "kubernetes" / "overlays" / "own"
    own.mkdir()
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    (own / "kustomization.yaml").write_text(head + content)
    built = list(yaml.safe_load_all(run_tool("kubectl", "kustomize", own)))
    for item in built:
        kubernetes_validate.validate(item, OLDEST_VERSION, strict=True)
    return built


@pytest.mark.parametrize("overlay", SEVERAL_PROCESSES)
def test_component_backs_up_with_the_image_of_the_bot(tmp_path: Path, overlay: str) -> None:
    """In an overlay of the operator, as the component's comment says, with the operator's registry."""
    comment = (KUBERNETES / "components" / "backup" / "kustomization.yaml").read_text()
    content = "".join(
        line.removeprefix("#   ") for line in comment.splitlines(keepends=True) if line.startswith("#   ")
    )
    own = content.replace("../shards", f"../{overlay}").replace("newName: registry.example.org", "newName: own.org")
    built = build_overlay(own, tmp_path)
    (job,) = (item["spec"]["jobTemplate"]["spec"] for item in built if item["kind"] == "CronJob")
    (bot,) = (item["spec"] for item in built if item["kind"] == "Deployment")
    images = [run["template"]["spec"]["containers"][0]["image"] for run in (job, bot)]
    assert images == [container(overlay)["image"].replace("registry.example.org", "own.org")] * 2


def test_component_backs_up_as_the_bot(tmp_path: Path) -> None:
    """As confined as the bot, and to a volume; its pods get no requests of the webhook."""
    built = build_with_component("webhook", "backup", tmp_path)
    (job,) = (item["spec"] for item in built if item["kind"] == "CronJob")
    template = job["jobTemplate"]["spec"]["template"]
    labels, specification = template["metadata"]["labels"], template["spec"]
    assert labels != LABELS
    policies = {item["metadata"]["name"]: item["spec"] for item in built if item["kind"] == "NetworkPolicy"}
    assert policies["parley-backup"]["podSelector"] == {"matchLabels": labels}
    assert specification["securityContext"] == pod("webhook")["securityContext"]
    (backup,) = specification["containers"]
    assert backup["securityContext"] == container("webhook")["securityContext"]
    (variable,) = backup["env"]
    assert variable in container("webhook")["env"]
    claims = {volume["name"]: volume.get("persistentVolumeClaim") for volume in specification["volumes"]}
    assert claims["backups"] == {"claimName": "parley-backup"}
    assert {"name": "backups", "mountPath": "/backups"} in backup["volumeMounts"]
    _, _, script = backup["command"]
    name, file = script.split(" && ")[0].removeprefix("parley ").split(" ", 1)
    assert file.startswith('"/backups/')
    typer.main.get_command(cli.app).commands[name].make_context(name, [file])  # type: ignore[attr-defined]


def test_restore_has_the_database_of_the_bot_and_its_confinement() -> None:
    (item,) = yaml.safe_load_all((KUBERNETES / "restore.yaml").read_text())
    kubernetes_validate.validate(item, OLDEST_VERSION, strict=True)
    assert item["metadata"]["labels"] != LABELS
    assert item["spec"]["securityContext"] == pod("one")["securityContext"]
    (restore,) = item["spec"]["containers"]
    for key in ("image", "securityContext", "volumeMounts"):
        assert restore[key] == container("one")[key]
    by_name = {volume["name"]: volume for volume in item["spec"]["volumes"]}
    assert by_name == {volume["name"]: volume for volume in pod("one")["volumes"]}


def test_component_lets_prometheus_in(tmp_path: Path) -> None:
    built = build_with_component("one", "prometheus", tmp_path)
    (policy,) = (item["spec"] for item in built if item["metadata"]["name"] == "parley-metrics")
    _, _, port = environment("one")["PARLEY_MONITORING_LISTEN"].rpartition(":")
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": int(port)}]
    assert policy["ingress"][0]["from"], "nobody else"
    (deployment,) = (item["spec"]["template"] for item in built if item["kind"] == "Deployment")
    assert policy["podSelector"]["matchLabels"] == deployment["metadata"]["labels"]
    assert deployment["metadata"]["annotations"]["prometheus.io/port"] == port


def test_one_process_has_its_database_on_a_volume_and_ends_before_the_next_starts() -> None:
    deployment = resource("one", "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    volumes = {volume["name"]: volume for volume in pod("one")["volumes"]}
    claim = resource("one", "PersistentVolumeClaim")["metadata"]["name"]
    assert volumes["data"] == {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    assert "DATABASE_URL=sqlite:////data/" in (ROOT / "deploy" / "Containerfile").read_text()


@pytest.mark.parametrize("overlay", SEVERAL_PROCESSES)
def test_replicas_survive_the_drain_of_a_node(overlay: str) -> None:
    deployment = resource(overlay, "Deployment")["spec"]
    assert deployment["replicas"] == 3
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert resource(overlay, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert pod(overlay)["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_the_monitoring_listener(overlay: str) -> None:
    host, _, port = environment(overlay)["PARLEY_MONITORING_LISTEN"].rpartition(":")
    assert host == "0.0.0.0", "probes come from outside the pod's loopback"
    assert {"name": "monitoring", "containerPort": int(port)} in container(overlay)["ports"]
    probes = {name: container(overlay)[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {"monitoring"}
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_requests_to_the_webhook_reach_its_port() -> None:
    values = environment("webhook")
    _, _, listen_port = values["TELEGRAM_WEBHOOK_LISTEN"].rpartition(":")
    port = next(port for port in container("webhook")["ports"] if port["name"] == "webhook")
    service_port = resource("webhook", "Service")["spec"]["ports"][0]
    (rule,) = resource("webhook", "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert port["containerPort"] == int(listen_port)
    assert service_port["targetPort"] == port["name"]
    assert path["backend"]["service"] == {
        "name": resource("webhook", "Service")["metadata"]["name"],
        "port": {"name": service_port["name"]},
    }
    assert f"https://{rule['host']}{path['path']}" == values["TELEGRAM_WEBHOOK_URL"]
    assert path["pathType"] == "Exact"
    policies = {item["metadata"]["name"]: item["spec"] for item in resources("webhook", "NetworkPolicy")}
    assert policies["parley-webhook"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": int(listen_port)}]


def test_ingress_names_its_controller_and_how_to_create_the_certificate() -> None:
    """Without a class, only a cluster with a default controller serves the ingress."""
    specification = resource("webhook", "Ingress")["spec"]
    (certificate,) = specification["tls"]
    assert certificate["hosts"] == [specification["rules"][0]["host"]]
    policies = {item["metadata"]["name"]: item["spec"] for item in resources("webhook", "NetworkPolicy")}
    (source,) = policies["parley-webhook"]["ingress"][0]["from"]
    namespace = source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert namespace == f"ingress-{specification['ingressClassName']}"
    text = (KUBERNETES / "overlays" / "webhook" / "ingress.yaml").read_text()
    assert f"create secret tls {certificate['secretName']} " in text


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_image_has_the_version_of_the_project(overlay: str) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    _, _, version = container(overlay)["image"].rpartition(":")
    assert f'\nversion = "{version}"\n' in project


def test_every_file_is_used() -> None:
    """kubectl reads only what a kustomization names."""
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        text = kustomization.read_text()
        others = {path.name for path in Path(kustomization.parent).glob("*.yaml")} - {kustomization.name}
        assert all(f" {name}\n" in text for name in others), kustomization
