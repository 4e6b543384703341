// Package c holds the C and C++ client, a header, for Go programs that compile it.
package c

import _ "embed"

// Header is hotpath.h.
//
//go:embed hotpath.h
var Header []byte
