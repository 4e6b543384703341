// Package kerneltest runs programs in a virtual machine: on a kernel that has user_events, built once from the
// distribution's source (kernel.sh), which boots in seconds, or on one of the distribution's own (distribution.sh).
package kerneltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Job is a shell command that runs as root in a virtual machine, on the host's file system: read-only
// but for the folders named, which are the host's own. /tmp, /run and /dev/shm are empty.
type Job struct {
	// Release is that of the distribution's own kernel, such as "6.12". Empty is the one with user_events.
	Release  string
	Command  string
	Dir      string   // absolute
	Env      []string // NAME=value
	Writable []string // absolute folders
	Stdout   io.Writer
	Stderr   io.Writer
}

// Run builds the kernel if need be, boots it, runs the job and returns its exit status.
func Run(ctx context.Context, job Job) (status int, err error) {
	folder, err := kernel(ctx, job.Release, job.Stderr)
	if err != nil {
		return 0, err
	}
	accel, err := accelerator(ctx, folder)
	if err != nil {
		return 0, err
	}
	return boot(ctx, folder, accel, job)
}

// kernel returns the folder with the kernel and its initramfs.
func kernel(ctx context.Context, release string, stderr io.Writer) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	script, args := "kernel.sh", []string(nil)
	if release != "" {
		script, args = "distribution.sh", []string{release}
	}
	// #nosec G204 -- it is this repository's.
	get := exec.CommandContext(ctx, filepath.Join(root, "internal/kerneltest", script), args...)
	get.Stderr = stderr
	out, err := get.Output()
	if err != nil {
		return "", fmt.Errorf("get a kernel for the virtual machine: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// moduleRoot is the folder of the working tree, wherever in it a test or command runs.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working tree: %w", err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "testdata/kernel.config")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("find the working tree: no testdata/kernel.config above the working directory")
}

// accelerator is KVM where a machine really runs on it: /dev/kvm may be there and fail. The answer is kept until the
// host boots again.
func accelerator(ctx context.Context, folder string) (string, error) {
	const emulated = "tcg,thread=multi"
	if f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0); err != nil {
		return emulated, nil
	} else if err := f.Close(); err != nil {
		return "", fmt.Errorf("close /dev/kvm: %w", err)
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	known := filepath.Join(folder, "accelerator")
	// #nosec G304 G703 -- it is in our cache.
	if kept, err := os.ReadFile(known); err == nil {
		if accel, ok := strings.CutPrefix(string(kept), string(bootID)); ok {
			return accel, nil
		}
	}
	probe, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	accel := "kvm"
	if status, err := boot(probe, folder, accel, Job{Command: "true", Dir: "/", Stdout: io.Discard, Stderr: io.Discard}); err != nil || status != 0 {
		accel = emulated
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	// #nosec G703 -- it is in our cache.
	if err := os.WriteFile(known, append(bootID, accel...), 0o600); err != nil {
		return "", fmt.Errorf("keep what runs machines: %w", err)
	}
	return accel, nil
}

func boot(ctx context.Context, folder, accel string, job Job) (status int, err error) {
	share, err := os.MkdirTemp("", "hotpath-vm")
	if err != nil {
		return 0, fmt.Errorf("make a folder for the job: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(share)) }()
	if err := job.write(share); err != nil {
		return 0, fmt.Errorf("write the job: %w", err)
	}

	initrd := filepath.Join(share, "initrd")
	if err := withInit(ctx, folder, initrd); err != nil {
		return 0, err
	}

	var answer, console bytes.Buffer
	ports := []io.Writer{job.Stdout, job.Stderr, &answer, &console}
	args := append(machine(folder, initrd, accel), shares(share, job.Writable)...)
	var files []*os.File
	var copying sync.WaitGroup
	for i, to := range ports {
		r, w, err := os.Pipe()
		if err != nil {
			return 0, fmt.Errorf("make a pipe: %w", err)
		}
		defer r.Close()
		files = append(files, w)
		copying.Go(func() { _, _ = io.Copy(to, r) })
		args = append(args, "-chardev", fmt.Sprintf("file,id=p%d,path=/proc/self/fd/%d", i, 3+i))
		if to == &console {
			args = append(args, "-serial", fmt.Sprintf("chardev:p%d", i))
		} else {
			args = append(args, "-device", fmt.Sprintf("virtserialport,chardev=p%d,nr=%d", i, 1+i))
		}
	}
	// #nosec G204 -- a virtual machine runs what its caller wants.
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var complaints bytes.Buffer
	qemu.Stderr, qemu.ExtraFiles = &complaints, files
	err = qemu.Start()
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("start qemu: %w", err)
	}
	err = qemu.Wait()
	copying.Wait()
	if ctx.Err() != nil {
		return 0, fmt.Errorf("run the virtual machine: %w", ctx.Err())
	}
	status, statusErr := strconv.Atoi(strings.TrimSpace(answer.String()))
	if err != nil || statusErr != nil {
		return 0, fmt.Errorf("the virtual machine ended without an answer (%w)\n%s%s", errors.Join(err, statusErr), complaints.String(), tail(console.String()))
	}
	return status, nil
}

// withInit makes the initial file system: what is kept with the kernel, and our init.
func withInit(ctx context.Context, folder, initrd string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	// #nosec G204 -- the paths are ours.
	pack := exec.CommandContext(ctx, "sh", "-c", `{ echo init | cpio -o -H newc --quiet; cat "$0"; } >"$1"`, filepath.Join(folder, "initramfs.gz"), initrd)
	pack.Dir = filepath.Join(root, "internal/kerneltest")
	if out, err := pack.CombinedOutput(); err != nil {
		return fmt.Errorf("pack the init: %w: %s", err, out)
	}
	return nil
}

// write puts the job where the machine's init looks for it.
func (j *Job) write(share string) error {
	var script, writable strings.Builder
	for _, e := range j.Env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&script, "export %s=%s\n", name, quote(value))
	}
	fmt.Fprintf(&script, "cd %s || exit\nexec /bin/sh -c %s\n", quote(j.Dir), quote(j.Command))
	for i, folder := range j.Writable {
		fmt.Fprintf(&writable, "w%d %s\n", i, folder)
	}
	if err := os.WriteFile(filepath.Join(share, "job"), []byte(script.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(share, "writable"), []byte(writable.String()), 0o600)
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func machine(folder, initrd, accel string) []string {
	cpu := "max"
	if accel == "kvm" {
		cpu = "host"
	}
	return []string{
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-accel", accel, "-cpu", cpu, "-smp", strconv.Itoa(max(2, runtime.NumCPU())), "-m", "2G",
		"-kernel", filepath.Join(folder, "bzImage"), "-initrd", initrd,
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 reboot=t",
		"-device", "virtio-serial-pci", // the first virtio device, so its ports are /dev/vport0p1 and on
		"-device", "virtio-rng-pci",
	}
}

func shares(job string, writable []string) []string {
	args := share("host", "/", ",readonly=on,multidevs=remap")
	args = append(args, share("job", job, "")...)
	for i, folder := range writable {
		args = append(args, share(fmt.Sprintf("w%d", i), folder, ",multidevs=remap")...)
	}
	return args
}

func share(tag, path, options string) []string {
	return []string{
		"-fsdev", fmt.Sprintf("local,id=%s,path=%s,security_model=none%s", tag, path, options),
		"-device", fmt.Sprintf("virtio-9p-pci,fsdev=%s,mount_tag=%s", tag, tag),
	}
}

func tail(s string) string {
	const most = 4000
	return s[max(0, len(s)-most):]
}
