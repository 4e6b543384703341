#!/bin/sh
# Capture what clients write as the kernel hands it out, for `make bench`:
#	make vm CMD=testdata/user_events/capture.sh
set -eu
cd "$(dirname "$0")"
instance=/sys/kernel/tracing/instances/capture
gcc -O2 -pthread -I../../client/c capture.c -o /tmp/capture
mkfifo /tmp/go
for kind in counters histograms; do
	HOTPATH_TRANSPORT=user_events OTEL_SERVICE_NAME=shop taskset -c 0 /tmp/capture $kind </tmp/go &
	exec 3>/tmp/go
	sleep 2
	mkdir $instance
	echo 1 >$instance/events/user_events/hotpath_v1/enable
	echo >&3
	exec 3>&-
	wait
	timeout 2 cat $instance/per_cpu/cpu0/trace_pipe_raw >$kind.pages || true
	rmdir $instance
	ls -l $kind.pages
done
