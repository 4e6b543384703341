#!/bin/sh
# Build the kernel that the user_events tests run on, once, and print the folder that has it: Debian's kernel source,
# tinyconfig and testdata/kernel.config. Usage: kernel.sh [CACHE_FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
fragment=$here/../../testdata/kernel.config
. "$here/common.sh"

# The newest source with a long life that is offered; a machine whose own kernel has user_events needs none.
source=$(apt-cache pkgnames linux-source-6 2>/dev/null | grep -xE 'linux-source-6\.[0-9]+' | sort -t. -k2 -n | grep -x linux-source-6.12 ||
	apt-cache pkgnames linux-source-6 2>/dev/null | grep -xE 'linux-source-6\.([4-9]|[1-9][0-9])' | sort -t. -k2 -n | tail -1)
building="$source flex bison bc libelf-dev libssl-dev dwarves lz4 xz-utils make gcc libc6-dev"

# The version that is or would be installed is known without installing it.
if [ -z "$source" ]; then
	if [ -z "${HOTPATH_UPDATED:-}" ] && [ "$(id -u)" = 0 ] && apt-get update -qq >&2; then
		exec env HOTPATH_UPDATED=1 "$0" "$@"
	fi
	say "no package linux-source-6.4 or later is offered by this distribution"
	exit 1
fi
version=$(version "$source")
key=$(sha256sum <"$fragment" | cut -c1-12)
folder=$cache/kernel/$source-$version-$key
# shellcheck disable=SC2086 # a list of words
install $machine
if [ -e "$folder/bzImage" ]; then
	echo "$folder"
	exit
fi

mkdir -p "$cache/kernel"
exec 9>"$cache/kernel/.lock"
flock 9
if [ ! -e "$folder/bzImage" ]; then
	# shellcheck disable=SC2086 # a list of words
	install $building
	work=$(mktemp -d "$cache/kernel/build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	say "building $source $version with user_events (once, about 7 minutes on 2 CPUs; cached in $folder)"
	tar -C "$work" --strip-components=1 -xf "/usr/src/$source.tar.xz"
	log=$work/hotpath-build.log
	(
		cd "$work"
		make -s tinyconfig
		scripts/kconfig/merge_config.sh -m .config "$fragment"
		make -s olddefconfig
		grep -v '^#' "$fragment" | while read -r line; do
			[ -z "$line" ] || grep -qx "$line" .config || echo "WARNING: $line did not take"
		done
		make -s -j"$(nproc)" bzImage
	) >"$log" 2>&1 || {
		tail -30 "$log" >&2
		say "the build failed"
		exit 1
	}
	mkdir -p "$work/out"
	initramfs "$work/initramfs" "$work/out/initramfs.gz"
	cp "$work/arch/x86/boot/bzImage" "$work/out/"
	cp "$work/.config" "$work/out/config"
	mkdir -p "$folder"
	mv "$work/out/initramfs.gz" "$work/out/config" "$folder/"
	mv "$work/out/bzImage" "$folder/bzImage" # last: it says that all is there
fi
echo "$folder"
