#!/bin/sh
# Generate again beside the work tree's state and compare: a generated file is what its generator makes.
set -eu
files=$(git ls-files -- 'receiver/**/generated_*' 'receiver/hotpathreceiver/documentation.md' README.md 'receiver/hotpathreceiver/internal/**')
before=$(mktemp)
trap 'rm -f "$before"' EXIT
# shellcheck disable=SC2086
sha256sum $files >"$before"
go generate ./receiver/...
if ! sha256sum --check --quiet "$before"; then
	echo "generated files are out of date: run 'make generate' and commit" >&2
	exit 1
fi
