// Command app is the end-to-end tests' Go application.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	switch os.Args[1] {
	case "values":
		values()
	case "commands":
		commands()
	case "probed":
		probed()
	case "churn":
		churn(os.Args[2])
	case "churn-child":
		churnChild(os.Args[2], os.Args[3])
	}
}

// lines calls do with each line of the input.
func lines(do func(string)) {
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		do(input.Text())
	}
}
