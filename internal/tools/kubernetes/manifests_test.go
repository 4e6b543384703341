// Package kubernetes checks the manifests in examples against the types of Kubernetes' own API. It is a module of its own, for what it needs is large.
package kubernetes

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const root = "../../.."

// kinds are those that the examples use.
var kinds = map[metav1.TypeMeta]func() any{
	{APIVersion: "apps/v1", Kind: "DaemonSet"}:  func() any { return new(appsv1.DaemonSet) },
	{APIVersion: "apps/v1", Kind: "Deployment"}: func() any { return new(appsv1.Deployment) },
	{APIVersion: "v1", Kind: "Service"}:         func() any { return new(corev1.Service) },
	{APIVersion: "v1", Kind: "ConfigMap"}:       func() any { return new(corev1.ConfigMap) },
}

func TestManifestsHaveOnlyFieldsOfTheAPI(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "examples/kubernetes/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests: %v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			for _, object := range objects(t, file) {
				if pod, selector := podOf(object); pod != nil {
					checkPod(t, pod, selector)
				}
			}
		})
	}
}

// The capabilities are those that the systemd unit has, which tests prove to suffice.
func TestDaemonSetHasTheCapabilitiesOfTheSystemdUnit(t *testing.T) {
	unit, err := os.ReadFile(filepath.Join(root, "examples/systemd/otelcol-hotpath.service"))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(unit), "\nCapabilityBoundingSet=")
	line, _, _ = strings.Cut(line, "\n")
	want := strings.Fields(strings.ReplaceAll(line, "CAP_", ""))
	var got []string
	for _, object := range objects(t, filepath.Join(root, "examples/kubernetes/daemonset.yaml")) {
		if set, ok := object.(*appsv1.DaemonSet); ok {
			for _, c := range set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add {
				got = append(got, string(c))
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the DaemonSet has %v, the unit %v", got, want)
	}
}

func TestCollectorTakesTheConfigMap(t *testing.T) {
	collector := os.Getenv("HOTPATH_OTELCOL")
	if collector == "" {
		collector = filepath.Join(root, "_build/otelcol-hotpath")
	}
	if _, err := os.Stat(collector); err != nil {
		t.Skipf("this needs the Collector: %v", err)
	}
	for _, object := range objects(t, filepath.Join(root, "examples/kubernetes/daemonset.yaml")) {
		configMap, ok := object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		file := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(file, []byte(configMap.Data["config.yaml"]), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(collector, "validate", "--config", file)
		cmd.Env = append(os.Environ(), "OTLP_ENDPOINT=dns:///otel-gateway.observability.svc.cluster.local:4317")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("validate: %v\n%s", err, out)
		}
		return
	}
	t.Error("there is no ConfigMap")
}

// objects are those of a file, decoded strictly: an unknown field, or one of another type, is an error.
func objects(t *testing.T, file string) (all []any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		if kinds[kind] == nil {
			t.Fatalf("%s has an object of kind %v", file, kind)
		}
		object := kinds[kind]()
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Fatalf("%s, %s: %v", file, kind.Kind, err)
		}
		all = append(all, object)
	}
	return all
}

func podOf(object any) (*corev1.PodTemplateSpec, *metav1.LabelSelector) {
	switch o := object.(type) {
	case *appsv1.DaemonSet:
		return &o.Spec.Template, o.Spec.Selector
	case *appsv1.Deployment:
		return &o.Spec.Template, o.Spec.Selector
	}
	return nil, nil
}

// checkPod looks for what the API server refuses and types do not tell.
func checkPod(t *testing.T, pod *corev1.PodTemplateSpec, selector *metav1.LabelSelector) {
	t.Helper()
	for key, value := range selector.MatchLabels {
		if pod.Labels[key] != value {
			t.Errorf("the selector %s=%s does not match the pod's labels %v", key, value, pod.Labels)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == "" || c.Image == "" {
			t.Errorf("a container without name or image: %+v", c)
		}
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		if probe := c.ReadinessProbe; probe != nil && !ports[probe.TCPSocket.Port.String()] {
			t.Errorf("container %s is probed at port %v, which it has not", c.Name, probe.TCPSocket.Port.String())
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
		}
	}
}
