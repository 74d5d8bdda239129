#!/usr/bin/python3
"""Every test that docs/guarantees.md names as a proof exists.

    guarantees_test.py [REPOSITORY]
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def words_of_tests(root):
    """Every identifier in the sources of the tests."""
    words = set()
    for folder, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if name.endswith((".cc", ".h", ".py")) and name != os.path.basename(__file__):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    words.update(re.findall(r"\w+", file.read()))
    return words


def names_in(text):
    """-> test names, each perhaps with * in it."""
    for code in re.findall(r"`([^`\n]+)`", text):
        test = re.fullmatch(r"(?:\w+/)?([A-Z]\w+)\.([\w*]+)(?:/([\w*]+))?", code)
        if test:
            yield from (part for part in test.groups() if part and part != "*")
        elif re.fullmatch(r"test_[\w*]+|[A-Z][a-z]+[A-Z]\w+", code):
            yield code
    for row in re.findall(r"^\| \d+ \|.*$", text, re.MULTILINE):
        proofs = re.sub(r"`[^`]*`", "", row.split("|")[-2])
        yield from re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", proofs)


def unknown(names, words):
    return sorted({name for name in names
                   if not any(re.fullmatch(name.replace("*", r"\w*"), word) for word in
                              ([name] if name in words else words if "*" in name else ()))})


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(HERE))
    with open(os.path.join(root, "docs", "guarantees.md"), encoding="utf-8") as file:
        names = list(names_in(file.read()))
    assert unknown(["NoSuchTestAnywhere" + "Ever", "test_checker*"], {"test_checker"}) == ["NoSuchTestAnywhereEver"]
    assert len(names) > 150, "the document's format is no longer understood"
    missing = unknown(names, words_of_tests(root))
    print("\n".join(f"docs/guarantees.md names {name}, which no test has" for name in missing)
          if missing else f"{len(set(names))} names")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
