"""The command line, refusals and HTTP endpoints, as a user meets them."""

import json
import os
import subprocess
import tomllib

import pytest

from harness import BINARY, create_topics, http, now, to_toml
from checker_facts import partition_counts


def write(stack, name, text):
    path = os.path.join(stack.directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.fixture(scope="module")
def offline():
    """Runs a command that needs no Kafka."""
    assert os.path.exists(BINARY), f"{BINARY} is missing: build it first (make build)"

    def run(*arguments, stdin=None):
        return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20, input=stdin,
                              check=False)
    return run


def test_version_and_usage(offline):
    assert offline("version").returncode == 0
    assert offline("--help").returncode == 0
    for wrong in (["frobnicate"], ["run"], ["run", "--no-such-flag"], []):
        done = offline(*wrong)
        assert done.returncode == 64, (wrong, done)
        assert done.stderr and not done.stdout


def test_config_default_is_valid_and_schema_is_json(offline, tmp_path):
    default = offline("config", "default")
    assert default.returncode == 0
    document = tomllib.loads(default.stdout)
    assert document["suppression"]["max_staleness_ms"] == 250
    assert document["ordering"]["on_gap"] == "dead_letter"
    schema = json.loads(offline("config", "schema").stdout)
    assert "properties" in schema
    path = tmp_path / "default.toml"
    path.write_text(default.stdout)
    done = offline("validate", "--no-environment", str(path))
    assert done.returncode in (0, 78), done  # the default may name files that do not exist here


@pytest.mark.parametrize("text,line,hint", [
    ('schema_version = 1\n[kafka]\nbootstrap_servers = ["localhost:9092"]\ngroup = "x"\n', 4, "group_id"),
    ('schema_version = 1\n[dispatch]\nmax_in_flight = "512"\n', 3, "quotes"),
    ("schema_version = 1\n[suppression]\nmax_staleness_ms = 10\n", 3, "50"),
    ('schema_version = 1\n[kafka.librdkafka]\n"enable.auto.commit" = "true"\n', 3, "enable.auto.commit"),
    ("schema_version = 1\n[kafka\n", 2, ""),
], ids=["UnknownKey", "WrongType", "OutOfRange", "OwnedProperty", "NoToml"])
def test_configuration_errors_name_the_place(offline, tmp_path, text, line, hint):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    done = offline("validate", "--no-environment", str(path))
    assert done.returncode == 78, done
    complaint = done.stderr + done.stdout
    assert f"broken.toml:{line}:" in complaint and hint in complaint, complaint
    assert offline("run", "-c", str(path)).returncode == 78


def test_validate_prints_the_guarantee_sheet(make_stack):
    stack = make_stack(provider={"idempotency": "none"})
    path, _ = stack.config()
    done = stack.run("validate", path)
    assert done.returncode == 0, done.stderr
    sheet = done.stdout.lower()
    for word in ("order", "suppression", "duplicate", "loss", "ambiguous", "main", "default"):
        assert word in sheet, done.stdout
    brokers = done.stdout.split("\nBrokers\n")[1]
    assert "1 broker answered" in brokers and "as postlane needs them" in brokers, done.stdout
    offline_sheet = stack.run("validate", "--no-environment", path)
    assert offline_sheet.returncode == 0 and "\nBrokers\n" not in offline_sheet.stdout
    shown = stack.run("config", "show", "-c", path)
    assert shown.returncode == 0 and stack.topics["sends"] in shown.stdout


@pytest.mark.parametrize("properties,reason", [
    ({"security.protocol": "SSL"}, "SSL_HANDSHAKE"),
    ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "me",
      "sasl.password": "hunter2"}, "SASL PLAIN mechanism handshake failed"),
], ids=["NoTls", "NoSasl"])
def test_validate_says_why_the_brokers_cannot_be_talked_to(make_stack, properties, reason):
    stack = make_stack()
    path, _ = stack.config("unreached", kafka={"librdkafka": properties})
    done = stack.run("validate", path)
    assert done.returncode == 0 and reason in done.stdout, done
    assert json.loads(stack.run("validate", "--json", path).stdout)["brokers"]["why"].find(reason) > 0
    assert "hunter2" not in done.stdout + done.stderr


def test_secrets_and_addresses_are_never_printed(make_stack):
    stack = make_stack()
    secret = write(stack, "token", "hunter2-secret\n")
    os.chmod(secret, 0o644)
    providers = [dict(stack.base["providers"][0], credentials_file=secret)]
    instance = stack.instance(providers=providers, admin={"token_file": secret})
    for command in (["validate", instance.config_path], ["config", "show", "-c", instance.config_path]):
        done = stack.run(*command)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    assert "token" in stack.run("validate", instance.config_path).stderr, "no warning about a readable secret"
    instance.start()
    stack.feed.send("ann", "m")
    stack.check()
    assert http("GET", instance.admin + "/api/v1/recipients/ann/timeline")[0] == 401
    answer = http("GET", instance.admin + "/api/v1/recipients/ann/timeline", headers={
        "Authorization": "Bearer hunter2-secret"})
    assert answer[0] == 200, answer
    instance.terminate()
    assert "hunter2" not in instance.logs(10_000) and "@example.com" not in instance.logs(10_000)


def test_environment_overrides_the_file(make_stack):
    stack = make_stack()
    instance = stack.instance(process={"env": {"POSTLANE__KAFKA__GROUP_ID": "from-environment"}})
    os.environ["POSTLANE__KAFKA__GROUP_ID"] = "from-environment"
    try:
        shown = stack.run("config", "show", "-c", instance.config_path)
    finally:
        del os.environ["POSTLANE__KAFKA__GROUP_ID"]
    assert "from-environment" in shown.stdout, shown


def test_topics_create_and_check(make_stack, kafka):
    stack = make_stack()
    topics = {name: topic + ".made" for name, topic in stack.topics.items()}
    path, _ = stack.config("made", topics=topics)
    missing = stack.run("topics", "check", "-c", path)
    assert missing.returncode in (1, 78) and topics["sends"] in missing.stdout + missing.stderr, missing
    created = stack.run("topics", "create", "-c", path)
    assert created.returncode == 0, created.stderr
    counts = partition_counts(kafka, list(topics.values()))
    assert counts[topics["sends"]] == counts[topics["suppressions"]] == counts[topics["ledger"]] > 0
    checked = stack.run("topics", "check", "-c", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    again = stack.run("topics", "create", "-c", path)
    assert again.returncode == 0, again.stderr


def test_topics_create_goes_by_the_sends_topic_that_exists(make_stack, kafka):
    stack = make_stack()
    topics = {name: topic + ".beside" for name, topic in stack.topics.items()}
    path, _ = stack.config("beside", topics=topics)
    create_topics(kafka, topics, 3, only=["sends"])
    other = stack.run("topics", "create", "-c", path, "--partitions", "5")
    assert other.returncode == 78 and "nothing was made" in other.stderr, other
    counts = partition_counts(kafka, list(topics.values()))
    assert [topic for topic, count in counts.items() if count] == [topics["sends"]], counts
    created = stack.run("topics", "create", "-c", path)
    assert created.returncode == 0, created.stdout + created.stderr
    counts = partition_counts(kafka, list(topics.values()))
    assert counts[topics["ledger"]] == counts[topics["suppressions"]] == 3, counts


def test_topics_create_on_too_few_brokers_is_a_matter_of_configuration(make_stack):
    stack = make_stack()
    topics = {name: topic + ".three" for name, topic in stack.topics.items()}
    path, _ = stack.config("three", topics=topics)
    refused = stack.run("topics", "create", "-c", path, "--replication-factor", "3")
    assert refused.returncode == 78 and "--replication-factor 1" in refused.stderr, refused


def test_output_that_cannot_be_written_is_said(make_stack):
    stack = make_stack()
    with open("/dev/full", "wb") as full:
        for command in (["version"], ["config", "default"], ["config", "schema"]):
            done = subprocess.run([BINARY, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
            assert done.returncode == 74 and "cannot be written" in done.stderr, (command, done)
    empty = stack.run("explain", "-c", stack.config()[0], "")
    assert empty.returncode == 65 and "empty" in empty.stderr, empty
    for seed in ("-1", "18446744073709551616", "x"):
        assert stack.run("simulate", "--seed", seed).returncode == 64, seed


REFUSALS = {
    "SuppressionPartitions": ({"suppressions": {"partitions": 3}}, "suppressions"),
    "LedgerPartitions": ({"ledger": {"partitions": 3}}, "ledger"),
    "LedgerNotCompacted": ({"ledger": {"config": {"cleanup.policy": "delete"}}}, "cleanup.policy"),
    "SuppressionsCompacted": ({"suppressions": {"config": {"cleanup.policy": "compact"}}}, "cleanup.policy"),
    "AddressSuppressionsLost": ({"address_suppressions": {"config": {"retention.ms": "3600000"}}}, "retention.ms"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_topology_that_breaks_a_promise_is_refused(make_stack, name):
    changes, word = REFUSALS[name]
    stack = make_stack(topic_changes=changes)
    instance = stack.instance()
    instance.spawn()
    assert instance.wait(20) == 78, instance.logs()
    assert word in instance.logs()
    checked = stack.run("topics", "check", "-c", instance.config_path)
    assert checked.returncode in (1, 78) and word in checked.stdout + checked.stderr


def test_durable_topics_are_required_unless_switched_off(make_stack):
    stack = make_stack(kafka={"require_durable_topics": True})
    instance = stack.instance()
    instance.spawn()
    assert instance.wait(20) == 78, instance.logs()
    assert "require_durable_topics" in instance.logs()


def test_more_partitions_than_at_genesis_are_refused(make_stack, kafka):
    """The hash would move recipients to partitions that do not know them."""
    from confluent_kafka.admin import AdminClient, NewPartitions
    stack = make_stack(partitions=2)
    instance = stack.instance().start()
    stack.feed.send("ann", "m")
    stack.check()
    instance.terminate()
    admin = AdminClient({"bootstrap.servers": kafka})
    # Every topic that must have as many, so that nothing but the ledger's genesis can tell.
    for name in ("sends", "suppressions", "ledger", "outcomes", "dead_letters", "provider_events"):
        for future in admin.create_partitions([NewPartitions(stack.topics[name], 3)]).values():
            future.result(20)
    instance.spawn()
    assert instance.wait(20) == 78, instance.logs()
    assert "partition_count_changed" in instance.logs()


def test_unreachable_kafka_is_said(make_stack):
    stack = make_stack()
    path, document = stack.config()
    document["kafka"]["bootstrap_servers"] = ["127.0.0.1:9"]
    path = write(stack, "nowhere.toml", to_toml(document))
    done = stack.run("topics", "check", "-c", path)
    assert done.returncode == 69, done
    assert "127.0.0.1:9" in done.stdout + done.stderr


def test_send_explain_and_ledger_commands(make_stack):
    stack = make_stack()
    instance = stack.instance().start()
    config = ["-c", instance.config_path]
    events = [dict(stack.feed.event(f"user-{i}", "m"), recipient_id=f"user-{i}") for i in range(20)]
    done = stack.run("send", *config, write(stack, "events.ndjson", "".join(json.dumps(e) + "\n" for e in events)))
    assert done.returncode == 0, done.stderr
    one = stack.run("send", *config, stdin=json.dumps(dict(events[0], message_id="from-stdin")) + "\n")
    assert one.returncode == 0, one.stderr
    bad = stack.run("send", *config, write(stack, "bad.ndjson", '{"recipient_id": "x"}\n'))
    assert bad.returncode == 65 and "bad.ndjson:1" in bad.stderr, bad
    stack.feed.sends += 21
    stack.feed.suppress("stopped")
    stack.feed.flush()
    stack.feed.send("stopped", "m")
    stack.feed.step("waiting", "drip", 2)
    stack.feed.send("later", "m", send_at=now(3_600_000))
    stack.outcomes.wait_for("the outcomes", lambda o: len(o.by_input) >= 22)

    for who, code, verdict in (("user-3", 0, "sent"), ("stopped", 1, "suppressed"), ("waiting", 1, "held"),
                               ("later", 1, "scheduled"), ("nobody", 1, "unknown")):
        done = stack.run("explain", *config, who)
        assert done.returncode == code, (who, done)
        assert verdict in done.stdout.lower(), (who, done.stdout)
        assert "@example.com" not in done.stdout
    asked = stack.run("explain", *config, "user-0", "--message", "from-stdin", "--json")
    assert asked.returncode == 0 and "sent" in json.dumps(json.loads(asked.stdout)), asked
    assert stack.run("explain", *config, "user-0", "--message", "no-such").returncode == 1

    ordering = json.loads(http("GET", instance.telemetry + "/metrics/ordering")[1])
    assert {"out_of_order", "gaps", "duplicates", "held", "recipients"} <= set(ordering)
    assert ordering["held"] == 1 and ordering["gaps"] == 1
    for probe in ("/livez", "/readyz", "/startupz"):
        assert http("GET", instance.telemetry + probe)[0] == 200, probe
    assert http("GET", instance.telemetry + "/nothing")[0] == 404
    live = stack.run("ledger", "verify", *config, "--json")  # by the instance, while it works
    assert live.returncode == 0 and not live.stderr, live
    verdict = json.loads(live.stdout)
    assert verdict["agrees"] and sum(p["compared"] for p in verdict["partitions"]) > 20, verdict
    instance.terminate()
    assert stack.run("explain", *config, "user-3").returncode == 69
    stats = stack.run("ledger", "stats", *config)
    assert stats.returncode == 0 and stats.stdout, stats.stderr
    verified = stack.run("ledger", "verify", *config)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_known_series_exist_at_zero(make_stack):
    stack = make_stack()
    instance = stack.instance().start()
    names = {series.split("{")[0] for series in instance.metrics()}
    for name in ("postlane_events_consumed_total", "postlane_outcomes_total", "postlane_send_attempts_total",
                 "postlane_send_duration_seconds_count", "postlane_dispatch_latency_seconds_count",
                 "postlane_out_of_order_total", "postlane_gaps_total", "postlane_in_flight",
                 "postlane_suppression_staleness_seconds", "postlane_partition_lag_records",
                 "postlane_ledger_write_duration_seconds_count", "postlane_ambiguous_total"):
        assert name in names, name
    assert all(name.startswith("postlane_") or name.startswith("process_") for name in names)


@pytest.mark.parametrize("kind,idempotency", [("sendgrid", "none"), ("resend", "header")])
def test_wire_formats_of_the_providers(make_stack, kind, idempotency):
    stack = make_stack(faults={"latency_ms": 2, "accept_then_drop": 0.02 if kind == "resend" else 0, "throttle": 0.05})
    key = write(stack, "key", "a-key\n")
    os.chmod(key, 0o600)
    providers = [{"name": "main", "kind": kind, "base_url": stack.sandbox.url, "credentials_file": key,
                  "timeout_ms": 1000}]
    instance = stack.instance(providers=providers).start()
    for i in range(150):
        stack.feed.step(f"user-{i}", "drip", 1)
        stack.feed.step(f"user-{i}", "drip", 2)
    report = stack.check(min_executed=300)
    assert report.outcome_count("sent") == 300
    assert {row["provider"] for row in stack.sandbox.requests()} == {kind}
    assert (idempotency == "header") == all(row["idempotency_key"] for row in stack.sandbox.requests())
    instance.terminate()
