package courier

import (
	"errors"
	"fmt"
	"html"
	"maps"
	"strings"
	"text/template/parse"
)

// templates are named templates of the language of text/template, as far as
// mails need it: define, template, if, else, range over texts, and fields.
//
// Package html/template would call any method by its name. A linker that sees
// this keeps every method of the program, and each function that links the
// courier would grow by half. What it does for safety is little here: values
// stand between tags and in double-quoted attributes, and nowhere else, which a
// test holds by comparing with it.
type templates map[string]*parse.Tree

// fields are what a template is given: texts, flags (bool), and lists of texts.
type fields map[string]any

func (f fields) isolated() fields {
	out := maps.Clone(f)
	for _, name := range []string{"Org", "Name"} {
		out[name] = isolated(f[name].(string))
	}
	var products []string
	for _, p := range f["Products"].([]string) {
		products = append(products, isolated(p))
	}
	out["Products"] = products
	return out
}

func verbatim(s string) string { return s }

// escapeHTML is for text between tags and in quoted attributes.
func escapeHTML(s string) string { return strings.ReplaceAll(html.EscapeString(s), "\x00", "\ufffd") }

func parseTemplates(names ...string) (templates, error) {
	out := templates{}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a template: %w", err)
		}
		trees, err := parseText(name, string(text))
		if err != nil {
			return nil, err
		}
		maps.Copy(out, trees)
	}
	return out, nil
}

func parseText(name, text string) (templates, error) {
	trees, err := parse.Parse(name, text, "", "")
	if err != nil {
		return nil, fmt.Errorf("parse a template: %w", err)
	}
	return trees, nil
}

// execute writes the named template. An error names the template and nothing of
// what it was given.
func (t templates) execute(name string, f fields, escape func(string) string) (string, error) {
	tree := t[name]
	if tree == nil {
		return "", fmt.Errorf("there is no template %q", name)
	}
	w := writer{templates: t, escape: escape}
	if err := w.list(tree.Root, f); err != nil {
		return "", fmt.Errorf("template %q: %w", name, err)
	}
	return w.String(), nil
}

// writer is one execution. The dot is fields, a text, or nil.
type writer struct {
	strings.Builder
	templates templates
	escape    func(string) string
}

var errTemplate = errors.New("it holds what templates of mails may not")

func (w *writer) list(l *parse.ListNode, dot any) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := w.node(n, dot); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) node(n parse.Node, dot any) error {
	switch n := n.(type) {
	case *parse.TextNode:
		w.Write(n.Text)
		return nil
	case *parse.ActionNode:
		v, err := value(n.Pipe, dot)
		s, ok := v.(string)
		if err != nil || !ok {
			return errTemplate
		}
		w.WriteString(w.escape(s))
		return nil
	case *parse.IfNode:
		v, err := value(n.Pipe, dot)
		if err != nil {
			return err
		}
		if truth(v) {
			return w.list(n.List, dot)
		}
		return w.list(n.ElseList, dot)
	case *parse.RangeNode:
		v, err := value(n.Pipe, dot)
		texts, ok := v.([]string)
		if err != nil || !ok {
			return errTemplate
		}
		for _, s := range texts {
			if err := w.list(n.List, s); err != nil {
				return err
			}
		}
		return nil
	case *parse.TemplateNode:
		tree := w.templates[n.Name]
		if tree == nil {
			return errTemplate
		}
		var inner any
		if n.Pipe != nil {
			var err error
			if inner, err = value(n.Pipe, dot); err != nil {
				return err
			}
		}
		return w.list(tree.Root, inner)
	}
	return errTemplate
}

func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case []string:
		return len(v) > 0
	}
	return false
}

// value is what the dot, or one of its fields, stands for.
func value(p *parse.PipeNode, dot any) (any, error) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return nil, errTemplate
	}
	switch a := p.Cmds[0].Args[0].(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.FieldNode:
		f, ok := dot.(fields)
		if !ok || len(a.Ident) != 1 {
			return nil, errTemplate
		}
		if v, ok := f[a.Ident[0]]; ok {
			return v, nil
		}
	}
	return nil, errTemplate
}
