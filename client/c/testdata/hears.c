/* hears PROGRAM [ARGUMENT...]: run a program and do what a collector does that hears of each renamed thread, except that the thread waits
 * for it: say "named PID TID NAME" and, of a name that tells of a mapping, "holds FD SEALS MEMFDS": the descriptor that this process
 * keeps of the segment, its seals, and how many memfds of that name the other process has open. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern long ptrace(int, ...);

static struct sock_filter renaming[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_NAME, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static unsigned long inode_at(int tid, unsigned long address)
{
	char path[64], line[512];
	unsigned long from, inode = 0;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", tid);
	maps = fopen(path, "r");
	if (maps == NULL)
		die(path);
	while (inode == 0 && fgets(line, sizeof line, maps))
		if (sscanf(line, "%lx-%*x %*s %*x %*x:%*x %lu", &from, &inode) != 2 || from != address)
			inode = 0;
	fclose(maps);
	return inode;
}

static void hold(int tid, unsigned long inode)
{
	char path[64], file[400], link[64];
	int fd = -1, memfds = 0;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", tid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) != NULL) {
		snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		memset(link, 0, sizeof link);
		if (readlink(file, link, sizeof link - 1) < 0 || strcmp(link, "/memfd:hotpath (deleted)") != 0)
			continue;
		memfds++;
		if (stat(file, &st) == 0 && st.st_ino == inode)
			fd = open(file, O_RDONLY | O_CLOEXEC);
	}
	closedir(dir);
	printf("holds %d %#x %d\n", fd, (unsigned)fcntl(fd, F_GET_SEALS), memfds);
}

static int process_of(int tid)
{
	char path[64], line[128];
	int pid = -1;
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", tid);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	fclose(status);
	return pid;
}

static void renamed(int tid)
{
	struct ptrace_syscall_info info;
	uint64_t name[3] = {0, 0, 0};
	unsigned long address;
	int i;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0)
		die("PTRACE_GET_SYSCALL_INFO");
	for (i = 0; i < 2; i++) /* glibc's ptrace would return the word: the system call stores it */
		if (syscall(SYS_ptrace, PTRACE_PEEKDATA, tid, info.seccomp.args[1] + 8 * (uint64_t)i, &name[i]) < 0)
			die("PTRACE_PEEKDATA");
	printf("named %d %d %s\n", process_of(tid), tid, (char *)name);
	if (strncmp((char *)name, "hp@", 3) == 0 && sscanf((char *)name + 3, "%lx", &address) == 1)
		hold(tid, inode_at(tid, address));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct sock_fprog filter = {sizeof renaming / sizeof *renaming, renaming};
	int go[2], pid, tid, status, event;
	char c;

	if (argc < 2 || pipe2(go, O_CLOEXEC) != 0)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &c, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
			die("filter");
		execv(argv[1], argv + 1);
		die(argv[1]);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) < 0)
		die("PTRACE_SEIZE");
	if (write(go[1], "", 1) != 1)
		die("write");
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (tid == pid && WIFEXITED(status))
			return WEXITSTATUS(status);
		if (tid == pid && WIFSIGNALED(status))
			return 128 + WTERMSIG(status);
		if (!WIFSTOPPED(status))
			continue;
		event = status >> 16;
		if (event == PTRACE_EVENT_SECCOMP)
			renamed(tid);
		ptrace(PTRACE_CONT, tid, NULL, (long)(event ? 0 : WSTOPSIG(status)));
	}
	return 3;
}
