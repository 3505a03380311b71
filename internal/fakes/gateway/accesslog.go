package gateway

import (
	"cmp"
	"io"
	"net/http"
	"regexp"
	"strconv"
)

var variable = regexp.MustCompile(`\$context\.[A-Za-z0-9_.]*[A-Za-z0-9_]`)

// log writes the request's line. Variables that would tell of the client are true
// here as well, so that a format which asks for one is found out. Those that are
// not known, or have nothing to say, are a hyphen.
func (a *api) log(x *exchange, r *http.Request) {
	if a.o.AccessLog == nil {
		return
	}
	now := a.o.now().UTC()
	ms := func(ms int64) string { return strconv.FormatInt(ms, 10) }
	values := map[string]string{
		"accountId": a.o.account(), "apiId": a.o.api(), "stage": a.o.stage(), "domainName": cmp.Or(a.o.Domain, r.Host),
		"requestId": x.id, "extendedRequestId": x.id, "routeKey": x.routeKey, "httpMethod": r.Method, "protocol": r.Proto,
		"requestTime": now.Format("02/Jan/2006:15:04:05 -0700"), "requestTimeEpoch": ms(now.UnixMilli()),
		"status": strconv.Itoa(x.status), "responseLength": strconv.Itoa(x.length),
		"responseLatency": ms(now.Sub(x.began).Milliseconds()),
		"path":            r.URL.Path, "identity.sourceIp": sourceIP(r.RemoteAddr), "identity.userAgent": r.UserAgent(),
		"integrationErrorMessage": x.failure, "integration.error": x.failure, "error.message": x.failure,
	}
	if x.routeKey != "" {
		for _, name := range []string{"integrationLatency", "integration.latency"} {
			values[name] = ms(x.latency.Milliseconds())
		}
		for _, name := range []string{"integrationStatus", "integration.integrationStatus"} {
			values[name] = "200" // Lambda's, also where the function failed
		}
		values["integration.status"] = strconv.Itoa(x.status)
	}
	line := variable.ReplaceAllStringFunc(a.o.AccessLogFormat, func(v string) string {
		return cmp.Or(values[v[len("$context."):]], "-")
	})
	a.logMu.Lock()
	defer a.logMu.Unlock()
	io.WriteString(a.o.AccessLog, line+"\n")
}
