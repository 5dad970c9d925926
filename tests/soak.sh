#!/usr/bin/env bash
# Soaks a daemon: tests/soak.sh [MINUTES [ANDON [CSV]]]
#
# An hour (or so many minutes) at half the rate that it can do at most, while it is retooled twice a minute,
# every tenth item fails twice before it passes, and the daemon is killed and started again once, after a
# quarter of the time. Samples memory, handles, threads, disk and what waits into the file CSV [default:
# soak.csv, here], and gives a verdict at the end: exit code 0 where all of it is flat, 1 where something
# grows or is not as it should be. Less than half an hour says little of the disk: what has ended is let go of
# every ten minutes.
#
# ANDON is a release build of the command [default: target/release/andon, built here].
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
minutes=${1:-60}
andon=${2:-}
if [ -z "$andon" ]; then
    cargo build --quiet --release --manifest-path "$root/Cargo.toml" -p andon --bin andon
    andon=$root/target/release/andon
fi

csv=$(realpath "${3:-soak.csv}")

ground=$(mktemp -d)
daemon=
feeder=
finish() {
    for pid in $feeder $daemon; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$ground"
}
trap finish EXIT
cd "$ground"
mkdir in

# Components of its own: the stations' sources may change meanwhile.
for station in splits flaky keeps-files stamp pass-on; do
    "$andon" build "$root/tests/stations/$station" > /dev/null 2>> log
    cp "$root/tests/stations/$station/.andon/$station.wasm" .
done

# line FILE MARK: the line, with another station at its end.
line() {
    cat > "$1" <<LINE
line = "soak"
entry = "sort"
[defaults]
retry = { attempts = 3, backoff = "100ms..1s" }
[sources.files]
folder = "in"
settle = "50ms"
[stations.sort]
use = "splits.wasm"
next = [{ when = { line = "fails" }, to = "fails" }, { to = "files" }]
[stations.fails]
use = "flaky.wasm"
next = "files"
queue = 4096
[stations.files]
use = "keeps-files.wasm"
next = "mark"
[stations.mark]
use = "$2.wasm"
next = "done"
LINE
}
line line.toml stamp
printf '[retention]\nfinished = "30s"\nmost = 5000\nunfetched = "30s"\nknown = "2m"\n' > andon.toml

# start: the daemon, when it serves.
start() {
    "$andon" serve . 2>> log &
    daemon=$!
    until "$andon" status > /dev/null 2>&1 && [ -S .andon/serve.sock ]; do
        kill -0 "$daemon" || { tail log; exit 1; }
        sleep 0.1
    done
}

# passed: how many items the last station passed since the daemon started.
passed() {
    "$andon" status --json | tr -d ' \n' | sed -n 's/.*"station":"mark"[^{}]*"passed":\([0-9]*\).*/\1/p'
}

# put NUMBER: that many inputs more.
next=0
put() {
    local end=$((next + $1)) word
    for (( ; next < end; next++)); do
        word=works
        (( next % 10 == 0 )) && word=fails
        echo "$word" > "in/$next.txt"
    done
}

# The rate that it can do, by doing much at once.
"$andon" check . > /dev/null
start
put 200
until [ "$(passed)" -ge 200 ]; do sleep 0.1; done
began=${EPOCHREALTIME/./}
put 4000
until [ "$(passed)" -ge 4200 ]; do sleep 0.1; done
took=$(( (${EPOCHREALTIME/./} - began) / 1000 ))
rate=$(( 4000 * 1000 / took / 2 ))
(( rate > 0 )) || rate=1
echo "at most $((rate * 2)) items a second; $minutes minutes at $rate"

# The feeder has its own count: it is another process.
(
    next=10000
    tick=${EPOCHREALTIME/./}
    while :; do
        put $(( (rate + 4) / 5 ))
        tick=$((tick + 200000))
        left=$((tick - ${EPOCHREALTIME/./}))
        (( left > 0 )) && sleep "$(printf '0.%06d' "$((left > 999999 ? 999999 : left))")"
    done
) &
feeder=$!

# below PID: it and all that it started.
below() {
    local child
    echo "$1"
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do below "$child"; done
}

# sample: seconds, memory in MiB, handles, threads, disk in MiB, inputs that wait in the folder.
sample() {
    local pid memory=0 handles=0 threads=0 kb disk
    for pid in $(below "$daemon"); do
        kb=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null || true)
        memory=$((memory + ${kb:-0}))
        kb=$(sed -n 's/^Threads:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null || true)
        threads=$((threads + ${kb:-0}))
        handles=$((handles + $(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)))
    done
    disk=$(du -sm .andon 2>/dev/null | cut -f1 || true)
    echo "$1,$((memory / 1024)),$handles,$threads,${disk:-0},$(find in -maxdepth 1 -type f | wc -l)"
}

total=$((minutes * 60))
every=$((total / 120))
(( every >= 2 )) || every=2
echo "seconds,memory_mib,handles,threads,disk_mib,inputs" | tee "$csv"
SECONDS=0
restarted=
retooled=0
retools=0
jams=0
mark=stamp
while (( SECONDS < total )); do
    now=$SECONDS
    sample "$now" | tee -a "$csv"
    if [ -z "$restarted" ] && (( now >= total / 4 )); then
        kill -KILL "$daemon"
        wait "$daemon" 2>/dev/null || true
        start
        restarted=$now
        echo "killed and started again after $now s"
    fi
    if (( now - retooled >= 30 || retools == 0 )); then
        [ $mark = stamp ] && mark=pass-on || mark=stamp
        line line.toml $mark
        "$andon" retool soak --yes --reason soak > /dev/null 2>> log
        retooled=$now
        retools=$((retools + 1))
    fi
    # What the host went down with too often asks for a person.
    jams=$((jams + $("$andon" clear --all retry 2>/dev/null | wc -l)))
    sleep $((every - (SECONDS - now) > 0 ? every - (SECONDS - now) : 0))
done
kill "$feeder"
feeder=

# median FROM TO COLUMN: of the samples from one share of the time to another, in percent.
median() {
    awk -F, -v from="$1" -v to="$2" -v total="$total" -v column="$3" \
        'NR > 1 && $1 * 100 >= from * total && $1 * 100 <= to * total { print $column }' "$csv" |
        sort -n | awk '{ all[NR] = $1 } END { print NR ? all[int((NR + 1) / 2)] : 0 }'
}

verdict=0
# After the restart and after retention has begun to remove things, against the end.
for one in "memory 2 20 24" "handles 3 10 64" "threads 4 10 16" "disk 5 20 64" "inputs 6 50 $((rate * 4))"; do
    set -- $one
    before=$(median 35 55 "$2")
    after=$(median 80 100 "$2")
    most=$((before + before * $3 / 100 + $4))
    word=flat
    (( after <= most )) || { word="GROWS"; verdict=1; }
    echo "$1: $before, then $after: $word"
done
echo "$retools retools, $jams jams cleared, $(passed) items since the restart"
"$andon" drain --within 60s > /dev/null
wait "$daemon" || verdict=1
daemon=
"$andon" doctor | tail -n 1 || verdict=1
[ $verdict = 0 ] && echo "all is flat" || echo "something is not as it should be"
exit $verdict
