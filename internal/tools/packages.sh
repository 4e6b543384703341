#!/bin/sh
# Install what the tests, or with the argument bench the benchmarks, use beyond Go and gcc. Without root, or on another
# distribution, say what is missing: the tests that need it are skipped, and so are those libraries.
set -u
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
header() { [ -e "/usr/include/$1" ] || [ -e "/usr/include/$(uname -m)-linux-gnu/$1" ] || missing="$missing $2"; }
if [ "${1:-}" = bench ]; then
	need g++ g++
	header prometheus/counter.h prometheus-cpp-dev
	header pcp/mmv_stats.h libpcp-mmv1-dev
	header pcp/pmapi.h libpcp3-dev
	header lttng/tracepoint.h liblttng-ust-dev
	need lttng-sessiond lttng-tools
else
	need gcc gcc
	need g++ g++
	need clang clang
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
	need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
	need musl-gcc musl-tools
	need valgrind valgrind
	need bpftrace bpftrace
	[ -e /usr/aarch64-linux-gnu/include/stdio.h ] || missing="$missing libc6-dev-arm64-cross"
	need systemd-analyze systemd
fi
packages=$missing
[ "${1:-}" = bench ] || need promtool prometheus
[ -z "$missing" ] && exit 0

# Of Debian's prometheus promtool alone is taken: the package would start a server.
install_promtool() (
	dir=$(mktemp -d) && cd "$dir" || exit 1
	trap 'rm -rf "$dir"' EXIT
	apt-get -o APT::Sandbox::User=root download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C /usr/local/bin --strip-components=3 ./usr/bin/promtool
)

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	if apt-get update -qq && { [ -z "$packages" ] || apt-get install -y -qq --no-install-recommends $packages >/dev/null; } &&
		{ [ "$packages" = "$missing" ] || install_promtool; }; then
		exit 0
	fi
fi
echo "not installed:$missing; what needs them is skipped" >&2
