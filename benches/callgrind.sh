#!/usr/bin/env bash
# Counts the instructions of the hot paths, one operation of each: benches/callgrind.sh [COUNT]
#
# Needs valgrind (Debian: apt-get install valgrind), and takes half a minute after the build. Where
# that cannot be had, `benches/callgrind.sh --perf [COUNT]` asks the processor's counters by perf,
# which count what the threads of the group do meanwhile as well.
set -euo pipefail
cd "$(dirname "$0")/.."

tool=valgrind
if [ "${1:-}" = --perf ]; then
    tool=perf
    shift
fi
count=${1:-10000}
if ! command -v "$tool" >/dev/null; then
    echo "callgrind.sh: $tool is not installed: install it, or see the top of this file" >&2
    exit 2
fi

# The clock is asked by way of libc: valgrind does not show what it is read from otherwise.
if [ "$tool" = valgrind ]; then
    export RUSTFLAGS="${RUSTFLAGS:-} --cfg rustix_use_libc"
fi
# Where cargo has put the bench: the last word it says of it.
built=$(cargo bench -p quorate-benches --bench instructions --no-run --locked 2>&1 | tee >(cat >&2))
program=$(sed -n 's/.*Executable.*(\(.*\))$/\1/p' <<<"$built")
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# The instructions of COUNT operations, and of what surrounds them if the tool sees that too.
instructions() {
    if [ "$tool" = valgrind ]; then
        # Looks only inside of one function; fair, so that the threads of the group run as well.
        valgrind --tool=callgrind --toggle-collect='*counted_loop*' --fair-sched=try \
            --callgrind-out-file="$folder/out" "$program" "$1" "$2" >"$folder/said" 2>&1 ||
            { cat "$folder/said" >&2; exit 1; }
        sed -n 's/^\(summary\|totals\): \([0-9]*\).*/\2/p' "$folder/out" | head -n 1
    else
        perf stat -x, -e instructions:u -o "$folder/out" "$program" "$1" "$2" >"$folder/said" 2>&1 ||
            { cat "$folder/said" >&2; exit 1; }
        sed -n 's/^\([0-9]*\),.*instructions.*/\1/p' "$folder/out" | grep . ||
            { echo "callgrind.sh: perf cannot count instructions on this machine" >&2; exit 1; }
    fi
}

for path in store store-keys acquire wire; do
    # Twice as many and as many: what surrounds the operations is the same in both.
    many=$(instructions "$path" $((2 * count)))
    few=$(instructions "$path" "$count")
    printf '%-12s %s instructions\n' "$path" $(((many - few) / count))
done
