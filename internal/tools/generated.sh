#!/bin/sh
# Generate again beside the work tree's state and compare: a generated file is what its generator makes.
set -eu
packages="./receiver/... ./internal/source/bpf/..."
if { ! command -v clang-14 || ! command -v llvm-strip-14; } >/dev/null && { [ -z "${CI:-}" ] || ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends clang-14 llvm-14 >/dev/null; }; }; then
	echo "clang-14 or llvm-14 is not installed: not checking the BPF objects" >&2
	[ -z "${CI:-}" ]
	packages="./receiver/..."
fi
files=$(git ls-files -- 'receiver/**/generated_*' 'receiver/hotpathreceiver/documentation.md' README.md 'receiver/hotpathreceiver/internal/**' 'internal/source/bpf/segments_*' 'internal/source/bpf/probe/probe_*' 'internal/source/bpf/probe/processes_*')
before=$(mktemp)
trap 'rm -f "$before"' EXIT
# shellcheck disable=SC2086
sha256sum $files >"$before"
# shellcheck disable=SC2086
go generate $packages
if ! sha256sum --check --quiet "$before"; then
	echo "generated files are out of date: run 'make generate' and commit" >&2
	exit 1
fi
