//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	serviceName    = "service.name"
	executableName = "process.executable.name"
)

// resourceRecord is the record that describes this process. The error names what was left out of it.
func resourceRecord(getenv func(string) string) ([]byte, error) {
	var attributes []segment.Attribute
	set := func(key, value string) {
		attributes = append(attributes, segment.Attribute{Key: key, Type: segment.AttributeString, Str: segment.Text(value, segment.MaxString)})
	}
	base := ""
	if executable, err := os.Executable(); err == nil {
		base = filepath.Base(executable)
		set(serviceName, "unknown_service:"+base)
	} else {
		set(serviceName, "unknown_service")
	}
	// What comes later wins.
	listed, err := parseResource(getenv("OTEL_RESOURCE_ATTRIBUTES"))
	if err != nil {
		err = fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES is ignored because %w", err)
	}
	for _, a := range listed {
		if a.key != serviceName || a.value != "" {
			set(a.key, a.value)
		}
	}
	if name := getenv("OTEL_SERVICE_NAME"); name != "" {
		set(serviceName, name)
	}
	if base != "" {
		set(executableName, base)
	}
	return segment.AppendRecord(nil, &segment.Record{Kind: segment.KindResource, Attributes: attributes}), err
}

type pair struct{ key, value string }

const blanks = " \t\n\v\f\r"

// parseResource parses key=value,... with percent-encoding, as
// docs/segment-format.md says. One error discards the whole list.
func parseResource(list string) ([]pair, error) {
	var pairs []pair
	for item := range strings.SplitSeq(list, ",") {
		if strings.Trim(item, blanks) == "" {
			continue
		}
		key, value, found := strings.Cut(item, "=")
		if !found {
			return nil, fmt.Errorf("%.64q is not key=value", item)
		}
		key, err := decode(key)
		if err != nil {
			return nil, fmt.Errorf("decode a key: %w", err)
		}
		if !segment.ValidKey(key) {
			return nil, fmt.Errorf("the key %.64q is not 1 to %d bytes of UTF-8", key, segment.MaxKey)
		}
		if value, err = decode(value); err != nil {
			return nil, fmt.Errorf("decode the value of %q: %w", key, err)
		}
		pairs = append(pairs, pair{key, value})
	}
	// service.name and process.executable.name have to have room.
	if len(pairs) > segment.MaxAttributes-2 {
		return nil, fmt.Errorf("it has %d attributes, the most is %d", len(pairs), segment.MaxAttributes-2)
	}
	return pairs, nil
}

func decode(text string) (string, error) {
	text, err := url.PathUnescape(strings.Trim(text, blanks))
	if err == nil && strings.ContainsRune(text, 0) {
		err = errors.New("it contains %00")
	}
	return text, err
}
