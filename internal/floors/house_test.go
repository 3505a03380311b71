package floors

// house lists every package of the module in its order: a package imports only
// packages that stand before it. A path that ends in /* is a place for any
// package directly beneath.
var house = []place{
	{path: "internal/fault", floor: ground},
	{path: "internal/identity", floor: ground},
	{path: "internal/scim/value", floor: ground, modules: []string{"github.com/go-json-experiment/json/jsontext"}},
	{path: "internal/scim/schema", floor: ground},
	{path: "internal/scim/filter", floor: ground},
	{path: "internal/scim/patch", floor: ground},
	{path: "internal/jwt", floor: ground},

	{path: "internal/table", floor: ports},
	{path: "internal/table/record", floor: ports},
	{path: "internal/table/ledger", floor: ports},
	{path: "internal/table/pump", floor: ports},
	{path: "internal/table/memory", floor: ports, tests: true},
	{path: "internal/table/tabletest", floor: ports, tests: true},
	{path: "internal/mail", floor: ports},

	{path: "internal/secret", floor: product},
	{path: "internal/due", floor: product},
	{path: "internal/org", floor: product},
	{path: "internal/roster", floor: product},
	{path: "internal/audit", floor: product},
	{path: "internal/lifecycle", floor: product},
	{path: "internal/courier", floor: product},
	{path: "internal/provision", floor: product},
	{path: "internal/account", floor: product, modules: []string{"golang.org/x/crypto/argon2"}},

	{path: "internal/local/pebble", floor: adapters, modules: []string{"github.com/cockroachdb/pebble/v2"}},
	{path: "internal/local/smtp", floor: adapters, modules: []string{"github.com/wneessen/go-mail"}},
	{path: "internal/local/maildir", floor: adapters, modules: []string{"github.com/wneessen/go-mail"}},
	{path: "internal/aws/dynamo", floor: adapters, modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/aws/aws-lambda-go/events"}},
	{path: "internal/aws/lambdatask", floor: adapters, modules: []string{"github.com/aws/aws-lambda-go"}},
	{path: "internal/aws/dynamo/discarded", floor: adapters, modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-lambda-go"}},
	{path: "internal/aws/ses", floor: adapters, modules: []string{"golang.org/x/net/idna", "github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/aws/aws-lambda-go/events"}},
	{path: "internal/aws/secrets", floor: adapters, modules: []string{"github.com/aws/aws-sdk-go-v2/aws"}},
	{path: "internal/aws/lambdahttp", floor: adapters, modules: []string{"github.com/aws/aws-lambda-go"}},
	{path: "internal/egress", floor: adapters},
	{path: "internal/web/scimhttp", floor: adapters},
	{path: "internal/web/portal", floor: adapters},
	{path: "internal/web/oauth", floor: adapters},

	{path: "internal/app", floor: faces},

	{path: "internal/local", floor: homes},
	{path: "internal/aws", floor: homes, modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go", "github.com/aws/aws-lambda-go"}},

	{path: "cmd/gatehouse", floor: programs, modules: []string{"github.com/alecthomas/kong", "github.com/aws/aws-sdk-go-v2/config", "github.com/aws/smithy-go/logging"}},
	{path: "functions/*", floor: programs, modules: []string{"github.com/aws/aws-lambda-go/lambda"}},

	{path: "events", floor: programs, tests: true},
	{path: "infra", floor: programs, tests: true, modules: []string{"go.yaml.in/yaml/v3"}},
	{path: "internal/fakes/*", floor: programs, tests: true, modules: []string{"github.com/emersion/go-smtp", "github.com/emersion/go-sasl", "github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-lambda-go/events", "github.com/jhillyerd/enmime/v2"}},
	{path: "internal/floors", floor: programs, tests: true},
	{path: "internal/rehearsal/pattern", floor: programs, tests: true},
	{path: "internal/rehearsal/*", floor: programs, tests: true, modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-lambda-go/events"}},
	{path: "internal/rehearsal", floor: programs, tests: true, modules: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/aws-lambda-go/events"}},
	{path: "internal/short", floor: programs, tests: true},
	{path: "internal/conformance", floor: programs, tests: true},
	{path: "internal/peers/*", floor: programs, tests: true},
	{path: "internal/peers", floor: programs, tests: true},
	{path: "internal/e2e", floor: programs, tests: true},
}

// everywhere may be imported by any package: it has no I/O and no state.
var everywhere = []string{"golang.org/x/text"}

// inTests may be imported by any test, and by no program.
var inTests = []string{
	"github.com/aws/aws-lambda-go",
	"github.com/aws/aws-sdk-go-v2",
	"github.com/aws/smithy-go",
	"github.com/chromedp/cdproto",
	"github.com/chromedp/chromedp",
	"github.com/emersion/go-smtp",
	"github.com/google/go-cmp",
	"github.com/jhillyerd/enmime/v2",
	"github.com/rogpeppe/go-internal",
	"go.uber.org/goleak",
	"golang.org/x/net/dns/dnsmessage",
	"golang.org/x/net/html",
	"pgregory.net/rapid",
}

// forbidden names, for each floor, packages of the standard library that would
// bring in what the floor is free of. A floor that is not named forbids none.
var forbidden = map[floor][]string{
	ground:  {"context", "database/sql", "log", "log/slog", "net", "net/http", "os", "os/exec", "syscall"},
	ports:   {"database/sql", "net", "net/http", "os", "os/exec", "syscall"},
	product: {"database/sql", "net", "net/http", "os", "os/exec", "syscall"},
}

// unlinked names modules and packages that no function on Lambda may contain, not
// even uncalled: what they do when they are initialized delays every start. The
// schemas are docs/decisions/0014.
var unlinked = []string{
	"github.com/cockroachdb/pebble",
	"github.com/aws/aws-sdk-go-v2/config",
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/schemas",
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/schemas",
	"github.com/aws/aws-sdk-go-v2/service/sesv2/schemas",
}
