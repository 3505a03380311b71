package dynamo

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Get is table.Table's: GetItem for one key, BatchGetItem for more, which reads
// each item by itself.
func (t *Table) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if err := table.CheckKeys(keys...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch len(keys) {
	case 0:
		return []table.Item{}, nil
	case 1:
		return t.getOne(ctx, keys[0])
	}
	return t.getMany(ctx, keys)
}

const gettingItems = "get items from DynamoDB"

func (t *Table) getOne(ctx context.Context, k table.Key) ([]table.Item, error) {
	in := &dynamodb.GetItemInput{TableName: &t.name, Key: keyOf(k), ConsistentRead: aws.Bool(true)}
	var out *dynamodb.GetItemOutput
	_, err := t.run(ctx, patient(ctx), "GetItem", func(ctx context.Context) (err error) {
		out, err = t.client.GetItem(ctx, in)
		return err
	})
	if err != nil {
		return nil, failed(gettingItems, false, err)
	}
	if len(out.Item) == 0 {
		return []table.Item{}, nil
	}
	item, err := decode(out.Item)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gettingItems, err)
	}
	return []table.Item{item}, nil
}

func (t *Table) getMany(ctx context.Context, keys []table.Key) ([]table.Item, error) {
	left := make([]attributes, len(keys))
	for i, k := range keys {
		left[i] = keyOf(k)
	}
	found := make(map[table.Key]table.Item, len(keys))
	p := patient(ctx)
	for tries := 1; len(left) > 0; tries++ {
		in := &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
			t.name: {Keys: left, ConsistentRead: aws.Bool(true)},
		}}
		var out *dynamodb.BatchGetItemOutput
		_, err := t.run(ctx, p, "BatchGetItem", func(ctx context.Context) (err error) {
			out, err = t.client.BatchGetItem(ctx, in)
			return err
		})
		if err != nil {
			return nil, failed(gettingItems, false, err)
		}
		for _, a := range out.Responses[t.name] {
			item, err := decode(a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", gettingItems, err)
			}
			found[item.Key] = item
		}
		// Keys come back unprocessed when the answer has 16 MB, or when the
		// table is busy. A round that got nothing done is a failed try.
		next := out.UnprocessedKeys[t.name].Keys
		if len(next) < len(left) {
			tries, p = 0, patient(ctx)
		}
		if left = next; len(left) == 0 {
			break
		}
		rest := p.left(false)
		if rest <= 0 {
			return nil, unavailable(fmt.Errorf("%s: %d of %d keys stay unprocessed", gettingItems, len(left), len(keys)))
		}
		if !sleep(ctx, min(gap(busy, max(tries, 1)), rest)) {
			return nil, ctx.Err()
		}
	}
	items := make([]table.Item, 0, len(found))
	for _, k := range keys {
		if item, ok := found[k]; ok {
			items = append(items, item)
		}
	}
	return items, nil
}

// Query is table.Table's. DynamoDB ends a page at 1 MB; the next is asked for
// when the reader comes to it.
func (t *Table) Query(ctx context.Context, part string, r table.Range) iter.Seq2[table.Item, error] {
	return func(yield func(table.Item, error) bool) {
		if err := table.CheckPart(part); err != nil {
			yield(table.Item{}, err)
			return
		}
		in := t.queryInput(part, r)
		left := r.Limit
		for in != nil {
			if err := ctx.Err(); err != nil {
				yield(table.Item{}, err)
				return
			}
			if r.Limit > 0 {
				in.Limit = aws.Int32(int32(min(left, 1<<20)))
			}
			out, err := t.page(ctx, in)
			if err != nil {
				yield(table.Item{}, err)
				return
			}
			for _, a := range out.Items {
				item, err := decode(a)
				if err != nil {
					err = fmt.Errorf("%s: %w", readingPart, err)
				}
				if !yield(item, err) || err != nil {
					return
				}
			}
			left -= len(out.Items)
			if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 || r.Limit > 0 && left <= 0 {
				return
			}
		}
	}
}

const readingPart = "read a partition of DynamoDB"

func (t *Table) page(ctx context.Context, in *dynamodb.QueryInput) (out *dynamodb.QueryOutput, err error) {
	_, err = t.run(ctx, patient(ctx), "Query", func(ctx context.Context) (err error) {
		out, err = t.client.Query(ctx, in)
		return err
	})
	if err != nil {
		return nil, failed(readingPart, false, err)
	}
	return out, nil
}

// queryInput returns the range's first page, nil if nothing can lie in it. A
// key condition takes one comparison of the sort key, so with a Prefix the page
// begins after After as a page does that follows another; that key need not
// exist, or paging over items that are deleted would fail.
func (t *Table) queryInput(part string, r table.Range) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("p = :p"),
		ExpressionAttributeValues: attributes{":p": text(part)},
	}
	if r.Descending {
		in.ScanIndexForward = aws.Bool(false)
	}
	switch {
	case r.Prefix != "":
		in.KeyConditionExpression = aws.String("p = :p AND begins_with(s, :s)")
		in.ExpressionAttributeValues[":s"] = text(r.Prefix)
		switch {
		case r.After == "":
		case strings.HasPrefix(r.After, r.Prefix):
			in.ExclusiveStartKey = keyOf(table.Key{Part: part, Sort: r.After})
		case (r.After > r.Prefix) != r.Descending: // the whole prefix lies behind
			return nil
		}
	case r.After != "" && r.Descending:
		in.KeyConditionExpression = aws.String("p = :p AND s < :s")
		in.ExpressionAttributeValues[":s"] = text(r.After)
	case r.After != "":
		in.KeyConditionExpression = aws.String("p = :p AND s > :s")
		in.ExpressionAttributeValues[":s"] = text(r.After)
	}
	return in
}
