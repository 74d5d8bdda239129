#!/usr/bin/python3
"""The core's archive asks the machine for nothing: no time, randomness, environment, files, threads or sockets.

    pure_test.py ARCHIVE
"""

import re
import subprocess
import sys

IMPURE = re.compile(
    r"_clock::now|random_device|std::(thread|mutex|condition_variable|locale|basic_(i|o)?fstream)|"
    r"^(getenv|secure_getenv|time|clock|clock_gettime|gettimeofday|rand|random|getrandom|socket|connect|send|recv|"
    r"open|open64|fopen|fopen64|read|write|pthread_\w+|nanosleep|usleep|sleep|gethostname|getpid)(@|$)")


def impure(symbols):
    return [symbol for symbol in symbols if IMPURE.search(symbol)]


def main():
    listing = subprocess.run(["nm", "--undefined-only", "--demangle", sys.argv[1]], capture_output=True, text=True,
                             check=True).stdout
    symbols = sorted({match[1] for match in re.finditer(r"^\s+U (.*)$", listing, re.MULTILINE)})
    assert symbols, f"nm finds nothing undefined in {sys.argv[1]}: not the core's archive"
    assert len(impure(["std::chrono::_V2::system_clock::now()", "getenv", "socket@GLIBC_2.2.5", "pthread_create",
                       "memcpy", "postlane::time(int)"])) == 4
    found = impure(symbols)
    print("\n".join(f"the core uses {symbol}" for symbol in found) if found else f"pure: {len(symbols)} symbols")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
