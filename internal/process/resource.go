package process

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Set puts an attribute at its place in a list sorted by key, instead of one with that key.
func Set(attributes []emit.Attribute, a emit.Attribute) []emit.Attribute {
	i, found := find(attributes, a.Key)
	if found {
		attributes[i] = a
		return attributes
	}
	return slices.Insert(attributes, i, a)
}

// SetMissing is like [Set], unless the key has a string already that is not empty.
func SetMissing(attributes []emit.Attribute, key, value string) []emit.Attribute {
	if i, found := find(attributes, key); found && attributes[i].Type == emit.AttributeString && attributes[i].Str != "" {
		return attributes
	}
	return Set(attributes, emit.Attribute{Key: key, Type: emit.AttributeString, Str: value})
}

func find(attributes []emit.Attribute, key string) (int, bool) {
	return slices.BinarySearchFunc(attributes, key, func(a emit.Attribute, key string) int { return strings.Compare(a.Key, key) })
}

// UUID writes an instance as service.instance.id has it.
func UUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
