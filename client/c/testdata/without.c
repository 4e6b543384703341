/* without WHAT PROGRAM [ARGUMENT...]: run a program in a kernel that lacks something, as a seccomp filter makes it seem. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DENY(call, error)                                       \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),          \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static struct sock_filter populate[] = { /* madvise(..., MADV_POPULATE_WRITE) is EINVAL */
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 23, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter files[] = { /* a sandbox that lets nothing be linked, locked or sized */
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	DENY(SYS_linkat, EPERM), DENY(SYS_flock, ENOSYS), DENY(SYS_ftruncate, EPERM), DENY(SYS_statx, ENOSYS),
	DENY(SYS_getrandom, ENOSYS), DENY(SYS_membarrier, EPERM), DENY(SYS_prlimit64, EPERM), DENY(SYS_statfs, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter memory[] = { /* every madvise fails */
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	DENY(SYS_madvise, EPERM), DENY(SYS_fallocate, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter ioctls[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	DENY(SYS_ioctl, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter writes[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	DENY(SYS_pwritev, EPERM), DENY(SYS_prlimit64, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter flags[] = { /* nobody can tell whose a descriptor is */
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	DENY(SYS_fcntl, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int main(int argc, char **argv)
{
	struct sock_fprog program = {sizeof populate / sizeof *populate, populate};

	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "files") == 0) {
		program.len = sizeof files / sizeof *files;
		program.filter = files;
	} else if (strcmp(argv[1], "memory") == 0) {
		program.len = sizeof memory / sizeof *memory;
		program.filter = memory;
	} else if (strcmp(argv[1], "ioctls") == 0) {
		program.len = sizeof ioctls / sizeof *ioctls;
		program.filter = ioctls;
	} else if (strcmp(argv[1], "writes") == 0) {
		program.len = sizeof writes / sizeof *writes;
		program.filter = writes;
	} else if (strcmp(argv[1], "flags") == 0) {
		program.len = sizeof flags / sizeof *flags;
		program.filter = flags;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 3;
	execv(argv[2], argv + 2);
	return 4;
}
