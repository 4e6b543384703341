// Package otlp takes OTLP metrics as exporters write them, one small request for
// nearly every data point, and hands them on merged by resource, scope and metric.
//
// A request is checked in full against the protocol's messages (check.go, schema.go) and then taken
// apart no deeper than to its data points, whose bytes are kept as they came (request.go, table.go). Only a
// collection makes pdata of them, once for all points of a resource (encode.go): that costs
// a third of making it of each request. Delta points may become cumulative ones on the way (cumulative.go).
package otlp
