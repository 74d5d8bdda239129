#!/usr/bin/python3
"""tidy.py finds each kind of violation, and nothing in the same text without it."""

import os
import subprocess
import tempfile
import unittest

import tidy

LONG = "void long_one(int a) {\n" + "    a += 1;\n" * 69 + "}\n"
BRACES = 'void short_one() {\n    const char* text = "{{{";  // {\n    auto f = [](int x) { return x; };\n}\n'
README = "# x\n\n## Where is …\n\n| question | file |\n|---|---|\n| core? | `src/core/step.cc` |\n\n## Next\n"


class Tidy(unittest.TestCase):
    def found(self, violations, word):
        violations = list(violations)
        self.assertEqual(len(violations), 1, violations)
        self.assertIn(word, violations[0])

    def test_sizes(self):
        self.found(tidy.source_violations("src/core/a.cc", "\n" * 601), "601 lines")
        self.found(tidy.source_violations("src/core/a.cc", LONG), "71 lines")
        self.found(tidy.source_violations("src/core/a.cc", "namespace postlane {\n" + LONG + "}\n"), ":2: function")
        self.found(tidy.source_violations("tests/a.py", "def f():\n" + "    pass\n" * 70), "71 lines")
        self.found(tidy.source_violations("src/core/a.cc", "// " + "x" * 118), "121 columns")
        self.found(tidy.source_violations("src/core/a.h", "int a;\n"), "pragma")
        fine = "\n".join([LONG.replace("    a += 1;\n", "", 1), BRACES] * 3) + 'const char* t = R"(\n' + "x" * 200 + '\n)";\n'
        self.assertEqual(list(tidy.source_violations("src/core/a.cc", fine)), [])

    def test_layers(self):
        def one(path, include):
            return tidy.source_violations(path, f"#include {include}\n")
        self.found(one("src/core/a.cc", '"codec/json.h"'), "src/core must not include codec/json.h")
        self.found(one("src/codec/a.cc", '"adapters/kafka/a.h"'), "src/codec")
        self.found(one("src/runtime/a.cc", '"adapters/kafka/a.h"'), "src/runtime")
        self.found(one("src/adapters/http/a.cc", '"adapters/kafka/a.h"'), "src/adapters/http")
        self.found(one("src/adapters/http/a.cc", '"runtime/partition.h"'), "src/adapters/http")
        self.found(one("src/sandbox/a.cc", '"postlane/types.h"'), "src/sandbox")
        self.found(one("tests/sim/a.cc", '"adapters/kafka/a.h"'), "tests/sim")
        self.found(one("src/new/a.cc", '"postlane/types.h"'), "no row in LAYERS")
        self.found(one("src/core/a.cc", "<unordered_map>"), "pure")
        self.found(one("include/postlane/a.cc", "<thread>"), "pure")
        self.found(one("src/runtime/a.cc", "<librdkafka/rdkafka.h>"), "src/adapters/kafka")
        for path, include in (("src/core/a.cc", '"core/b.h"'), ("src/app/a.cc", '"adapters/kafka/a.h"'),
                              ("src/runtime/a.cc", "<thread>"), ("tests/adapters/a.cc", "<librdkafka/rdkafka.h>")):
            self.assertEqual(list(one(path, include)), [])

    def test_words(self):
        for text in ("// TO" + "DO: later", "// good enough for " + "now", "see /" + "home/ann/notes"):
            self.assertEqual(len(list(tidy.word_violations("a.md", text))), 1, text)
        self.assertEqual(list(tidy.word_violations("a.cc", 'mkstemp("a-XXXXXX"), https://a.example/home/b')), [])

    def test_where_is(self):
        def check(readme, folders=("src/core",), there=("src/core/step.cc",)):
            return tidy.where_is_violations(readme, folders, lambda path: path in there)
        self.assertEqual(list(check(README)), [])
        self.found(check(README, there=()), "not there")
        self.found(check(README, folders=("src/core", "src/app")), "src/app")
        self.found(check("# x\n"), "no table")

    def test_whole_repository(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "src", "core"))
            with open(os.path.join(root, "src", "core", "a.cc"), "w", encoding="utf-8") as file:
                file.write("#include <random>\n")
            program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy.py")
            done = subprocess.run(["/usr/bin/python3", program, root], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("src/core/a.cc:1", done.stdout)


if __name__ == "__main__":
    unittest.main()
