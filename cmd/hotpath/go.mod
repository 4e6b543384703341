module github.com/hotpath-metrics/hotpath/cmd/hotpath

go 1.26.0

require (
	github.com/spf13/cobra v1.10.2
	golang.org/x/sys v0.47.0
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/spf13/pflag v1.0.9 // indirect
)

replace (
	github.com/hotpath-metrics/hotpath => ../..
	github.com/hotpath-metrics/hotpath/client/go => ../../client/go
)
