package binary

import (
	"bytes"
	"slices"
	"testing"
)

func TestDeclaredFunctionsAreThoseThatNmShows(t *testing.T) {
	for _, command := range []string{"g++ -O0", "g++ -O2", "g++ -O2 -fPIC -shared", "clang++ -O1", "aarch64-linux-gnu-g++ -O2"} {
		t.Run(command, func(t *testing.T) {
			c := compile(t, command, "testdata/shop.cc")
			all := c.symbols(t, "-C")
			for name, shown := range map[string][]string{
				"shop::Cart::add":                              {"shop::Cart::add(int)", "shop::Cart::add(char const*, unsigned long)"},
				"shop::Cart::add(int)":                         {"shop::Cart::add(int)"},
				"shop::Cart::add(char const*,unsigned long)":   {"shop::Cart::add(char const*, unsigned long)"},
				"shop::Cart::Cart":                             {"shop::Cart::Cart()", "shop::Cart::Cart(int)"},
				"shop::Cart::Cart(int)":                        {"shop::Cart::Cart(int)"},
				"shop::BigCart::BigCart":                       {"shop::BigCart::BigCart()"},
				"shop::Cart::~Cart":                            {"shop::Cart::~Cart()"},
				"shop::Cart::total() const":                    {"shop::Cart::total() const"},
				"shop::Cart::total":                            {"shop::Cart::total() const"},
				"shop::Cart::name":                             {"shop::Cart::name[abi:cxx11]()"},
				"shop::Cart::name[abi:cxx11]()":                {"shop::Cart::name[abi:cxx11]()"},
				"shop::Cart::operator+=":                       {"shop::Cart::operator+=(int)"},
				"shop::Cart::operator()":                       {"shop::Cart::operator()(int)"},
				"shop::Cart::most":                             {"int shop::Cart::most<int>(int, int)", "double shop::Cart::most<double>(double, double)"},
				"shop::Cart::most<int>":                        {"int shop::Cart::most<int>(int, int)"},
				"shop::Cart::most<int>(int, int)":              {"int shop::Cart::most<int>(int, int)"},
				"int shop::Cart::most<int>(int, int)":          {"int shop::Cart::most<int>(int, int)"},
				"shop::(anonymous namespace)::hidden":          {"shop::(anonymous namespace)::hidden(int)"},
				"shop::local":                                  {"shop::local(int)"},
				"global":                                       {"global(int)"},
				"global(int)":                                  {"global(int)"},
				"_ZN4shop4Cart3addEi":                          {"shop::Cart::add(int)"},
				"main::{lambda(int)#1}::operator()(int) const": {"main::{lambda(int)#1}::operator()(int) const"},
			} {
				var want []uint64
				for _, s := range shown {
					for _, address := range all[s] {
						want = append(want, c.fileOffset(t, address))
					}
				}
				slices.Sort(want)
				want = slices.Compact(want)
				if len(want) == 0 {
					if name[0] != 'm' { // compilers name lambdas in their own ways
						t.Errorf("nm shows no %s", shown)
					}
					continue
				}
				sites, err := c.Functions(name, 0)
				var got []uint64
				for _, s := range sites {
					got = append(got, s.Offset)
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %x, %v; want %x", name, got, err, want)
				}
			}
			_, err := c.Functions("shop::Cart::ad", 0)
			wantError(t, err, "shop::Cart::add(")
			_, err = c.Functions("shop::Cart::add(double)", 0)
			wantError(t, err, "shop::Cart::add(int)", "shop::Cart::add(char const*, unsigned long)")
			_, err = c.Functions("total", 0)
			wantError(t, err, "shop::Cart::total() const")
			_, err = c.Functions("operator new(unsigned long)", 0)
			wantError(t, err, "find operator new(unsigned long)")
		})
	}
}

func TestClonesOfDeclaredFunctionsAreMentionedAndNotTaken(t *testing.T) {
	m := newImage()
	m.symbols[1].Name = uint32(len(m.names))
	m.names = append(m.names, "_ZN4shop10cooperatorEi.isra.0\x00"...)
	m.place()
	_, err := m.open(t).Functions("shop::cooperator", 0)
	wantError(t, err, "no such function; names like it: _ZN4shop10cooperatorEi.isra.0")
	m.names = bytes.ReplaceAll(m.names, []byte(".isra.0"), []byte("\x00isra.0"))
	if s, err := m.open(t).Functions("shop::cooperator", 0); err != nil || s[0].Symbol != "_ZN4shop10cooperatorEi" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRustsNamesAreTakenWithoutTheirHashes(t *testing.T) {
	for mangled, name := range map[string]string{
		"_ZN3app6server6handle17h0123456789abcdefE": "app::server::handle",
		"_RNvNtCs1234_3app6server6handle":           "app::server::handle",
	} {
		m := newImage()
		m.symbols[1].Name = uint32(len(m.names))
		m.names = append(m.names, mangled+"\x00"...)
		m.place()
		if s, err := m.open(t).Functions(name, 0); err != nil || len(s) != 1 || s[0].Symbol != mangled {
			t.Errorf("%s: %+v, %v", mangled, s, err)
		}
	}
}
