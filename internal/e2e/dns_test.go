package e2e

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// nameServer answers for one name, over UDP, with IPv4 addresses.
type nameServer struct {
	address   string
	name      []byte // as a query spells it
	addresses []netip.Addr
}

func startNameServer(t testing.TB, name string, addresses ...netip.Addr) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{address: conn.LocalAddr().String(), addresses: addresses}
	for label := range strings.SplitSeq(name, ".") {
		s.name = append(append(s.name, byte(len(label))), label...)
	}
	s.name = append(s.name, 0)
	go func() {
		query := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return
			}
			if answer := s.answer(query[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return s
}

// Parts of messages: RFC 1035, section 4.1.
const (
	dnsHeader = 12
	dnsTypeA  = 1
	dnsAnswer = 0x8400 // it is one, and the server knows
	dnsNoName = 3
	dnsToName = 0xc000 | dnsHeader // "the name in the question"
)

func (s *nameServer) answer(query []byte) []byte {
	if len(query) < dnsHeader {
		return nil
	}
	question, _, ok := strings.Cut(string(query[dnsHeader:]), "\x00")
	end := dnsHeader + len(question) + 1 + 4 // and type and class
	if !ok || len(query) < end {
		return nil
	}
	var found []netip.Addr
	flags := uint16(dnsAnswer)
	switch kind := binary.BigEndian.Uint16(query[end-4:]); {
	case !strings.EqualFold(question+"\x00", string(s.name)):
		flags |= dnsNoName
	case kind == dnsTypeA:
		found = s.addresses
	}
	message := append([]byte(nil), query[:2]...)
	for _, word := range []uint16{flags, 1, uint16(len(found)), 0, 0} {
		message = binary.BigEndian.AppendUint16(message, word)
	}
	message = append(message, query[dnsHeader:end]...)
	for _, address := range found {
		for _, word := range []uint16{dnsToName, dnsTypeA, 1, 0, 1 /* s to live */, 4} {
			message = binary.BigEndian.AppendUint16(message, word)
		}
		message = append(message, address.AsSlice()...)
	}
	return message
}
