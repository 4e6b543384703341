package otlp

import "google.golang.org/protobuf/encoding/protowire"

// kind is what a field holds.
type kind uint8

const (
	unknown kind = iota
	varint
	fixed64
	text
	octets
	spanID
	traceID
	message
	resourceMessage
	scopeMessage
	varints  // repeated
	fixed64s // repeated
)

// messageID is a message of opentelemetry/proto/metrics/v1 and what it is made of.
type messageID uint8

const (
	request messageID = iota
	resourceMetrics
	resource
	entityRef
	scopeMetrics
	scope
	metric
	gauge
	sum
	histogram
	exponentialHistogram
	summary
	numberPoint
	histogramPoint
	exponentialPoint
	buckets
	summaryPoint
	quantile
	exemplar
	keyValue
	anyValue
	array
	kvlist
)

type field struct {
	kind kind
	of   messageID
}

// schema is a message's fields by number, and about how many bytes pdata takes for one beside what its
// fields take. The few messages that all points of a metric share count nothing: see [containerSize].
type schema struct {
	size   int
	fields [15]field
}

var schemas = [...]schema{
	request:              {fields: [15]field{1: {message, resourceMetrics}}},
	resourceMetrics:      {fields: [15]field{1: {kind: resourceMessage}, 2: {message, scopeMetrics}, 3: {kind: text}}},
	resource:             {fields: [15]field{1: {message, keyValue}, 2: {kind: varint}, 3: {message, entityRef}}},
	entityRef:            {size: 128, fields: [15]field{1: {kind: text}, 2: {kind: text}, 3: {kind: text}, 4: {kind: text}}},
	scopeMetrics:         {fields: [15]field{1: {kind: scopeMessage}, 2: {message, metric}, 3: {kind: text}}},
	scope:                {fields: [15]field{1: {kind: text}, 2: {kind: text}, 3: {message, keyValue}, 4: {kind: varint}}},
	gauge:                {fields: [15]field{1: {message, numberPoint}}},
	sum:                  {fields: [15]field{1: {message, numberPoint}, 2: {kind: varint}, 3: {kind: varint}}},
	histogram:            {fields: [15]field{1: {message, histogramPoint}, 2: {kind: varint}}},
	exponentialHistogram: {fields: [15]field{1: {message, exponentialPoint}, 2: {kind: varint}}},
	summary:              {fields: [15]field{1: {message, summaryPoint}}},
	metric: {fields: [15]field{
		1: {kind: text}, 2: {kind: text}, 3: {kind: text}, 5: {message, gauge}, 7: {message, sum},
		9: {message, histogram}, 10: {message, exponentialHistogram}, 11: {message, summary}, 12: {message, keyValue},
	}},
	numberPoint: {size: 160, fields: [15]field{
		2: {kind: fixed64}, 3: {kind: fixed64}, 4: {kind: fixed64}, 5: {message, exemplar}, 6: {kind: fixed64},
		7: {message, keyValue}, 8: {kind: varint},
	}},
	histogramPoint: {size: 288, fields: [15]field{
		2: {kind: fixed64}, 3: {kind: fixed64}, 4: {kind: fixed64}, 5: {kind: fixed64}, 6: {kind: fixed64s}, 7: {kind: fixed64s},
		8: {message, exemplar}, 9: {message, keyValue}, 10: {kind: varint}, 11: {kind: fixed64}, 12: {kind: fixed64},
	}},
	exponentialPoint: {size: 320, fields: [15]field{
		1: {message, keyValue}, 2: {kind: fixed64}, 3: {kind: fixed64}, 4: {kind: fixed64}, 5: {kind: fixed64}, 6: {kind: varint},
		7: {kind: fixed64}, 8: {message, buckets}, 9: {message, buckets}, 10: {kind: varint}, 11: {message, exemplar},
		12: {kind: fixed64}, 13: {kind: fixed64}, 14: {kind: fixed64},
	}},
	buckets: {fields: [15]field{1: {kind: varint}, 2: {kind: varints}}},
	summaryPoint: {size: 160, fields: [15]field{
		2: {kind: fixed64}, 3: {kind: fixed64}, 4: {kind: fixed64}, 5: {kind: fixed64}, 6: {message, quantile},
		7: {message, keyValue}, 8: {kind: varint},
	}},
	quantile: {size: 32, fields: [15]field{1: {kind: fixed64}, 2: {kind: fixed64}}},
	exemplar: {size: 192, fields: [15]field{
		2: {kind: fixed64}, 3: {kind: fixed64}, 4: {kind: spanID}, 5: {kind: traceID}, 6: {kind: fixed64}, 7: {message, keyValue},
	}},
	keyValue: {size: 80, fields: [15]field{1: {kind: text}, 2: {message, anyValue}, 3: {kind: varint}}},
	anyValue: {size: 64, fields: [15]field{
		1: {kind: text}, 2: {kind: varint}, 3: {kind: varint}, 4: {kind: fixed64}, 5: {message, array}, 6: {message, kvlist},
		7: {kind: octets}, 8: {kind: varint},
	}},
	array:  {fields: [15]field{1: {message, anyValue}}},
	kvlist: {fields: [15]field{1: {message, keyValue}}},
}

// Numbers of the fields that requests are taken apart by.
const (
	requestResourceMetrics = 1

	resourceMetricsResource     = 1
	resourceMetricsScopeMetrics = 2

	scopeMetricsScope   = 1
	scopeMetricsMetrics = 2

	metricName                 = 1
	metricDescription          = 2
	metricUnit                 = 3
	metricGauge                = 5
	metricSum                  = 7
	metricHistogram            = 9
	metricExponentialHistogram = 10
	metricSummary              = 11
	metricMetadata             = 12

	dataPoints      = 1
	dataTemporality = 2
	dataMonotonic   = 3
)

// wireTypes are what the kinds are written as; repeated ones, which come packed into one, singly as well.
var wireTypes = [...]protowire.Type{
	varint:          protowire.VarintType,
	fixed64:         protowire.Fixed64Type,
	text:            protowire.BytesType,
	octets:          protowire.BytesType,
	spanID:          protowire.BytesType,
	traceID:         protowire.BytesType,
	message:         protowire.BytesType,
	resourceMessage: protowire.BytesType,
	scopeMessage:    protowire.BytesType,
	varints:         protowire.VarintType,
	fixed64s:        protowire.Fixed64Type,
}
