// Peers measures Gatehouse beside other SCIM servers and beside a floor, one
// after another on one machine, with one load generator and the same payloads,
// and writes docs/performance.md. make bench-peers installs the peers and runs
// it.
//
// No program links it, and it links nothing of the product: Gatehouse is built
// and driven from outside, as the peers are. It reads /proc, so it needs Linux.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatehouse/internal/peers/floor"
)

func main() {
	if os.Getenv(floorEnv) != "" {
		fmt.Fprintln(os.Stderr, floor.Serve(os.Stdin, os.Stdout))
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	var (
		root   = flags.String("root", ".", "the module's folder")
		tools  = flags.String("tools", ".tools/peers", "where .ci/peers put the peers")
		data   = flags.String("data", os.TempDir(), "a folder on the disk that Gatehouse is to write to")
		budget = flags.Duration("budget", 0, "for all of it (18.5 minutes; 5 if short)")
		brief  = flags.Bool("short", false, "fewer users, shorter cases")
		mil    = flags.Bool("million", false, "Gatehouse with 1,000,000 users as well: some minutes more, and not of the budget")
		only   = flags.String("only", "", "contenders to measure, separated by commas (all)")
		render = flags.Bool("render", false, "measure nothing: write the document from the results that are there")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	docs := filepath.Join(*root, "docs")
	if *render {
		m, err := readResults(docs)
		if err != nil {
			return err
		}
		return write(docs, m)
	}
	if *brief && *mil {
		return errors.New("-short has no time for -million")
	}
	p, limit := whole, 18*time.Minute+30*time.Second
	if *brief {
		p, limit = short, 5*time.Minute
	}
	p.million = *mil
	if *budget > 0 {
		limit = *budget
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(*data, "gatehouse-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := measure(ctx, p, limit, chosen, environment{root: *root, tools: *tools, dir: dir}, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", aimsTable(m))
	if err := write(docs, m); err != nil {
		return err
	}
	fmt.Fprintf(out, "Written to %s.\n", filepath.Join(docs, "performance.md"))
	return nil
}

func choose(names string) ([]contender, error) {
	if names == "" {
		return all, nil
	}
	var chosen []contender
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(c contender) bool { return strings.EqualFold(c.name, name) })
		if i < 0 {
			return nil, fmt.Errorf("there is no contender %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// measure runs the contenders one after another, the floor once more after
// Gatehouse: a machine that others share changes its speed.
func measure(ctx context.Context, p plan, limit time.Duration, chosen []contender, e environment, log io.Writer) (*measurements, error) {
	begin := time.Now()
	m := &measurements{Date: begin.UTC().Format("2006-01-02"), Plan: p.name, Machine: machine(e, chosen)}
	order := slices.Clone(chosen)
	for i, c := range chosen {
		if c.name == oursName && chosen[0].name == floorName {
			order = slices.Insert(order, i+1, chosen[0])
		}
	}
	weights := 0
	for _, c := range order {
		weights += c.weight
	}
	end := begin.Add(limit)
	for _, c := range order {
		share := time.Until(end) * time.Duration(c.weight) / time.Duration(weights)
		weights -= c.weight
		if c.name == oursName && p.million {
			share += 8 * time.Minute
			end = end.Add(8 * time.Minute)
		}
		if c.name == oursName {
			var err error
			if m.Fsync, err = measureFsync(e.dir); err != nil {
				return nil, err
			}
		}
		if err := one(ctx, p, c, e, share, m, log); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	m.Minutes = time.Since(begin).Minutes()
	return m, nil
}

// one measures a contender for its share of the time, which begins when it
// answers.
func one(ctx context.Context, p plan, c contender, e environment, share time.Duration, m *measurements, log io.Writer) error {
	r, err := c.start(ctx, e)
	if err != nil {
		return err
	}
	defer r.stop()
	// A signal must not wait for an answer.
	defer context.AfterFunc(ctx, r.stop)()
	if !slices.ContainsFunc(m.Contenders, func(d described) bool { return d.Name == c.name }) {
		m.Contenders = append(m.Contenders, described{c.name, c.version(e), c.about})
	}
	b := newBench(p, r, c, m, log, share)
	if err := b.measure(ctx); err != nil || c.variant == nil {
		return err
	}
	r.stop()
	v, err := c.variant.start(ctx, e)
	if err != nil {
		return err
	}
	defer v.stop()
	defer context.AfterFunc(ctx, v.stop)()
	// It is quick, and what its contender has used up is not its own.
	b = newBench(p, v, *c.variant, m, log, 20*p.each)
	b.lose(ctx)
	return ctx.Err()
}

func resultsFile(docs string) string { return filepath.Join(docs, "performance", "results.json") }

func readResults(docs string) (*measurements, error) {
	data, err := os.ReadFile(resultsFile(docs))
	if err != nil {
		return nil, err
	}
	m := new(measurements)
	return m, json.Unmarshal(data, m)
}

// write renews the generated parts of the document, its plots, and the results
// that they are made from.
func write(docs string, m *measurements) error {
	text, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		return err
	}
	renewed, plots, err := document(string(text), m)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, "performance"), 0o755); err != nil {
		return err
	}
	errs := []error{
		os.WriteFile(resultsFile(docs), append(data, '\n'), 0o644),
		os.WriteFile(filepath.Join(docs, "performance.md"), []byte(renewed), 0o644),
	}
	for name, svg := range plots {
		errs = append(errs, os.WriteFile(filepath.Join(docs, "performance", name+".svg"), []byte(svg), 0o644))
	}
	return errors.Join(errs...)
}
