"""Addresses, names, contents and credentials are planted everywhere; then every output is searched for them."""

import json
import os
import signal

from checker_facts import read_topic
from harness import eventually, http, now

# Words that occur nowhere else, so that finding one proves that it leaked.
LOCAL, DOMAIN = "quokka.canary", "leak-canary.example"
ADDRESS = f"{LOCAL}@{DOMAIN}"
NAME, SUBJECT, TEXT, LINK = "Nightjar Canary", "subject-canary-41", "text-canary-42", "link-canary-43"
API_KEY, TOKEN = "key-canary-44", "token-canary-45"
CANARIES = [LOCAL, DOMAIN, NAME, SUBJECT, TEXT, LINK, API_KEY, TOKEN]


def event(**changes):
    content = {"subject": SUBJECT, "text": TEXT}
    made = {"to": {"email": ADDRESS, "name": NAME}, "content": content, "message_id": "m",
            "unsubscribe_url": f"https://shop.example/{LINK}", **changes}
    return {name: value for name, value in made.items() if value is not None}


# Each is refused somewhere else on its way, with a message that could quote it.
REFUSED = [
    json.dumps(event())[:-3],
    json.dumps(event(to=f"{NAME} <{ADDRESS}>")),
    json.dumps(event(to={"email": ADDRESS + "\r\nBcc: x"})),
    json.dumps(event(to={"email": f"{LOCAL}@@{DOMAIN}"})),
    json.dumps(event(category=ADDRESS)),
    json.dumps(event(route=LOCAL)),
    json.dumps(event(send_at=ADDRESS)),
    json.dumps(event(headers={"X-A": f"b\r\n{ADDRESS}"})),
    json.dumps(event(headers={ADDRESS: "b"})),
    json.dumps(event(recipient_id=ADDRESS)),
    json.dumps(event(**{ADDRESS: 1}))[:-1] + f', "{ADDRESS}": 2}}',
    f'"{ADDRESS}"',
]


def private_file(stack, name, text):
    path = os.path.join(stack.directory, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


def test_nothing_personal_and_no_credential_is_ever_shown(make_stack):
    stack = make_stack(faults={"reject": 0.2, "throttle": 0.1, "error_5xx": 0.1, "drop_before": 0.1})
    key, token = private_file(stack, "key", API_KEY + "\n"), private_file(stack, "token", TOKEN + "\n")
    instance = stack.instance(providers=[dict(stack.base["providers"][0], credentials_file=key)],
                              admin={"token_file": token}).start()
    feed = stack.feed
    for number in range(30):
        feed.raw("sends", f"user-{number}".encode(), json.dumps(event()).encode())
    for number, value in enumerate(REFUSED):
        feed.raw("sends", f"bad-{number}".encode(), value.encode())
    feed.raw("sends", b"held", json.dumps(event(sequence={"id": "drip", "step": 2})).encode())
    feed.raw("sends", b"later", json.dumps(event(send_at=now(3_600_000))).encode())
    feed.suppress("user-0", source=ADDRESS, event_id=ADDRESS)
    feed.raw("suppressions", b"bad", f'{{"recipient_id": "{ADDRESS}"'.encode())
    feed.suppress_address(ADDRESS)
    feed.raw("address_suppressions", ADDRESS.encode(), f'{{"email": "{ADDRESS}"'.encode())
    feed.raw("address_suppressions", LOCAL.encode(), json.dumps({"email": LOCAL, "action": "suppress"}).encode())
    feed.flush()
    stack.outcomes.wait_for("the outcomes", lambda o: len(o.by_input) >= 30 + len(REFUSED))

    eventually("both rejected address suppressions are counted",
               lambda: instance.metric("postlane_address_suppressions_rejected_total") == 2)
    outputs = {}
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/metrics", "/metrics/ordering", "/livez", "/readyz", "/startupz"):
        outputs[path] = http("GET", instance.telemetry + path)[1]
    for path in ("/api/v1/status", "/api/v1/ledger", "/api/v1/recipients/user-1/timeline",
                 "/api/v1/recipients/bad-1/timeline", "/api/v1/recipients/held/timeline", f"/api/v1/{LOCAL[:3]}"):
        outputs[path] = http("GET", instance.admin + path, headers=authorization)[1]
    outputs["refused"] = http("GET", instance.admin + "/api/v1/status", headers={"Authorization": "Bearer no"})[1]
    outputs["check"] = http("POST", instance.admin + "/api/v1/suppressions:check", {"email": ADDRESS},
                            headers=authorization)[1]
    config = instance.config_path
    for command in (["validate", config], ["config", "show", "-c", config], ["explain", "-c", config, "user-1"],
                    ["explain", "-c", config, "held", "--json"], ["ledger", "stats", "-c", config],
                    ["ledger", "verify", "-c", config], ["topics", "check", "-c", config]):
        done = stack.run(*command)
        outputs[" ".join(command[:2])] = done.stdout + done.stderr
    instance.terminate()
    for end in (signal.SIGABRT, signal.SIGSEGV):
        instance.start()  # with mail in memory: held, scheduled, and on its way
        feed.raw("sends", b"crash-%d" % end, json.dumps(event()).encode())
        feed.flush()
        instance.signal(end)
        assert instance.wait() == -end
    outputs["log"] = instance.logs(1_000_000)
    for topic in ("outcomes", "dead_letters"):
        for number, record in enumerate(read_topic(stack.bootstrap, stack.topics[topic])):
            shown = [[name, (value or b"").decode("utf-8", "replace")] for name, value in record.headers or []]
            # A dead letter is the original, so its value may say anything; an outcome is ours.
            value = record.value.decode() if topic == "outcomes" else ""
            outputs[f"{topic} {number}"] = json.dumps(shown) + value

    leaks = [f"{canary!r} in {where}: ...{text[max(0, text.index(canary) - 80):][:200]}..."
             for where, text in outputs.items() for canary in CANARIES if canary in text]
    assert not leaks, "\n".join(leaks)
    assert len(outputs) > 30 + len(REFUSED) and "postlane_" in outputs["/metrics"] and outputs["log"]
