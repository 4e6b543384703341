package screen

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNothingThatATerminalObeysGetsThrough(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":                      "plain text",
		"täxt 表 🙂":                        "täxt 表 🙂",
		"\x1b[2J\x1b]0;owned\a":           `\x1b[2J\x1b]0;owned\a`,
		"c1 \u009b31m":                    `c1 \u009b31m`,
		"del \x7f tab \t":                 `del \x7f tab \t`,
		"line\nfeed\r":                    `line\nfeed\r`,
		"rtl \u202egnp.exe":               `rtl \u202egnp.exe`,
		"zero\u200bwidth\ufeff":           `zero\u200bwidth\ufeff`,
		"bad \xff\xfe":                    `bad \xff\xfe`,
		"private \ue000 \U000f0000":       `private \ue000 \U000f0000`,
		"e\u0301":                         "e\u0301",
		"a\u0301\u0301\u0301\u0301\u0301": "a\u0301\u0301\u0301\u0301" + `\u0301`,
	} {
		assert.Equal(t, want, Escape(in))
	}
}

func TestEscapedJSONSaysTheSame(t *testing.T) {
	in := map[string]string{"k\u009b": "a\x1b[2Jb\u007f\u202e\u00e4\U000e0001 表"}
	b, err := json.Marshal(in)
	require.NoError(t, err)
	escaped := EscapeJSON(b)
	assert.Equal(t, `{"k\u009b":"a\u001b[2Jb\u007f\u202e`+"ä"+`\udb40\udc01 表"}`, string(escaped))
	var out map[string]string
	require.NoError(t, json.Unmarshal(escaped, &out))
	assert.Equal(t, in, out)
}

func TestTextIsCutAndPaddedByColumns(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"abc", 5, "abc  "}, {"abcdef", 5, "abcd…"}, {"abcde", 5, "abcde"}, {"表表表", 5, "表表…"}, {"表表表", 4, "表… "}, {"ab", 1, "…"}, {"ab", 0, ""}, {"e\u0301e\u0301", 3, "e\u0301e\u0301 "},
	} {
		got := Left(tt.in, tt.width)
		assert.Equal(t, tt.want, got)
		assert.Equal(t, tt.width, Width(got))
	}
	assert.Equal(t, "  abc", Right("abc", 5))
}

func FuzzEscape(f *testing.F) {
	f.Add("\x1b[2J", 5)
	f.Add("表\u0301\u202e\xff", 3)
	f.Fuzz(func(t *testing.T, s string, width int) {
		out := Escape(s)
		if !utf8.ValidString(out) || Escape(out) != out {
			t.Fatalf("%q becomes %q and then %q", s, out, Escape(out))
		}
		if width %= 200; width > 0 && Width(Left(out, width)) != width {
			t.Fatalf("%q takes %d columns of %d", Left(out, width), Width(Left(out, width)), width)
		}
	})
}
