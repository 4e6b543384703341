#!/bin/sh
# Run the tests that need user_events, on a kernel that has them.
# Usage: user_events.sh [FLAGS OF go test]
set -eu
cd "$(dirname "$0")/../.."
tests=$PWD/_build/user_events
mkdir -p "$tests"
flags=$(for f in "$@"; do printf ' %s' "-test.${f#-}"; done)

# The virtual machine sees this tree, and the rest of the file system as it is; its processor is slow.
echo "building the tests that need user_events"
programs=$tests/programs
mkdir -p "$programs"
for c in values commands; do
	gcc -std=gnu11 -O2 -static -pthread -Iclient/c "internal/e2e/testdata/$c.c" -o "$programs/$c"
done
gcc -O2 -static examples/user-events/write.c -o "$programs/write"
gcc -std=c11 -O2 -pthread -Iclient/c client/c/testdata/events.c -o "$programs/events" -lm
gcc -std=c11 -O2 -Iclient/c client/c/testdata/without.c -o "$programs/without"
gcc -std=c11 -O2 -fPIC -shared -Iclient/c client/c/testdata/library.c -o "$programs/library.c.so"
g++ -std=c++17 -O2 -fPIC -shared -Iclient/c client/c/testdata/library.cc -o "$programs/library.cc.so"
CGO_ENABLED=0 go build -o "$programs/app" ./internal/e2e/testdata/app
CGO_ENABLED=0 go build -o "$programs/write-go" ./examples/user-events/go
script="export HOTPATH_OTELCOL=$PWD/_build/otelcol-hotpath HOTPATH_PROGRAMS=$programs; status=0"
add() { # name, module folder, package folder in it
	(cd "$2" && CGO_ENABLED=0 go test -c -o "$tests/$1.test" "./$3")
	script="$script; cd $PWD/$2/$3 && $tests/$1.test -test.run '^TestUserEvents' -test.timeout 20m$flags || status=1"
}
add source . internal/source/userevents
add format . internal/source/userevents/format
add client-go client/go .
add client-c . client/c
add e2e . internal/e2e
add doctor cmd/hotpath internal/doctor
script="$script; exit \$status"

status=0
internal/tools/on_user_events.sh "$script" || status=$?
if [ $status = 69 ] && [ -z "${CI:-}" ]; then
	echo "the tests that need user_events are skipped" >&2
	exit
fi
exit $status
