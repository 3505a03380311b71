// Package dynamodb is DynamoDB for tests: Amazon's own DynamoDB Local in a
// process of its own, and a proxy that does to its clients what it cannot do
// itself (see Proxy).
//
// It is not a reimplementation. What DynamoDB Local does unlike DynamoDB stands
// where a test meets it. It needs Java 17 and the jars of pom.xml, which
// "make tools" puts in .tools/dynamodb-local/lib.
package dynamodb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
)

//go:embed Local.java
var source []byte

// ErrMissing is wrapped by Start's error when Java or the jars are not there.
var ErrMissing = errors.New("DynamoDB Local is not installed; run make tools")

// Server is a running DynamoDB Local. All tables live in one database, whatever
// the region and the access key of the client, and are gone with the process.
type Server struct {
	Endpoint string // http://127.0.0.1:port

	cmd    *exec.Cmd
	mu     sync.Mutex // of what follows
	stdin  io.WriteCloser
	stdout *bufio.Reader
	ended  bool
}

// Start starts a server: some two seconds and 100 to 500 MB. It runs until
// Close, until the context ends, or until this process ends, however it does.
func Start(ctx context.Context) (*Server, error) {
	java, path, err := classPath(ctx)
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "dynamodb-local-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for DynamoDB Local: %w", err)
	}
	// One compiler and one collector thread: it shares its cores with the tests.
	cmd := exec.CommandContext(ctx, java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx640m",
		"-Djava.io.tmpdir="+temp, "-cp", path, "Local", temp)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		os.RemoveAll(temp)
		return nil, fmt.Errorf("start DynamoDB Local: %w", err)
	}
	s := &Server{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout)}
	port, err := s.await("port ")
	if err != nil {
		s.Close()
		os.RemoveAll(temp)
		return nil, fmt.Errorf("start DynamoDB Local: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	s.Endpoint = "http://127.0.0.1:" + port
	return s, nil
}

// Shared returns the server of this test binary, which ends with it. Where it
// is not installed the test is skipped, or fails if CI is set.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	return wanted(t, s, err)
}

// Own is Shared for a test that loads its server: one that ends with the test.
// A server has one database and one writer at a time, and slows down with all
// that was ever streamed.
func Own(t testing.TB) *Server {
	t.Helper()
	s, err := Start(context.Background())
	wanted(t, s, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func wanted(t testing.TB, s *Server, err error) *Server {
	t.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var shared = sync.OnceValues(func() (*Server, error) { return Start(context.Background()) })

// Rollover closes every shard of every stream, as DynamoDB does every four
// hours; the next change opens new ones.
func (s *Server) Rollover() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.stdin, "rollover\n"); err != nil {
		return fmt.Errorf("close the shards: %w", err)
	}
	if _, err := s.await("closed"); err != nil {
		return fmt.Errorf("close the shards: %w", err)
	}
	return nil
}

// Close ends the server.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	s.stdin.Close()
	patience := time.AfterFunc(10*time.Second, func() { s.cmd.Process.Kill() })
	defer patience.Stop()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("end DynamoDB Local: %w", err)
	}
	return nil
}

// await reads lines until one begins so, and returns its rest. The libraries
// inside print lines of their own.
func (s *Server) await(begin string) (string, error) {
	for {
		line, err := s.stdout.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("it ended: %w", err)
		}
		if rest, ok := strings.CutPrefix(line, begin); ok {
			return strings.TrimSpace(rest), nil
		}
	}
}

// Config is what clients of the server are made with. Of access keys
// DynamoDB Local takes letters and digits only.
func Config(endpoint string) aws.Config {
	return aws.Config{
		Region:       "eu-test-1",
		BaseEndpoint: aws.String(endpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}

// Client returns a client of the server.
func (s *Server) Client() *dynamodb.Client { return dynamodb.NewFromConfig(Config(s.Endpoint)) }

// Streams returns a client of the server's streams.
func (s *Server) Streams() *dynamodbstreams.Client {
	return dynamodbstreams.NewFromConfig(Config(s.Endpoint))
}

// classPath returns java and the class path, and compiles the launcher if that
// was not done.
func classPath(ctx context.Context) (java, path string, err error) {
	java, javaErr := exec.LookPath("java")
	javac, javacErr := exec.LookPath("javac")
	if err := errors.Join(javaErr, javacErr); err != nil {
		return "", "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", "", fmt.Errorf("find the module's folder: %w", err)
	}
	home := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), ".tools", "dynamodb-local")
	jars := filepath.Join(home, "lib", "*")
	if found, err := filepath.Glob(filepath.Join(home, "lib", "DynamoDBLocal-*.jar")); err != nil || len(found) == 0 {
		return "", "", fmt.Errorf("%w: no jars in %s", ErrMissing, filepath.Join(home, "lib"))
	}
	hash := sha256.Sum256(source)
	classes := filepath.Join(home, "classes", hex.EncodeToString(hash[:6]))
	if _, err := os.Stat(filepath.Join(classes, "Local.class")); err == nil {
		return java, classes + string(os.PathListSeparator) + jars, nil
	}
	if err := compile(ctx, javac, jars, classes); err != nil {
		return "", "", fmt.Errorf("compile the launcher of DynamoDB Local: %w", err)
	}
	return java, classes + string(os.PathListSeparator) + jars, nil
}

// compile makes the folder of classes whole or not at all, since several test
// binaries may do so at once.
func compile(ctx context.Context, javac, jars, classes string) error {
	if err := os.MkdirAll(filepath.Dir(classes), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(classes), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	file := filepath.Join(temp, "Local.java")
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, javac, "-proc:none", "-cp", jars, "-d", temp, file).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := os.Rename(temp, classes); err != nil {
		if _, made := os.Stat(filepath.Join(classes, "Local.class")); made != nil {
			return err
		}
	}
	return nil
}
