package otlp

import (
	"maps"
	"slices"
)

// index keeps values in the order of their arrival and finds them by key.
type index[T any] struct {
	list  []*T
	byKey map[string]*T
}

func (x *index[T]) find(key []byte) *T { return x.byKey[string(key)] }

func (x *index[T]) add(key []byte, value *T) {
	if x.byKey == nil {
		x.byKey = map[string]*T{}
	}
	x.byKey[string(key)] = value
	x.list = append(x.list, value)
}

// drop removes values, and lets go of what they point to.
func (x *index[T]) drop(unwanted func(*T) bool) {
	x.list = slices.DeleteFunc(x.list, unwanted)
	if len(x.list) < len(x.byKey) {
		maps.DeleteFunc(x.byKey, func(_ string, value *T) bool { return unwanted(value) })
	}
}
