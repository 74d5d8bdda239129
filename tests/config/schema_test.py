"""The generated JSON Schema accepts what postlane accepts and refuses what postlane refuses.

Usage: schema_test.py CONFIG_PRINT EXAMPLE_TOML
"""
import json
import subprocess
import sys
import tomllib

import jsonschema

HEAD = "schema_version = 1\n"
HTTP = HEAD + '[[providers]]\nname = "a"\nkind = "http"\nbase_url = "https://esp.example/send"\n'
REFUSED = {
    "no schema_version": "",
    "unknown key": HEAD + "[kafka]\nclient = 1\n",
    "unknown section": HEAD + "[nonsense]\n",
    "string for integer": HEAD + '[dispatch]\nmax_in_flight = "512"\n',
    "out of range": HEAD + "[suppression]\nmax_staleness_ms = 49\n",
    "unknown word": HEAD + '[kafka]\npartitioner = "random"\n',
    "unsupported kind": HTTP.replace('"http"', '"ses"'),
    "http without base_url": HEAD + '[[providers]]\nname = "a"\nkind = "http"\n',
    "resend without credentials": HEAD + '[[providers]]\nname = "a"\nkind = "resend"\n',
    "key of another kind": HEAD + '[[providers]]\nname = "a"\nkind = "sendgrid"\n'
    'credentials_file = "/x"\nidempotency = "header"\n',
    "rate of zero": HTTP + "rate_per_second = 0\n",
    "owned property": HEAD + '[kafka.librdkafka]\n"group.id" = "x"\n',
    "property that is a list": HEAD + '[kafka.librdkafka]\n"linger.ms" = [5]\n',
    "route without providers": HEAD + '[[routes]]\nname = "default"\nproviders = []\n',
    "credentials in the URL": HTTP.replace("esp.example", "user:word@esp.example"),
}
ACCEPTED = {
    "the least": HEAD,
    "properties": HEAD + '[kafka.librdkafka]\n"linger.ms" = 5\n"log.connection.close" = false\n',
    "http": HTTP + 'idempotency = "header"\nrate_per_second = 5\nretry_statuses = [420]\n',
    "a route": HTTP + '[[routes]]\nname = "default"\nproviders = ["a"]\n'
    'from = {email = "hi@shop.example"}\n',
}


def loads(program: str, text: str) -> bool:
    """Whether postlane's own loader takes the text."""
    done = subprocess.run([program, "check"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 78), done
    return done.returncode == 0


def main() -> int:
    program, example = sys.argv[1:]
    printed = {
        what: subprocess.run([program, what], check=True, capture_output=True, text=True).stdout
        for what in ("schema", "default")
    }
    schema = json.loads(printed["schema"])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    with open(example, encoding="utf-8") as file:
        accepted = ACCEPTED | {"example": file.read(), "default": printed["default"]}

    wrong = []
    for name, text in accepted.items():
        wrong += [f"{name}: {e.message}" for e in validator.iter_errors(tomllib.loads(text))]
        if not loads(program, text):
            wrong.append(f"{name}: the loader refuses it")
    for name, text in REFUSED.items():
        if loads(program, text):
            wrong.append(f"{name}: the loader accepts it")
        if validator.is_valid(tomllib.loads(text)):
            wrong.append(f"{name}: accepted")
    print("\n".join(wrong) or f"{len(accepted)} accepted, {len(REFUSED)} refused, as they should")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
