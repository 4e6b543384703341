#!/bin/sh
# Run a shell script on a kernel with user_events: this one where it has them, else in a virtual machine. Exit status 69
# says that there is none. Usage: on_user_events.sh SCRIPT
set -eu
cd "$(dirname "$0")/../.."
if [ -w /sys/kernel/tracing/user_events_data ]; then
	echo "running on this kernel, which has user_events"
	exec sh -c "$1"
fi
internal/kerneltest/kernel.sh >/dev/null || exit 69
echo "this kernel has no user_events: running in a virtual machine"
mkdir -p _build
go build -o _build/vm ./internal/kerneltest/vm
exec _build/vm "$1"
