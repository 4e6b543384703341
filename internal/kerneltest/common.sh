# What kernel.sh and distribution.sh share. Sets cache; $1 may name it.
cache=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/hotpath}

say() { echo "kernel: $*" >&2; }

installed() { dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

install() {
	missing=""
	for p in "$@"; do installed "$p" || missing="$missing $p"; done
	[ -z "$missing" ] && return
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		say "not installed:$missing; install them, or run as root on Debian"
		exit 1
	fi
	say "installing:$missing"
	apt-get update -qq >&2 || true
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# version PACKAGE: the one that is or would be installed.
version() {
	dpkg-query -W -f='${Version}' "$1" 2>/dev/null | grep . || apt-cache show --no-all-versions "$1" | sed -n 's/^Version: //p'
}

# initramfs FOLDER FILE: FOLDER with busybox, packed into FILE. The init comes to it when a machine boots.
initramfs() {
	mkdir -p "$1/bin"
	cp "$(command -v busybox)" "$1/bin/busybox"
	(cd "$1" && find . | cpio -o -H newc --quiet | gzip -9) >"$2"
}

machine="qemu-system-x86 busybox-static cpio gzip"
