#!/bin/sh
# Time the client while its user_events are heard. In an emulated machine only ratios count.
set -eu
cd "$(dirname "$0")/../.."
programs=$PWD/_build/user_events
mkdir -p "$programs"
gcc -std=gnu11 -O2 -static -pthread -Iclient/c internal/measure/worker/c/worker.c -o "$programs/bench-c"
(cd bench && CGO_ENABLED=0 go build -o "$programs/bench" .)
status=0
internal/tools/on_user_events.sh "cd bench && $programs/bench -heard $programs/bench-c $*" || status=$?
[ $status != 69 ] || echo "without user_events, what they cost while they are heard was not measured"
[ $status = 69 ] || exit $status
