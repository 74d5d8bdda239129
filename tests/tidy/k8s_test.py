#!/usr/bin/python3
"""The manifests would run this program: configurations accepted, ports and times agree, nothing runs with privileges.

    POSTLANE_PROGRAM=build/postlane k8s_test.py
"""

import copy
import os
import shutil
import subprocess
import tomllib
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
K8S = os.path.join(ROOT, "k8s")
FOLDERS = ("base", "overlays/dev")


def read(path):
    with open(os.path.join(K8S, path), encoding="utf-8") as file:
        return file.read()


def base_objects():
    """kind -> object, of the files that the base names."""
    names = yaml.safe_load(read("base/kustomization.yaml"))["resources"]
    return {document["kind"]: document for name in names for document in yaml.safe_load_all(read(f"base/{name}"))}


def pods(objects):
    return [(one, one["spec"]["template"]["spec"]) for one in objects if one["kind"] in ("StatefulSet", "Deployment")]


def security_complaints(pod):
    """What the restricted Pod Security Standard, or we, object to."""
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot") or context.get("runAsUser") != 65532:
        yield "must run as user 65532"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "must have the default seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "must not mount a service account's token"
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or not own.get("readOnlyRootFilesystem") \
                or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{container['name']} has privileges"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{container['name']} has no limit of memory"


def time_complaints(config, pod):
    drain_s = config["dispatch"]["drain_timeout_ms"] / 1000
    session_s = config["kafka"]["session_timeout_ms"] / 1000
    if not drain_s + 10 <= pod["terminationGracePeriodSeconds"]:
        yield "the grace period must leave 10 s after the drain"
    if not drain_s < session_s:
        yield "the drain must end within the session time-out"


def config_complaints(config, stateful_set, policy):
    pod = stateful_set["spec"]["template"]["spec"]
    container = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    if int(config["telemetry"]["listen"].rsplit(":", 1)[1]) != ports["telemetry"]:
        yield "the telemetry port is not the configured one"
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    if config["ledger"]["directory"] not in mounts:
        yield "the ledger's directory is no volume"
    files = [one["credentials_file"] for one in config["providers"] if "credentials_file" in one]
    files += [*config["kafka"].get("librdkafka_files", {}).values(), config["admin"]["token_file"]]
    yield from (f"{path} is on no volume" for path in files if os.path.dirname(path) not in mounts)
    open_ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    for server in config["kafka"]["bootstrap_servers"]:
        if int(server.rsplit(":", 1)[1]) not in open_ports:
            yield f"the network policy does not let {server} through"
    yield from time_complaints(config, pod)


class Manifests(unittest.TestCase):
    def test_configurations_are_accepted(self):
        for folder in FOLDERS:
            done = subprocess.run([os.environ["POSTLANE_PROGRAM"], "validate", "--no-environment",
                                   os.path.join(K8S, folder, "postlane.toml")], capture_output=True, text=True,
                                  timeout=30, check=False)
            self.assertEqual(done.returncode, 0, f"{folder}: {done.stdout}{done.stderr}")

    def test_base_agrees_with_its_configuration(self):
        objects, config = base_objects(), tomllib.loads(read("base/postlane.toml"))
        self.assertEqual(list(config_complaints(config, objects["StatefulSet"], objects["NetworkPolicy"])), [])

        slow = copy.deepcopy(config)
        slow["dispatch"]["drain_timeout_ms"] = 95_000
        elsewhere = copy.deepcopy(config)
        elsewhere["telemetry"]["listen"] = "0.0.0.0:9000"
        elsewhere["ledger"]["directory"] = "/data"
        elsewhere["kafka"]["bootstrap_servers"] = ["kafka:9999"]
        for broken, count in ((slow, 2), (elsewhere, 3)):
            self.assertEqual(len(list(config_complaints(broken, objects["StatefulSet"], objects["NetworkPolicy"]))), count)

    def test_probes_and_membership(self):
        stateful_set = base_objects()["StatefulSet"]
        container = stateful_set["spec"]["template"]["spec"]["containers"][0]
        for probe, path in (("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "telemetry"})
        sources = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"]}
        self.assertEqual(sources, {"POSTLANE__KAFKA__GROUP_INSTANCE_ID": "metadata.name"})
        self.assertEqual(stateful_set["spec"]["podManagementPolicy"], "Parallel")

    def test_no_privileges(self):
        objects = [*base_objects().values(), *yaml.safe_load_all(read("overlays/dev/sandbox.yaml"))]
        self.assertEqual(len(pods(objects)), 2)
        for one, pod in pods(objects):
            self.assertEqual(list(security_complaints(pod)), [], one["metadata"]["name"])
            root = copy.deepcopy(pod)
            root["securityContext"]["runAsUser"] = 0
            del root["containers"][0]["securityContext"]
            self.assertEqual(len(list(security_complaints(root))), 2)

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed; it is needed only here")
    def test_overlays_render(self):
        for folder in FOLDERS:
            done = subprocess.run(["kubectl", "kustomize", os.path.join(K8S, folder)], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            objects = list(yaml.safe_load_all(done.stdout))
            names = {one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"}
            stateful_set = next(one for one in objects if one["kind"] == "StatefulSet")
            volumes = stateful_set["spec"]["template"]["spec"]["volumes"]
            self.assertEqual({one["configMap"]["name"] for one in volumes if "configMap" in one}, names)
            labels = stateful_set["spec"]["template"]["metadata"]["labels"]
            selector = stateful_set["spec"]["selector"]["matchLabels"]
            self.assertEqual(selector, {name: labels.get(name) for name in selector})


if __name__ == "__main__":
    unittest.main()
