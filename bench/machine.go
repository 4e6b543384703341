package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what figures depend on.
type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	C      string `json:"c"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d CPUs; Linux %s; %s; %s", m.CPU, m.CPUs, m.Kernel, m.Go, m.C)
}

func describeMachine() machine {
	m := machine{CPU: cpuModel(), CPUs: runtime.NumCPU(), Kernel: "?", Go: runtime.Version(), C: "no gcc"}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if version, err := exec.Command("gcc", "--version").Output(); err == nil {
		m.C, _, _ = strings.Cut(string(version), "\n")
	}
	return m
}

// cpuModel adds to the name, which hypervisors make vague, what tells a core's design.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if fields["model name"] == "" {
		return runtime.GOARCH
	}
	return fmt.Sprintf("%s (family %s, model %s)", fields["model name"], fields["cpu family"], fields["model"])
}
