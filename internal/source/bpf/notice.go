package bpf

import (
	"encoding/binary"
	"errors"
)

// Kinds of notices, as in segments.bpf.c.
const (
	noticeAnnounced = 1
	noticePage      = 2
	noticeEnded     = 3
)

const (
	noticeSize = 32
	pageSize   = 4096
)

var errNotice = errors.New("a notice of the wrong length")

// notice is what a program tells of a process.
type notice struct {
	kind    uint32
	pid     uint32
	uid     uint32 // of a page, whose its segment is
	tid     uint32 // of the thread that announces
	address uint64 // of the segment's mapping
	offset  uint64 // of a page in its segment; of an end, how much could not be copied
	page    []byte // valid until the next notice
}

func parseNotice(b []byte) (n notice, err error) {
	if len(b) < noticeSize {
		return n, errNotice
	}
	n = notice{
		kind: binary.NativeEndian.Uint32(b), pid: binary.NativeEndian.Uint32(b[4:]), uid: binary.NativeEndian.Uint32(b[8:]),
		tid:     binary.NativeEndian.Uint32(b[12:]),
		address: binary.NativeEndian.Uint64(b[16:]), offset: binary.NativeEndian.Uint64(b[24:]),
	}
	if b = b[noticeSize:]; n.kind == noticePage {
		if len(b) < pageSize {
			return n, errNotice
		}
		n.page = b[:pageSize]
	}
	return n, nil
}

// found is a descriptor of a segment, or the mapping of its beginning.
type found struct {
	pid, tid   uint32
	uid        uint32 // whose the segment is
	fd         uint32
	inode      uint64
	start, end uint64
}

const foundSize = 40

// parseFound takes a record of what an iterator lists.
func parseFound(b *[foundSize]byte) found {
	return found{
		pid: binary.NativeEndian.Uint32(b[:]), tid: binary.NativeEndian.Uint32(b[4:]),
		uid: binary.NativeEndian.Uint32(b[8:]), fd: binary.NativeEndian.Uint32(b[12:]),
		inode: binary.NativeEndian.Uint64(b[16:]), start: binary.NativeEndian.Uint64(b[24:]), end: binary.NativeEndian.Uint64(b[32:]),
	}
}
