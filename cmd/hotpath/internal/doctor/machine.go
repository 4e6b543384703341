package doctor

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// Machine is what verdicts depend on.
type Machine struct {
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	UID    int    `json:"uid"`
	// Capabilities are those of this process that sources can use.
	Capabilities []string `json:"capabilities"`
	// Container is what this process runs in, as far as that can be told; "" is the host.
	Container string `json:"container"`
	// HostPIDs says that pids here are those of the host.
	HostPIDs bool `json:"host_pids"`
	Seccomp  bool `json:"seccomp"`
	// Settings of the kernel, those that there are.
	Settings map[string]string `json:"settings"`
	// Limits of this process; -1 is none.
	Limits map[string]int64 `json:"limits"`
	// BTF says that the kernel describes its types, Tracefs where it is mounted.
	BTF     bool   `json:"btf"`
	Tracefs string `json:"tracefs"`
	// Shm is the file system of the clients' directory.
	Shm  FileSystem `json:"shm"`
	Rseq Rseq       `json:"rseq"`
}

// FileSystem is one that segments are on.
type FileSystem struct {
	Mount string `json:"mount"`
	Tmpfs bool   `json:"tmpfs"`
	Size  int64  `json:"size"`
	Free  int64  `json:"free"`
}

// Rseq is what the C client's fast path takes.
type Rseq struct {
	// Registers says that the kernel registers a thread.
	Registers bool `json:"registers"`
	// MMCID says that it keeps concurrency ids.
	MMCID bool `json:"mm_cid"`
	// Libc is "glibc 2.36", "musl", or "".
	Libc string `json:"libc"`
	// Tuned says that GLIBC_TUNABLES keeps glibc from registering threads.
	Tuned bool `json:"disabled_by_tunable,omitempty"`
}

var settings = []string{
	"/proc/sys/kernel/io_uring_disabled", "/proc/sys/kernel/unprivileged_bpf_disabled", "/proc/sys/kernel/perf_event_paranoid",
	"/proc/sys/kernel/user_events_max", "/proc/sys/kernel/yama/ptrace_scope", kernel.Lockdown,
}

func machine(directory string) Machine {
	var name unix.Utsname
	_ = unix.Uname(&name)
	m := Machine{
		Kernel: unix.ByteSliceToString(name.Release[:]), Arch: unix.ByteSliceToString(name.Machine[:]),
		UID: os.Geteuid(), Capabilities: []string{}, Container: container(), HostPIDs: processes.CheckNamespace() == nil, Seccomp: filtered(),
		Settings: map[string]string{}, Limits: map[string]int64{}, BTF: exists("/sys/kernel/btf/vmlinux"), Rseq: rseq(),
	}
	for _, c := range capability.All {
		if c.Has() {
			m.Capabilities = append(m.Capabilities, c.String())
		}
	}
	for _, path := range settings {
		if value := setting(path); value != "" {
			m.Settings[filepath.Base(path)] = value
		}
	}
	for name, resource := range map[string]int{"memlock": unix.RLIMIT_MEMLOCK, "nofile": unix.RLIMIT_NOFILE, "fsize": unix.RLIMIT_FSIZE} {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			m.Limits[name] = int64(l.Cur)
		}
	}
	m.Tracefs, _ = tracefs.Mount()
	var fs unix.Statfs_t
	m.Shm.Mount = mountOf(directory)
	if unix.Statfs(m.Shm.Mount, &fs) == nil {
		m.Shm.Tmpfs, m.Shm.Size, m.Shm.Free = fs.Type == unix.TMPFS_MAGIC, int64(fs.Blocks)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
	}
	return m
}

// setting is what a file of the kernel says, "" if it is not to be read.
func setting(path string) string {
	text, _ := os.ReadFile(path) //nolint:gosec // of the kernel
	return strings.TrimSpace(string(text))
}

// filtered says that a seccomp filter looks at this process's system calls.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode != 0
}

func inUserNamespace() bool {
	fields := strings.Fields(setting("/proc/self/uid_map"))
	return len(fields) != 3 || fields[2] != "4294967295"
}

// container names the kind that this process is in, by the marks that their runtimes leave.
func container() string {
	for path, kind := range map[string]string{
		"/.dockerenv": "docker", "/run/.containerenv": "podman",
		"/var/run/secrets/kubernetes.io/serviceaccount": "kubernetes",
	} {
		if exists(path) {
			return kind
		}
	}
	for entry := range bytes.SplitSeq([]byte(setting("/proc/1/environ")), []byte{0}) {
		if kind, ok := bytes.CutPrefix(entry, []byte("container=")); ok {
			return string(kind)
		}
	}
	if processes.CheckNamespace() != nil {
		return "pid namespace"
	}
	return ""
}

// Of linux/rseq.h and linux/auxvec.h.
const (
	atRseqFeatureSize = 27
	rseqSize          = 32
	rseqAligned       = 32
	rseqUnregister    = 1
	rseqSignature     = 0x53053053
	offMMCID          = 24
)

func rseq() Rseq {
	size := auxiliary(atRseqFeatureSize)
	r := Rseq{Registers: registers(), MMCID: size >= offMMCID+4, Libc: libc()}
	r.Tuned = strings.Contains(os.Getenv("GLIBC_TUNABLES"), "glibc.pthread.rseq=0")
	return r
}

// registers tries the system call, on a thread of its own. Go does not use it.
func registers() bool {
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		memory := make([]byte, rseqSize+rseqAligned)
		area := &memory[rseqAligned-int(uintptr(unsafe.Pointer(&memory[0]))%rseqAligned)]
		_, _, errno := unix.RawSyscall6(unix.SYS_RSEQ, uintptr(unsafe.Pointer(area)), rseqSize, 0, rseqSignature, 0, 0)
		if errno == 0 {
			_, _, _ = unix.RawSyscall6(unix.SYS_RSEQ, uintptr(unsafe.Pointer(area)), rseqSize, rseqUnregister, rseqSignature, 0, 0)
		}
		done <- errno == 0
	}()
	return <-done
}

// auxiliary is an entry of what the kernel tells each program at its start.
func auxiliary(kind uint64) uint64 {
	vector, _ := os.ReadFile("/proc/self/auxv")
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.NativeEndian.Uint64(vector) == kind {
			return binary.NativeEndian.Uint64(vector[8:])
		}
	}
	return 0
}

var glibcVersion = regexp.MustCompile(`GNU C Library [^\n]*version (\d+\.\d+)`)

// libc is the C library that is installed.
func libc() string {
	for _, pattern := range []string{"/lib/*-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			text, err := os.ReadFile(path) //nolint:gosec // of the system
			if found := glibcVersion.FindSubmatch(text); err == nil && found != nil {
				return "glibc " + string(found[1])
			}
		}
	}
	if paths, _ := filepath.Glob("/lib/ld-musl-*"); len(paths) > 0 {
		return "musl"
	}
	return ""
}

// speed is a note on what the C client's adds cost here.
func (r Rseq) speed() Note {
	const slow = "C clients: an add costs about 5 ns (atomic) instead of 0.5: "
	switch {
	case !r.MMCID:
		return Note{slow + "this kernel keeps no concurrency ids (mm_cid)", "boot Linux 6.3 or later"}
	case !r.Registers:
		return Note{slow + "the kernel refuses rseq(2)", refusedBySeccomp("rseq")}
	case r.Tuned:
		return Note{slow + "GLIBC_TUNABLES keeps threads from being registered", "unset GLIBC_TUNABLES"}
	case r.Libc == "musl":
		return Note{slow + "musl registers no threads", "use glibc 2.35 or later"}
	case older(r.Libc, 2, 35):
		return Note{slow + r.Libc + " registers no threads", "use glibc 2.35 or later"}
	}
	return Note{Text: "C clients: an add costs about 0.5 ns (rseq with mm_cid, " + orSome(r.Libc) + ")"}
}

// older says whether a "glibc 2.36" is older than a version.
func older(libc string, major, minor int) bool {
	var x, y int
	if _, err := fmt.Sscanf(libc, "glibc %d.%d", &x, &y); err != nil {
		return false
	}
	return x < major || x == major && y < minor
}

func orSome(libc string) string {
	if libc == "" {
		return "given glibc 2.35 or later"
	}
	return libc
}
