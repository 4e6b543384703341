#!/bin/sh
# Fuzz every target of every module, one after the other.
set -eu
for module in . client/go; do
	grep -rlE '^func Fuzz' --include='*_test.go' "$module" | xargs -n1 dirname | sort -u | while read -r dir; do
		case "$module $dir" in ". ./client/go"* | ". client/go"*) continue ;; esac
		for target in $(grep -rhoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2); do
			echo "fuzz $dir $target for $1"
			(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" .)
		done
	done
done
