#!/bin/bash
# Runs the fuzz targets one after another for MINUTES each (default 5); `make fuzz` calls it.
#   tests/fuzz/run.sh [MINUTES] [TARGET...]
# New inputs gather in build-fuzz/corpus; what failed is kept in build-fuzz/found. Exit 1 if anything failed.
# tests/fuzz/corpus has named inputs made by hand and, named by their hash, small ones of a long run that add coverage
# (fuzz_TARGET -set_cover_merge=1 NEW tests/fuzz/corpus/TARGET build-fuzz/corpus/TARGET).
set -euo pipefail
cd "$(dirname "$0")/../.."

minutes=${1:-5}
shift || true
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(ls tests/fuzz/corpus)

cmake --preset fuzz --log-level=WARNING >/dev/null
cmake --build --preset fuzz
failed=()
for target in "${targets[@]}"; do
    grown=build-fuzz/corpus/$target found=build-fuzz/found/$target log=build-fuzz/$target.log
    mkdir -p "$grown" "$found"
    echo "=== $target: $minutes minutes from $(date +%H:%M)"
    started=$SECONDS
    nice -n 15 build-fuzz/tests/fuzz/fuzz_"$target" -max_total_time="$(awk "BEGIN {print int($minutes * 60)}")" \
        -max_len=16384 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -reload=0 \
        -artifact_prefix="$found/" "$grown" "tests/fuzz/corpus/$target" 2>&1 </dev/null |
        tee "$log" | awk '/ pulse / {print "    " $0; fflush()}' && outcome=held || outcome=FAILED
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "=== $target: $outcome, ${executions:-?} executions in $((SECONDS - started)) s"
    if [ "$outcome" = FAILED ]; then
        failed+=("$target")
        grep -a -m 3 -E 'ERROR|does not hold|internal rule' "$log" || true
        echo "    the input: $found; the whole log: $log"
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "FAILED: ${failed[*]}"; exit 1; }
