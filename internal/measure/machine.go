package measure

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is what figures depend on.
type Machine struct {
	CPU      string `json:"cpu"`
	CPUs     int    `json:"cpus"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	C        string `json:"c"`
	Emulated bool   `json:"emulated"` // instructions are not executed by a CPU: only ratios mean anything
}

func (m Machine) String() string {
	s := fmt.Sprintf("%s, %d CPUs; Linux %s; %s; %s", m.CPU, m.CPUs, m.Kernel, m.Go, m.C)
	if m.Emulated {
		s += "; emulated"
	}
	return s
}

// CCompilers are looked for in this order.
var CCompilers = []string{"gcc", "cc", "clang"}

// CCompiler is the path of the first there is.
func CCompiler() (string, error) {
	for _, name := range CCompilers {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no C compiler (%s)", strings.Join(CCompilers, ", "))
}

// DescribeMachine looks at the machine.
func DescribeMachine() Machine {
	m := Machine{CPUs: runtime.NumCPU(), Kernel: "?", Go: runtime.Version()}
	text, _ := os.ReadFile("/proc/cpuinfo") // without it, the CPU is that of its kind
	m.CPU = cpuModel(string(text))
	clocks, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/available_clocksource")
	m.Emulated = emulated(m.CPU, string(clocks))
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	compiler, err := CCompiler()
	if err != nil {
		m.C = err.Error()
	} else if version, err := exec.Command(compiler, "--version").Output(); err == nil { // #nosec G204 -- one of three
		m.C, _, _ = strings.Cut(string(version), "\n")
	}
	return m
}

// cpuModel adds to the name, which hypervisors make vague, what tells a core's design.
func cpuModel(cpuinfo string) string {
	fields := map[string]string{}
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	if fields["model name"] == "" {
		return runtime.GOARCH
	}
	return fmt.Sprintf("%s (family %s, model %s)", fields["model name"], fields["cpu family"], fields["model"])
}

// emulated tells QEMU's own CPUs from those that it only names so: a guest that runs on the CPU has KVM's clock.
func emulated(cpu, clocks string) bool {
	return strings.Contains(cpu, "QEMU") && !strings.Contains(clocks, "kvm-clock")
}
