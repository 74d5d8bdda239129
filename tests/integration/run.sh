#!/bin/sh
# The black-box scenarios against build/postlane (or $POSTLANE_BINARY) on a real Kafka node, which is fetched once.
# Further arguments go to pytest, e.g. `-k zombie`. Under a sanitizer set POSTLANE_TEST_SLOWNESS=5.
set -eu
cd "$(dirname "$0")"
exec /usr/bin/python3 -m pytest -q -ra --durations=15 -o cache_dir=../../build/pytest-cache "$@"
