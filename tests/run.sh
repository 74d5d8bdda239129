#!/bin/bash
# Builds everything and runs every test in stages, each bounded in time; `make test` calls it. Every stage runs, also
# after one that failed; the exit status is 0 only if all passed. Whatever was started has ended when this ends.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build
broker_directory=$build/kafka-node
jobs=$(nproc)
failed=()

end_broker() {
    [ ! -d "$broker_directory" ] || /usr/bin/python3 tests/integration/kafka_node.py stop --dir "$PWD/$broker_directory" || true
}
trap end_broker EXIT

# stage NAME COMMAND...
stage() {
    local name=$1 started=$SECONDS
    shift
    echo
    echo "=== $name"
    if "$@" </dev/null; then
        echo "=== $name: passed, $((SECONDS - started)) s"
    else
        failed+=("$name")
        echo "=== $name: FAILED, $((SECONDS - started)) s"
    fi
}

# ctests MINUTES ARGUMENTS...: no test starts after so many minutes, and the running one ends then. Tests that were not
# run count as failed.
ctests() {
    local minutes=$1 log=$build/ctest.log
    shift
    ctest --test-dir "$build" --output-on-failure --timeout 180 \
        --stop-time "$(date --date="+$minutes minutes" +%H:%M:%S)" "$@" 2>&1 | tee "$log" || return 1
    if grep -q 'stop time has been passed' "$log"; then
        echo "not all tests were run within $minutes minutes"
        return 1
    fi
}

# Scenarios run against the clock. What failed is tried once more, alone, and both runs stay in the log.
black_box() {
    timeout --foreground --signal=INT --kill-after=120 18m tests/integration/run.sh ||
        timeout --foreground --signal=INT --kill-after=120 10m tests/integration/run.sh --last-failed
}

echo "=== build"
cmake --preset release --log-level=WARNING
cmake --build --preset release
echo "=== build: $SECONDS s"

stage "units" ctests 5 --parallel "$jobs" --no-tests=error --label-exclude '^(broker|sim)$'
stage "protocol model" timeout --foreground --signal=INT 5m tests/model/run.py
stage "simulator" ctests 6 --parallel "$jobs" --label-regex '^sim$'
# Each failure timeline, the mechanism removed, and who noticed.
sed -n '/^line  *mechanism removed/,/^\[/{/^\[/!p}' "$build/Testing/Temporary/LastTest.log" || true
stage "adapters on a real broker" ctests 8 --no-tests=error --label-regex '^broker$'
end_broker
# SIGINT, so that pytest ends what its fixtures started.
stage "black box" black_box

echo
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'FAILED after %d s: %s\n' "$SECONDS" "$(IFS=,; echo "${failed[*]}")"
    exit 1
fi
echo "All tests passed in $SECONDS s"
