"""What users' records mean, read a second time and independently of postlane.

Written from the contract's words alone, so that the checker does not share postlane's mistakes. Where the contract
leaves room, the answer is "unclear", and the checker accepts either behaviour: it must never cry wolf.
"""

import datetime
import json
import re
import zlib
from dataclasses import dataclass, field

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
MICROS = 1_000_000
DAY_US = 86_400 * MICROS
MAX_STEP = 1_000_000  # plainly fine up to here; the contract names no limit
HEADERS_MAX = 32 * 1024  # of a send: names, values and 8 bytes each

SUPPRESSION_REASONS = {"unsubscribe", "hard_bounce", "soft_bounce", "complaint", "objection", "erasure", "manual"}


@dataclass
class Record:
    """One Kafka record as consumed. Times in milliseconds as Kafka has them."""
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list = field(default_factory=list)
    timestamp_ms: int = 0
    log_append_time: bool = False


def murmur2(data):
    """Java's default partitioner hash (Kafka's Utils.murmur2), as an unsigned number."""
    length, m = len(data), 0x5BD1E995
    h = (0x9747B28C ^ length) & 0xFFFFFFFF
    for i in range(0, length - 3, 4):
        k = int.from_bytes(data[i:i + 4], "little")
        k = (k * m) & 0xFFFFFFFF
        k ^= k >> 24
        k = (k * m) & 0xFFFFFFFF
        h = ((h * m) & 0xFFFFFFFF) ^ k
    rest = data[length & ~3:]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & 0xFFFFFFFF
    h ^= h >> 13
    h = (h * m) & 0xFFFFFFFF
    return h ^ (h >> 15)


def partition_of(key, partitions, partitioner="murmur2"):
    if partitioner == "crc32":
        return zlib.crc32(key) % partitions
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def parse_time(text):
    """RFC 3339 with an offset -> microseconds since the epoch; None if it is not that."""
    if not isinstance(text, str):
        return None
    match = re.match(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)\Z", text)
    if not match:
        return None
    day, clock, fraction, offset = match.groups()
    try:
        base = datetime.datetime.fromisoformat(f"{day}T{clock}{'+00:00' if offset in 'Zz' else offset}")
    except ValueError:
        return None
    return int(base.timestamp()) * MICROS + int(((fraction or "0") + "000000")[:6])


def slug(value):
    """Category, sequence id, route: trimmed, ASCII lower case. None if it is none."""
    if not isinstance(value, str):
        return None
    value = value.strip(" \t\r\n")
    value = "".join(c.lower() if c.isascii() else c for c in value)
    return value if SLUG.match(value) else None


def normalise_address(address):
    """The key of address suppressions: local part lower-cased, domain lower-cased and in A-label form."""
    if not isinstance(address, str) or "@" not in address:
        return None
    local, _, domain = address.strip().rpartition("@")
    try:
        domain = domain.lower().encode("idna").decode()
    except UnicodeError:
        domain = domain.lower()
    return f"{local.lower()}@{domain.lower()}"


def exact_id(value):
    return isinstance(value, str) and 1 <= len(value.encode("utf-8", "surrogatepass")) <= 512


@dataclass
class Send:
    """A send event. `problem` is set if the record is plainly broken; `plain` says it is plainly valid; neither: the
    contract leaves room and either verdict of postlane is accepted."""
    problem: str | None = None
    plain: bool = False
    recipient: str | None = None
    message: str | None = None
    campaign: str | None = None
    sequence: str | None = None
    step: int | None = None
    category: str = "default"
    address: str | None = None
    tag: str | None = None
    send_at_us: int | None = None
    delay_ms: int | None = None
    expires_at_us: int | None = None


class _Unclear(Exception):
    """Something that the contract does not plainly forbid or allow."""


def unframe(value):
    if value[:1] == b"\x00":
        return value[5:]
    return value


def _no_constants(_):
    raise _Unclear


def _pairs(pairs):
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Unclear
    return dict(pairs)


def read_json(value):
    """-> (document or None, problem or None); raises _Unclear."""
    if not value:
        return None, "malformed_json"
    body = unframe(value)
    if body[:3] == b"\xef\xbb\xbf":
        raise _Unclear
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constants, object_pairs_hook=_pairs)
    except RecursionError:
        raise _Unclear from None
    except ValueError:  # also bytes that are no UTF-8
        return None, "malformed_json"
    if b"\\ud" in body.lower() and re.search("[\ud800-\udfff]", json.dumps(document, ensure_ascii=False)):
        raise _Unclear  # half of a surrogate pair
    return document, None


def _is_mailbox(value):
    return (isinstance(value, dict) and isinstance(value.get("email"), str)
            and re.match(r"[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\Z", value["email"]) is not None
            and isinstance(value.get("name", ""), str))


def read_send(record, partitions, policy):
    """What postlane must make of one record of the sends topic."""
    send = Send()
    if record.key is None:
        send.problem = "missing_key"
        return send
    try:
        send.recipient = record.key.decode("utf-8")
    except UnicodeDecodeError:
        send.problem = "misrouted_key" if _misrouted(record, partitions, policy) else "invalid_field"
        return send
    if record.key == b"":
        return send  # a missing key or an invalid one
    if _misrouted(record, partitions, policy):
        send.problem = "misrouted_key"
        return send
    headers = sum(len(name.encode()) + len(value or b"") + 8 for name, value in record.headers or [])
    if headers > HEADERS_MAX or (record.value is not None and len(record.value) > policy.max_payload_bytes):
        send.problem = "too_large"
        return send
    try:
        document, send.problem = read_json(record.value)
        if send.problem:
            return send
        if not isinstance(document, dict) or not exact_id(send.recipient):
            send.problem = "invalid_field"
            return send
        _fill(send, document, policy)
    except _Unclear:
        pass
    return send


def _misrouted(record, partitions, policy):
    return partition_of(record.key, partitions, policy.partitioner) != record.partition


def _fill(send, document, policy):
    recipient = document.get("recipient_id")
    if recipient is not None and recipient != send.recipient:
        send.problem = "key_mismatch" if isinstance(recipient, str) else "invalid_field"
        return
    sequence = document.get("sequence")
    if sequence is not None:
        step = sequence.get("step") if isinstance(sequence, dict) else None
        send.sequence = slug(sequence.get("id")) if isinstance(sequence, dict) else None
        if send.sequence is None or not isinstance(step, int) or isinstance(step, bool) or step < 1:
            send.sequence, send.problem = None, "invalid_field"
            return
        if step > MAX_STEP:
            raise _Unclear
        send.step = step
    send.campaign = document.get("campaign_id")
    send.message = document.get("message_id")
    if send.message is None:
        send.message = _default_message_id(send)
    if send.message is None or not exact_id(send.message):
        send.message, send.problem = None, "invalid_field"
        return
    category = document.get("category", "default")
    send.category = slug(category)
    if send.category is None or not isinstance(document.get("to"), dict):
        send.problem = "invalid_field"
        return
    send.address = normalise_address(document["to"].get("email"))
    send.tag = _tag(document)
    send.send_at_us = parse_time(document.get("send_at"))
    send.expires_at_us = parse_time(document.get("expires_at"))
    send.delay_ms = document.get("delay_after_previous_ms")
    route = slug(document.get("route", "default"))
    if route is not None and policy.routes and route not in policy.routes:
        send.problem = "unknown_route"
        return
    send.plain = route is not None and _plainly_valid(document)


def _tag(document):
    """What the sandbox's record names as `tag`: the mark by which a body is recognised at the ESP."""
    for parent, name in (("metadata", "tag"), ("content", "subject")):
        value = document.get(parent)
        if isinstance(value, dict) and isinstance(value.get(name), str):
            return value[name]
    return None


def _default_message_id(send):
    prefix = f"campaign:{send.campaign}" if isinstance(send.campaign, str) and send.campaign else None
    if send.sequence is not None:
        own = f"sequence:{send.sequence}:{send.step}"
        return f"{prefix}:{own}" if prefix else own
    return prefix


def _plainly_valid(document):
    """Only shapes whose validity nobody would question."""
    content, template = document.get("content"), document.get("template")
    one = (content is None) != (template is None)
    fine = one and _is_mailbox(document["to"])
    if content is not None:
        fine = fine and isinstance(content, dict) and isinstance(content.get("subject"), str) \
            and (isinstance(content.get("text"), str) or isinstance(content.get("html"), str)) \
            and not re.search(r"[\x00-\x1f]", content["subject"]) \
            and not re.search(r"[\x00-\x08]", str(content.get("text", "")) + str(content.get("html", "")))
    if template is not None:
        fine = fine and isinstance(template, dict) and isinstance(template.get("id"), str) and template["id"] != "" \
            and isinstance(template.get("data", {}), dict)
    for name in ("from", "reply_to"):
        fine = fine and (name not in document or _is_mailbox(document[name]))
    for name in ("send_at", "expires_at"):
        fine = fine and (name not in document or parse_time(document[name]) is not None)
    delay = document.get("delay_after_previous_ms", 0)
    tags = document.get("tags", [])
    return bool(fine and isinstance(delay, int) and 0 <= delay < 10**10
                and isinstance(tags, list) and all(isinstance(tag, str) and tag for tag in tags)
                and isinstance(document.get("metadata", {}), dict)
                and all(isinstance(value, str) for value in document.get("metadata", {}).values())
                and "headers" not in document
                and "unsubscribe_url" not in document and isinstance(document.get("campaign_id", ""), str))


@dataclass
class Suppression:
    """A suppression event. `action` is suppress, unsuppress, none (has no effect) or unclear."""
    action: str = "none"
    reason: str = "manual"
    scope: str = "everything"
    occurred_us: int = 0
    expires_us: int | None = None
    certain: bool = True  # False: apply it only where that is the cautious reading


def read_scope(scope, default="everything"):
    """-> (text, valid)"""
    if scope is None:
        return default, True
    if isinstance(scope, dict) and len(scope) == 1:
        kind, name = next(iter(scope.items()))
        name = slug(name)
        if kind in ("category", "sequence") and name:
            return f"{kind}:{name}", True
    return "everything", False


def read_suppression(value, record_us):
    """What one suppression record says; the key, which names whom, is the caller's business."""
    try:
        document, problem = read_json(value)
    except _Unclear:
        return Suppression(action="unclear", certain=False)
    if problem or not isinstance(document, dict):
        return Suppression(action="none", certain=problem is not None)
    action = document.get("action")
    if action not in ("suppress", "unsuppress"):
        return Suppression(action="unclear", occurred_us=record_us, certain=False)
    reason, scope = document.get("reason"), document.get("scope")
    occurred = parse_time(document.get("occurred_at"))
    scope_text, scope_valid = read_scope(scope)
    known = reason in SUPPRESSION_REASONS
    if action == "unsuppress":
        if not known or not scope_valid or occurred is None:
            return Suppression(action="none", certain=False)
        return Suppression("unsuppress", reason, scope_text, min(occurred, record_us),
                           certain=scope is None or reason in ("manual", "unsubscribe"))
    result = Suppression("suppress", reason if known else "manual", scope_text, record_us)
    if occurred is not None:
        result.occurred_us = min(occurred, record_us)
    if result.reason not in ("unsubscribe", "manual"):
        result.scope = "everything"
    if result.reason == "soft_bounce":
        given = parse_time(document.get("expires_at"))
        result.expires_us = given if given is not None else result.occurred_us + 7 * DAY_US
    return result


class View:
    """The suppressions of one recipient or address after some prefix of its records.

    `cautious` resolves what is unclear towards "suppressed" (to justify a suppressed outcome), its opposite towards
    "not suppressed" (to accuse an execution)."""

    def __init__(self, cautious, transactional):
        self._cautious = cautious
        self._transactional = transactional
        self._entries = {}
        self._clearings = []

    def apply(self, event):
        if event.action == "unclear":
            if self._cautious:
                self._entries[("everything", "unclear")] = (event.occurred_us, None)
        elif event.action == "suppress":
            self._suppress(event)
        elif event.action == "unsuppress" and (event.certain or not self._cautious):
            self._clear(event)

    def _suppress(self, event):
        key = (event.scope, event.reason)
        for scope, reason, occurred in self._clearings:
            if self._matches(key, scope, reason) and occurred > event.occurred_us:
                return
        have = self._entries.get(key)
        if have is None or event.occurred_us >= have[0]:
            self._entries[key] = (event.occurred_us, event.expires_us)

    def _clear(self, event):
        scope = event.scope if event.certain else "everything"
        self._clearings.append((scope, event.reason, event.occurred_us))
        for key in [k for k, (occurred, _) in self._entries.items()
                    if self._matches(k, scope, event.reason) and occurred < event.occurred_us]:
            del self._entries[key]

    @staticmethod
    def _matches(key, scope, reason):
        return scope in ("everything", key[0]) and reason in ("manual", key[1])

    def blocks(self, category, sequence, at_us, slack_us=0):
        """`slack_us` moves the end of a temporary suppression in the accused's favour."""
        for (scope, reason), (_, expires) in self._entries.items():
            if expires is not None and expires <= at_us + (-slack_us if self._cautious else slack_us):
                continue
            if scope == "everything":
                if reason != "unsubscribe" or category not in self._transactional:
                    return True
            elif scope in (f"category:{category}", f"sequence:{sequence}"):
                return True
        return False
