#!/bin/sh
# Run the tests of the sources bpf and io_uring, and of what the tool says of them, on the distribution's own kernels, in virtual machines. TestAtExit* are for Linux 6.16
# and later, TestHost* the same on every kernel; TestSetting* change settings of the kernel, and so are for machines alone;
# TestLastSetting* for such as end after them.
# Usage: kernels.sh RELEASE... [-- FLAGS OF go test]
set -eu
cd "$(dirname "$0")/../.."
releases=""
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	releases="$releases $1"
	shift
done
[ $# = 0 ] || shift
flags=$(for f in "$@"; do printf ' %s' "-test.${f#-}"; done)
tests=$PWD/_build/kernels
mkdir -p "$tests/probed"
gcc -O2 -static -pthread -Iclient/c internal/source/bpf/testdata/counts.c -o "$tests/counts"
internal/source/bpf/probe/testdata/build.sh "$tests/probed"
CGO_ENABLED=0 go test -c -o "$tests/bpf.test" ./internal/source/bpf
CGO_ENABLED=0 go test -c -o "$tests/probe.test" ./internal/source/bpf/probe
CGO_ENABLED=0 go test -c -o "$tests/uring.test" ./internal/source/uring
CGO_ENABLED=0 go test -c -o "$tests/ring.test" ./internal/source/uring/ring
(cd client/go && CGO_ENABLED=0 go test -c -o "$tests/client.test" .)
(cd cmd/hotpath && CGO_ENABLED=0 go test -c -o "$tests/doctor.test" ./internal/doctor)
go build -o _build/vm ./internal/kerneltest/vm
status=0
for release in $releases; do
	if ! internal/kerneltest/distribution.sh "$release" >/dev/null; then
		echo "Linux $release cannot be had: the sources bpf and io_uring are not tested on it" >&2
		[ -z "${CI:-}" ] || status=1
		continue
	fi
	lacks='TestSoak|TestThousandIdle|TestRingThatKnowsMuch|TestConnectionsThatTrickle|TestResizedRing|TestRingThatIsResized' # memory and descriptors; 6.13
	# Between 6.1 and the newest kernel there is nothing of its own for probes: there, one of each kind will do.
	probes='Test(Counts|Threads|ShortProcesses|EventsAre|AGauge|Durations|Links|Capabilities|Returned|Nested|Strings|Memory|ATracepointOfOur|ASemaphore)'
	[ "$release" != 6.1 ] || probes=.
	[ "$release" != 6.1 ] || lacks="$lacks|TestRingInMemory|TestSettingDisabled|TestSettingRestricted" # 6.5, 6.6
	echo "the sources bpf and io_uring on Linux $release, in a virtual machine"
	KERNEL=$release _build/vm "status=0
		cd internal/source/bpf && HOTPATH_PROGRAMS=$tests $tests/bpf.test -test.timeout 10m -test.skip '^TestAtExit'$flags || status=1
		cd probe && HOTPATH_PROGRAMS=$tests/probed $tests/probe.test -test.timeout 10m -test.short -test.run '^$probes' -test.skip '^(TestHost|Fuzz)'$flags || status=1
		cd ../../uring && HOTPATH_TEST_SETTINGS=1 $tests/uring.test -test.timeout 10m -test.skip '^($lacks|TestLastSetting)'$flags || status=1
		[ $release = 6.1 ] || (cd ../../../client/go && HOTPATH_TEST_MACHINE=1 $tests/client.test -test.timeout 5m -test.run '^TestSetting'$flags) || status=1
		cd ring && $tests/ring.test -test.timeout 5m -test.skip '^($lacks)'$flags || status=1
		cd $PWD/cmd/hotpath/internal/doctor && HOTPATH_TEST_MACHINE=1 $tests/doctor.test -test.timeout 15m -test.run '^(TestVerdictOfRoot|TestVerdictOfNobody|TestSetting|TestRunning|TestNothing)' -test.skip '^($lacks|TestSettingYamaForGood)'$flags || status=1
		cd $PWD/internal/source/uring && HOTPATH_TEST_SETTINGS=last $tests/uring.test -test.run '^TestLastSetting'$flags || status=1
		cd $PWD/cmd/hotpath/internal/doctor && HOTPATH_TEST_MACHINE=1 $tests/doctor.test -test.run '^TestSettingYamaForGood'$flags || status=1
		exit \$status" || status=1
done
exit $status
