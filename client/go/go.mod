module github.com/hotpath-metrics/hotpath/client/go

go 1.26.0

require golang.org/x/sys v0.43.0
