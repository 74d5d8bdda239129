#!/usr/bin/python3
"""Rules about the source text that no compiler checks. Prints every violation; exit 1 if there is one.

    tidy.py [REPOSITORY]

The layers' include rules are the table LAYERS below; a folder that is not in it is a violation.
"""

import ast
import os
import re
import subprocess
import sys

FILE_LINES, FUNCTION_LINES, COLUMNS = 600, 70, 120

# Folder -> what its quoted includes may begin with. The longest folder that fits a file rules.
LAYERS = {
    "include/postlane": ("postlane/",),
    "src/core": ("postlane/", "core/"),
    "src/codec": ("postlane/", "codec/", "core/"),
    "src/config": ("postlane/", "config/"),
    "src/runtime": ("postlane/", "runtime/", "core/", "codec/"),
    "src/adapters/http": ("postlane/", "codec/", "adapters/http/"),
    "src/adapters/kafka": ("postlane/", "codec/", "adapters/kafka/"),
    "src/adapters/listener": ("postlane/", "codec/", "adapters/listener/"),
    "src/adapters/prometheus": ("postlane/", "codec/", "adapters/prometheus/"),
    "src/adapters/rocksdb": ("postlane/", "codec/", "adapters/rocksdb/"),
    "src/adapters/system": ("postlane/", "codec/", "adapters/system/"),
    "src/sandbox": ("sandbox/",),  # judges the dispatch path, so shares no code with it
    "src/app": ("postlane/", "core/", "codec/", "config/", "runtime/", "adapters/", "app/", "sandbox/",
                "sim/"),  # postlane simulate
    "tests/sim": ("postlane/", "core/", "codec/", "runtime/", "sim/"),
}

# Library header -> folders that may include it, besides tests and bench.
LIBRARIES = {
    "librdkafka/": ("src/adapters/kafka", "src/app"),
    "rocksdb/": ("src/adapters/rocksdb", "src/app"),
    "curl/": ("src/adapters/http", "src/app"),
    "prometheus/": ("src/adapters/prometheus",),
    "spdlog/": ("src/adapters/system",),
    "boost/": ("src/adapters/listener", "src/sandbox", "src/app"),
    "toml++/": ("src/config",),
    "CLI/": ("src/app", "src/sandbox"),
    "simdjson.h": ("src/codec", "src/adapters/listener", "src/sandbox", "src/app"),
}

# The decisions depend on nothing but their input: no clock or thread, and no container whose order of iteration
# could leak into them.
PURE = ("src/core", "include/postlane")
IMPURE_HEADERS = {
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "stop_token", "semaphore", "latch", "barrier",
    "random", "unordered_map", "unordered_set", "iostream", "fstream", "sstream", "filesystem", "ctime", "csignal",
    "unistd.h", "pthread.h", "time.h"}

BANNED_WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b|\b(?i:not implemented|for now)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}@-])/(work|root|home)/\w")
TEXT = (".h", ".cc", ".py", ".sh", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".html", ".xml", "Makefile",
        "Dockerfile")
CONTROL = re.compile(r"^(if|for|while|switch|catch|else|do|try|return|namespace|struct|class|enum|union|extern)\b")


def blanked(text):
    """C++ text with the content of comments, strings and characters replaced by spaces; lines stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
                         re.DOTALL)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def functions(text):
    """-> (first line, lines) of every function body's definition outside of other functions."""
    text = re.sub(r"^#.*?(?<!\\)$", lambda match: re.sub(r"[^\n]", " ", match.group()), blanked(text),
                  flags=re.MULTILINE | re.DOTALL)
    depth_of_function, depth, head_start = None, 0, 0
    start_line = line = 1
    for position, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            head = text[head_start:position].strip()
            head = re.sub(r"^(public|private|protected):\s*", "", head)
            if depth_of_function is None and ")" in head and not CONTROL.match(head) and "= " not in head.split("(")[0]:
                depth_of_function, start_line = depth, line - head.count("\n")
            depth += 1
            head_start = position + 1
        elif char == "}":
            depth -= 1
            head_start = position + 1
            if depth_of_function == depth:
                yield start_line, line - start_line + 1
                depth_of_function = None
        elif char == ";":
            head_start = position + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def inside_raw_string(text):
    """Numbers of the lines that continue a raw string: text of another kind, kept as it is."""
    lines = set()
    for found in re.finditer(r'R"(\w*)\((.*?)\)\1"', text, re.DOTALL):
        first = text.count("\n", 0, found.start()) + 1
        lines.update(range(first + 1, first + found.group().count("\n") + 1))
    return lines


def inside(path, folder):
    return path.startswith(folder + "/")


def include_violations(path, number, include):
    quoted, name = include
    layer = max((folder for folder in LAYERS if inside(path, folder)), key=len, default=None)
    if layer is None and inside(path, "src"):
        yield f"{path}:{number}: this folder has no row in LAYERS of tests/tidy/tidy.py"
    elif quoted and layer and not name.startswith(LAYERS[layer]):
        yield f"{path}:{number}: {layer} must not include {name}; it may include {', '.join(LAYERS[layer])}"
    if quoted or inside(path, "tests") or inside(path, "bench"):
        return
    for library, folders in LIBRARIES.items():
        if name.startswith(library) and not any(inside(path, folder) for folder in folders):
            yield f"{path}:{number}: <{name}> is for {', '.join(folders)} alone"
    if name in IMPURE_HEADERS and any(inside(path, folder) for folder in PURE):
        yield f"{path}:{number}: the core is pure, <{name}> is not for it"


def source_violations(path, text):
    lines = text.splitlines()
    cpp = path.endswith((".h", ".cc"))
    if len(lines) > FILE_LINES:
        yield f"{path}: {len(lines)} lines, at most {FILE_LINES}"
    foreign = inside_raw_string(text) if cpp else set()
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and number not in foreign:
            yield f"{path}:{number}: {len(line)} columns, at most {COLUMNS}"
        include = re.match(r'#include ([<"])([^>"]+)', line) if cpp else None
        if include:
            yield from include_violations(path, number, (include[1] == '"', include[2]))
    if path.endswith(".h") and "#pragma once" not in lines:
        yield f"{path}: no #pragma once"
    for number, length in (functions if cpp else python_functions)(text):
        if length > FUNCTION_LINES:
            yield f"{path}:{number}: function of {length} lines, at most {FUNCTION_LINES}"


def word_violations(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for found in BANNED_WORDS.finditer(line):
            yield f"{path}:{number}: says '{found.group()}'"
        for found in MACHINE_PATH.finditer(line):
            yield f"{path}:{number}: names a path of one machine, {found.group()}…"


def where_is_violations(readme, folders, exists):
    """README.md's table "Where is": its paths exist, and no folder of src is missing from it."""
    section = re.search(r"^#+ +Where is.*?\n(.*?)(?=^#|\Z)", readme, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    rows = [line for line in section[1].splitlines() if line.startswith("|")] if section else []
    if not rows:
        yield "README.md: no table under a heading 'Where is…'"
        return
    paths = {path.rstrip("/") for row in rows for path in re.findall(r"[`(]((?:[\w.-]+/)+[\w.-]*)[`)]", row)}
    for path in sorted(paths):
        if not exists(path):
            yield f"README.md: 'Where is' names {path}, which is not there"
    for folder in folders:
        if not any(path == folder or inside(path, folder) for path in paths):
            yield f"README.md: 'Where is' does not lead to {folder}"


def tracked(root):
    """Paths of the project's files: those of git, or everything where there is no git."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                          capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return [path for path in done.stdout.split("\0") if path and os.path.exists(os.path.join(root, path))]
    return [os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names
            if not re.match(r"(\.git|\.run|build[\w-]*)(/|$)", os.path.relpath(folder, root))]


def violations(root):
    paths = sorted(tracked(root))
    for path in paths:
        if not path.endswith(TEXT) or inside(path, "tests/tidy"):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        if path.endswith((".h", ".cc", ".py")):
            yield from source_violations(path, text)
        yield from word_violations(path, text)
    if "README.md" in paths:
        with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
            folders = sorted({os.path.dirname(path) for path in paths if re.match(r"src/.*\.cc$", path)})
            yield from where_is_violations(file.read(), folders, lambda path: os.path.exists(os.path.join(root, path)))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(here))
    found = list(violations(root))
    print("\n".join(found) if found else "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
