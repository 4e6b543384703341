package segment

import "unicode/utf8"

// ValidName reports whether name may name an instrument: 1 to [MaxName] bytes,
// a letter, then letters, digits, '_', '.', '-' and '/', all of ASCII.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxName || !letter(name[0]) {
		return false
	}
	for i := 1; i < len(name); i++ {
		c := name[i]
		if !letter(c) && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' && c != '/' {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// ValidUnit reports whether unit is at most [MaxUnit] bytes of ASCII.
func ValidUnit(unit string) bool {
	if len(unit) > MaxUnit {
		return false
	}
	for i := 0; i < len(unit); i++ {
		if unit[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// ValidKey reports whether key may be an attribute's: 1 to [MaxKey] bytes of UTF-8.
func ValidKey(key string) bool {
	return len(key) > 0 && len(key) <= MaxKey && utf8.ValidString(key)
}

// Text makes s valid UTF-8, with U+FFFD for each byte that is not, and cuts it
// after the last character that ends within limit bytes.
func Text(s string, limit int) string {
	// What lies further behind would be cut off anyway: no character gets shorter.
	s = s[:min(len(s), limit+utf8.UTFMax)]
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
