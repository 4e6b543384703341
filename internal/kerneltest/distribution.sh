#!/bin/sh
# Take Debian's own kernel of a release from its package, once, and print the folder that has it. It is not installed.
# Usage: distribution.sh RELEASE, such as 6.1 or 6.12
set -eu
here=$(cd "$(dirname "$0")" && pwd)
release=$1
shift
. "$here/common.sh"

# shellcheck disable=SC2086 # a list of words
install $machine xz-utils
newest() {
	apt-cache pkgnames "linux-image-$release." | grep -E "^linux-image-${release}\.[0-9]+[^ ]*-amd64$" | grep -vE -- '-(cloud|rt|unsigned)-' | sort -V | tail -1
}
package=$(newest)
if [ -z "$package" ] && [ "$(id -u)" = 0 ] && apt-get update -qq >&2; then
	package=$(newest)
fi
if [ -z "$package" ]; then
	say "no package linux-image-$release.*-amd64 is offered by this distribution"
	exit 1
fi
folder=$cache/kernel/$package-$(version "$package")
if [ -e "$folder/bzImage" ]; then
	echo "$folder"
	exit
fi

mkdir -p "$cache/kernel"
exec 9>"$cache/kernel/.lock-$release"
flock 9
if [ ! -e "$folder/bzImage" ]; then
	work=$(mktemp -d "$cache/kernel/unpack.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	say "downloading $package (once; cached in $folder)"
	(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package" >&2 && dpkg-deb -x "$package"_*.deb .)
	modules=$work/initramfs/modules
	mkdir -p "$modules" "$folder"
	# What the machine needs before it sees the host's file system, in this order; what is built in has no file.
	order=10
	for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console virtio-rng netfs fscache 9pnet 9pnet_virtio 9p; do
		for file in $(find "$work/lib/modules" "$work/usr/lib/modules" -name "$module.ko*" 2>/dev/null); do
			case $file in
			*.xz) xz -dc "$file" >"$modules/$order-$module.ko" ;;
			*) cp "$file" "$modules/$order-$module.ko" ;;
			esac
		done
		order=$((order + 1))
	done
	initramfs "$work/initramfs" "$folder/initramfs.gz"
	mv "$work"/boot/config-* "$folder/config"
	mv "$work"/boot/vmlinuz-* "$folder/bzImage" # last: it says that all is there
fi
echo "$folder"
