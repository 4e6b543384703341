package main

import (
	"os"
	"strings"
	"testing"
)

func TestREADMEShowsTheExamplesAsTheyAre(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../write.c", "write.go", "../write.py", "../write.sh"} {
		example, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "\n"+string(example)+"```\n") {
			t.Errorf("README.md shows another %s", name)
		}
	}
}
