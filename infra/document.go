package infra

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// FileName of the template, at the module's root.
const FileName = "template.yaml"

// Root returns the module's folder, looking upwards from the working one, where
// the go command runs a package's tests.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the module: no go.mod here or above")
		}
		dir = up
	}
}

// document is a template as JSON would have it: maps, lists, strings, float64,
// bool, nil; functions in their long form.
type document map[string]any

// load reads the template in YAML.
func load() (document, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, FileName))
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return parse(text)
}

func parse(text []byte) (document, error) {
	var n yaml.Node
	if err := yaml.Unmarshal(text, &n); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	if len(n.Content) == 0 {
		return nil, errors.New("read the template: it is empty")
	}
	v, err := plain(n.Content[0])
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("read the template: it is no mapping")
	}
	return m, nil
}

// plain turns a node into what JSON would have, and short functions into long
// ones: !Ref x is {"Ref": x}, !Sub x is {"Fn::Sub": x}.
func plain(n *yaml.Node) (any, error) {
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i].Value
			if _, twice := m[k]; twice {
				return nil, fmt.Errorf("line %d: %q stands there twice", n.Content[i].Line, k)
			}
			item, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[k] = item
		}
		v = m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			item, err := plain(c)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		v = list
	case yaml.ScalarNode:
		if strings.HasPrefix(n.Tag, "!!") {
			if err := n.Decode(&v); err != nil {
				return nil, fmt.Errorf("line %d: %w", n.Line, err)
			}
			if i, ok := v.(int); ok {
				v = float64(i)
			}
		} else {
			v = n.Value
		}
	default:
		return nil, fmt.Errorf("line %d: CloudFormation takes no anchors", n.Line)
	}
	name, tagged := strings.CutPrefix(n.Tag, "!")
	if !tagged || strings.HasPrefix(name, "!") {
		return v, nil
	}
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: v}, nil
	case "GetAtt":
		if s, ok := v.(string); ok {
			id, attribute, _ := strings.Cut(s, ".")
			v = []any{id, attribute}
		}
	}
	return map[string]any{"Fn::" + name: v}, nil
}

// section returns a top-level mapping; nil if there is none.
func (d document) section(name string) map[string]any {
	m, _ := d[name].(map[string]any)
	return m
}
