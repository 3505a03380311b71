package conformance

// Pending are requirements that Gatehouse does not fulfil, by what they wait
// for. One that is fulfilled has to leave the list: the tests say which.
var Pending = map[string]string{
	"RFC7644-3.4.2.1-L918":  "queries at the root",
	"RFC7644-3.4.2.3-L1319": "sorting",
	"RFC7644-3.4.2.3-L1321": "sorting",
	"RFC7644-3.7-L2775":     "bulk operations",
	"RFC7644-3.7-L2779":     "bulk operations",
	"RFC7644-3.7-L2789":     "bulk operations",
	"RFC7644-3.7.1-L2814":   "bulk operations and nested groups",
	"RFC7644-3.7.3-L3201":   "bulk operations",
	"RFC7644-3.7.3-L3206":   "bulk operations",
	"RFC7644-3.7.4-L3495":   "bulk operations",
	"RFC7644-3.7.4-L3499":   "bulk operations",
}
