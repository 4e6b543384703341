package doctor

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confined takes rights from itself, and executes what follows "--" without them. Each step is a word:
//
//	drop=N          capability number N
//	refuse=N:E      system call N fails with errno E
//	mounts          a mount namespace of its own
//	umount=PATH, tmpfs=PATH:OPTIONS, readonly=PATH
//	fill=PATH       leaves a file system no room
//	uid=N           another user, without capabilities
//	caps=N,N        those are the only capabilities of another user
//	limit=R:N       resource R
//	unshare=FLAGS   what unshare(1) takes for other namespaces
func confined(args []string) {
	runtime.LockOSThread()
	for i, step := range args {
		if step == "--" {
			must("execute", unix.Exec("/proc/self/exe", append([]string{os.Args[0]}, args[i+1:]...), os.Environ()))
		}
		word, rest, _ := strings.Cut(step, "=")
		before, after, _ := strings.Cut(rest, ":")
		switch word {
		case "drop":
			must(step, unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(number(rest)), 0, 0, 0))
		case "refuse":
			must(step, refuse(number(before), number(after)))
		case "mounts":
			must(step, unix.Unshare(unix.CLONE_NEWNS))
			must(step, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		case "umount":
			must(step, unix.Unmount(rest, unix.MNT_DETACH))
		case "tmpfs":
			must(step, unix.Mount("tmpfs", before, "tmpfs", 0, after))
		case "readonly":
			must(step, unix.Mount("", rest, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		case "fill":
			_ = os.WriteFile(rest+"/filling", make([]byte, 64<<20), 0o600)
		case "unshare":
			self, err := os.Executable()
			must(step, err)
			command := append(strings.Split("unshare "+rest, " "), append([]string{self, "confined"}, args[i+1:]...)...)
			must(step, unix.Exec("/usr/bin/unshare", command, os.Environ()))
		case "limit":
			n := uint64(number(after))
			must(step, unix.Setrlimit(number(before), &unix.Rlimit{Cur: n, Max: n}))
		case "uid":
			must(step, unix.Setgroups(nil))
			must(step, unix.Setresgid(number(rest), number(rest), number(rest)))
			must(step, unix.Setresuid(number(rest), number(rest), number(rest)))
		case "caps":
			must(step, another(rest))
		default:
			must(step, fmt.Errorf("no such step"))
		}
	}
}

func must(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "confined: %s: %v\n", what, err)
		os.Exit(99)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	must(s, err)
	return n
}

func octal(s string) uint32 {
	n, err := strconv.ParseUint(s, 8, 32)
	must(s, err)
	return uint32(n)&0o777 | uint32(n)&0o1000>>9<<20 // os.ModeSticky
}

// another becomes nobody, with some capabilities.
func another(list string) error {
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Setresuid(nobody, nobody, nobody); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	var ambient []int
	for _, word := range strings.Split(list, ",") {
		n := number(word)
		bit := uint32(1) << (n % 32)
		data[n/32].Effective |= bit
		data[n/32].Permitted |= bit
		data[n/32].Inheritable |= bit
		ambient = append(ambient, n)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return err
	}
	for _, n := range ambient {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0); err != nil {
			return err
		}
	}
	return nil
}

const nobody = 65534

// refuse installs a seccomp filter.
func refuse(call, errno int) error {
	const offNumber = 0 // of struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offNumber},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: uint32(call)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return e
	}
	return nil
}
