#!/bin/sh
# Run the tests that need user_events: on this kernel where it has it, else in a virtual machine.
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
script="$script; exit \$status"

if [ -w /sys/kernel/tracing/user_events_data ]; then
	echo "running them on this kernel"
	exec sh -c "$script"
fi
if ! internal/kerneltest/kernel.sh >/dev/null; then
	echo "this kernel has no user_events, and no other can be run: the tests that need it are skipped" >&2
	[ -z "${CI:-}" ]
	exit
fi
echo "this kernel has no user_events: running them in a virtual machine"
go build -o _build/vm ./internal/kerneltest/vm
exec _build/vm "$script"
