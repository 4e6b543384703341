package otlp

import (
	"maps"
	"slices"
)

// index keeps values in the order of their arrival and finds them by key.
type index[T any] struct {
	list  []*T
	byKey map[string]*T
	last  string // the key of the last of the list
}

func (x *index[T]) find(key []byte) *T { return x.byKey[string(key)] }

func (x *index[T]) add(key []byte, value *T) {
	if x.byKey == nil {
		x.byKey = map[string]*T{}
	}
	x.last = string(key)
	x.byKey[x.last] = value
	x.list = append(x.list, value)
}

// undo takes back the last add, of which there has been one since the last drop or undo.
func (x *index[T]) undo() {
	delete(x.byKey, x.last)
	x.list[len(x.list)-1] = nil
	x.list = x.list[:len(x.list)-1]
}

// drop removes values, and lets go of what they point to.
func (x *index[T]) drop(unwanted func(*T) bool) {
	x.list = slices.DeleteFunc(x.list, unwanted)
	if len(x.list) < len(x.byKey) {
		maps.DeleteFunc(x.byKey, func(_ string, value *T) bool { return unwanted(value) })
	}
}
