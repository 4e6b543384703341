package process

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestContainerID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for cgroups, want := range map[string]string{
		"":                                "",
		"0::/\n":                          "",
		"0::/init.scope\n":                "",
		"0::/system.slice/shop.service\n": "",
		"0::/docker/" + id + "\n":         id,
		"0::/system.slice/docker-" + id + ".scope\n":                                                                  id,
		"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope\n": id,
		"0::/kubepods/besteffort/pod1/" + id + "\n":                                                                   id,
		"0::/kubepods.slice/pod1.slice/crio-" + id + ".scope/container\n":                                             id,
		"0::/machine.slice/libpod-" + id + ".scope\n":                                                                 id,
		"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + id + "\n":                         id,
		"12:cpu:/docker/" + id + "\n0::/\n":                                                                           id,
		"1:name=systemd:/docker/" + id[1:] + "\n":                                                                     "",
		"0::/docker/" + strings.ToUpper(id) + "\n":                                                                    "",
		"0::": "", "::": "", "x": "",
	} {
		assert.Equal(t, want, ContainerID([]byte(cgroups)), cgroups)
	}
}

func FuzzContainerID(f *testing.F) {
	f.Add([]byte("12:cpu:/docker/x\n0::/\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id := ContainerID(b); id != "" && len(id) != containerIDLength {
			t.Fatal(id)
		}
	})
}
