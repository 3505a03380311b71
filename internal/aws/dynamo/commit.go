package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"gatehouse/internal/table"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const committing = "commit to DynamoDB"

// Commit is table.Table's.
//
// A transaction whose answer was lost is sent again under its token, so its
// outcome is known unless DynamoDB stays silent. A lone Create, Replace or Put
// has no token. If its answer was lost, what is stored tells: our version says
// that it was written, and another commit's of minutes before that it was not.
// Where another commit wrote later, or where a Create finds nothing, it was
// either never written or written and gone again: that is an error of unknown
// outcome, and no conflict. A Put is written again, since it is written over
// whatever is stored; an item that was deleted in between is there again.
//
// Busy tables, and transactions that met another one, are tried again for eight
// seconds, or until shortly before the context's end; after that the error is a
// fault.Unavailable if nothing was changed. What was certainly not carried out
// is minted anew for the next try, so that its version follows those of others
// who committed in the meantime.
func (t *Table) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if err := table.CheckWrites(writes); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	var after []table.Version
	for i := range writes {
		if w := &writes[i]; w.Op == table.OpReplace || w.Op == table.OpDelete {
			after = append(after, w.If)
		}
	}
	commit := t.transact
	if op := writes[0].Op; len(writes) == 1 && (op == table.OpCreate || op == table.OpReplace || op == table.OpPut) {
		commit = t.putOne
	}
	p := patient(ctx)
	for tries := 1; ; tries++ {
		v, newer, err := commit(ctx, p, writes, after)
		if err != nil {
			return "", err
		}
		if newer == nil {
			return v, nil
		}
		// An Add or a Put met an item whose version sorts after ours: another
		// commit was quicker, or the clock that minted it is ahead. The commit is
		// made anew, to follow it.
		after = append(after, newer...)
		if tries == 1 {
			continue
		}
		left := p.left(false)
		if left <= 0 {
			return "", unavailable(fmt.Errorf("%s: versions were overtaken %d times", committing, tries))
		}
		if !sleep(ctx, min(gap(met, tries-1), left)) {
			return "", ctx.Err()
		}
	}
}

// putOne commits a lone Create, Replace or Put under a version that follows
// those given, and returns it. If it returns versions beside, nothing was
// written, and a commit of a version after those may be.
func (t *Table) putOne(ctx context.Context, p patience, writes []table.Write, after []table.Version) (v table.Version, newer []table.Version, err error) {
	w := &writes[0]
	var in *dynamodb.PutItemInput
	unsure := false
	doubt, err := t.run(ctx, p, "PutItem", func(ctx context.Context) error {
		if !unsure {
			v = table.MintVersion(t.now(), after...)
			put, err := t.put(w, v)
			if err != nil {
				return err
			}
			in = &dynamodb.PutItemInput{
				TableName:                           put.TableName,
				Item:                                put.Item,
				ConditionExpression:                 put.ConditionExpression,
				ExpressionAttributeValues:           put.ExpressionAttributeValues,
				ReturnValuesOnConditionCheckFailure: put.ReturnValuesOnConditionCheckFailure,
			}
		} else if w.Op == table.OpCreate {
			// Sent blindly, it could make an item anew that somebody has
			// read and deleted meanwhile.
			if there, err := t.written(ctx, w.Key, v); there || err != nil {
				return err
			}
		}
		_, err := t.client.PutItem(ctx, in)
		unsure = unsure || err != nil && judge(err) == lost
		return err
	})
	if err == nil {
		return v, nil, nil
	}
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) {
		return "", nil, failed(committing, doubt, err)
	}
	m, err := meet(w, refused.Item, v)
	switch {
	case err != nil:
		return "", nil, err
	case m.ours:
		return v, nil, nil
	case doubt && !m.long(v):
		return "", nil, fmt.Errorf("%s, outcome unknown: an answer was lost, and %v is another commit's now", committing, w.Key)
	case m.conflict:
		return "", nil, &table.ConflictError{Keys: []table.Key{w.Key}}
	}
	return "", []table.Version{m.version}, nil
}

var errNeverOrGone = errors.New("an answer was lost, and nothing is stored")

// written reports whether the item is the commit's own. Where there is none, it
// is not known whether there was.
func (t *Table) written(ctx context.Context, k table.Key, v table.Version) (bool, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &t.name, Key: keyOf(k), ConsistentRead: aws.Bool(true)})
	switch {
	case err != nil:
		return false, err
	case len(out.Item) == 0:
		return false, errNeverOrGone
	}
	item, err := decode(out.Item)
	return err == nil && item.Version == v, nil
}

// transact commits all else, as putOne does.
func (t *Table) transact(ctx context.Context, p patience, writes []table.Write, after []table.Version) (v table.Version, newer []table.Version, err error) {
	var in *dynamodb.TransactWriteItemsInput
	unsure := false
	doubt, err := t.run(ctx, p, "TransactWriteItems", func(ctx context.Context) (err error) {
		if !unsure {
			v = table.MintVersion(t.now(), after...)
			if in, err = t.transaction(writes, v); err != nil {
				return err
			}
		}
		_, err = t.client.TransactWriteItems(ctx, in)
		unsure = unsure || err != nil && judge(err) == lost
		return err
	})
	if err == nil {
		return v, nil, nil
	}
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != len(writes) || judge(err) != final {
		return "", nil, failed(committing, doubt, err)
	}
	var conflicts []table.Key
	for i, r := range cancelled.CancellationReasons {
		switch reasonCode(r) {
		case "", "None":
		case "ConditionalCheckFailed":
			m, err := meet(&writes[i], r.Item, v)
			switch {
			case err != nil:
				return "", nil, err
			case m.ours: // and with it the whole commit, which is older than its token then
				return v, nil, nil
			case m.conflict:
				conflicts = append(conflicts, writes[i].Key)
			default:
				newer = append(newer, m.version)
			}
		case "ValidationError", "ItemCollectionSizeLimitExceeded": // what an Add adds to is too large, say
			return "", nil, fmt.Errorf("%s: %s at %v: %w", committing, reasonCode(r), writes[i].Key, table.ErrRefused)
		default:
			return "", nil, fmt.Errorf("%s: %s at %v: %w", committing, reasonCode(r), writes[i].Key, err)
		}
	}
	if conflicts != nil {
		return "", nil, &table.ConflictError{Keys: conflicts}
	}
	if newer == nil {
		return "", nil, failed(committing, doubt, err)
	}
	return "", newer, nil
}

func (t *Table) transaction(writes []table.Write, v table.Version) (*dynamodb.TransactWriteItemsInput, error) {
	in := &dynamodb.TransactWriteItemsInput{
		ClientRequestToken: aws.String(string(v)),
		TransactItems:      make([]types.TransactWriteItem, len(writes)),
	}
	for i := range writes {
		var err error
		if in.TransactItems[i], err = t.action(&writes[i], v); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// meeting is what a write whose condition failed met.
type meeting struct {
	ours     bool // the commit itself: an earlier try went through
	conflict bool // the write's own condition does not hold
	version  table.Version
}

// clocks is how far the clocks of two that commit are apart at most: DynamoDB
// refuses what is signed by a clock that is further off.
const clocks = 5 * time.Minute

// long reports whether what was met was written so long before v that nothing
// of v's commit can lie beneath it.
func (m meeting) long(v table.Version) bool {
	return m.version != "" && v.Time().Sub(m.version.Time()) > 2*clocks
}

func meet(w *table.Write, a attributes, v table.Version) (meeting, error) {
	old, err := decode(a)
	switch w.Op {
	case table.OpAdd, table.OpPut:
		if err != nil {
			return meeting{}, fmt.Errorf("%s: %w", committing, err)
		}
		return meeting{ours: old.Version == v, conflict: !w.Holds(old), version: old.Version}, nil
	}
	return meeting{ours: err == nil && old.Version == v, conflict: true, version: old.Version}, nil
}

// Conditions. Those of Add and Put hold that versions along one item grow.
const (
	isAbsent  = "attribute_not_exists(p)"
	isAsRead  = "v = :if"
	isOlder   = "(attribute_not_exists(v) OR v < :v)"
	inBounds  = "n >= :lo AND n <= :hi"
	orNothing = "(attribute_not_exists(n) OR " + inBounds + ")"
)

func (t *Table) action(w *table.Write, v table.Version) (types.TransactWriteItem, error) {
	asRead := attributes{":if": text(string(w.If))}
	switch w.Op {
	case table.OpDelete:
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &t.name, Key: keyOf(w.Key),
			ConditionExpression: aws.String(isAsRead), ExpressionAttributeValues: asRead,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}, nil
	case table.OpCheck:
		return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
			TableName: &t.name, Key: keyOf(w.Key),
			ConditionExpression: aws.String(isAsRead), ExpressionAttributeValues: asRead,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}, nil
	case table.OpAdd:
		return types.TransactWriteItem{Update: t.add(w, v)}, nil
	}
	put, err := t.put(w, v)
	return types.TransactWriteItem{Put: put}, err
}

func (t *Table) put(w *table.Write, v table.Version) (*types.Put, error) {
	item, wanted := w.Over(table.Item{}, v), t.wantedBy(w.Key)
	// The names of subscriptions are the adapter's own: CheckWrites could not
	// count them.
	if size := item.Size(); wanted != "" && size+len(attrFor)+len(wanted) > table.MaxItem {
		return nil, fmt.Errorf("an item of %d bytes and the names of those who want it, %v: %w", size, w.Key, table.ErrRefused)
	}
	p := &types.Put{
		TableName: &t.name, Item: encode(item, wanted),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
	switch w.Op {
	case table.OpCreate:
		p.ConditionExpression = aws.String(isAbsent)
	case table.OpReplace:
		p.ConditionExpression = aws.String(isAsRead)
		p.ExpressionAttributeValues = attributes{":if": text(string(w.If))}
	default:
		p.ConditionExpression = aws.String(isOlder)
		p.ExpressionAttributeValues = attributes{":v": text(string(v))}
	}
	return p, nil
}

// add returns the update of an Add. The sum stays within Min and Max if the
// counter lies within those less the change; the differences are larger than an
// int64, which DynamoDB's numbers are too.
func (t *Table) add(w *table.Write, v table.Version) *types.Update {
	less := func(bound int64) *big.Int { return new(big.Int).Sub(big.NewInt(bound), big.NewInt(w.N)) }
	lo, hi := less(w.Min), less(w.Max)
	condition := isOlder + " AND "
	if lo.Sign() <= 0 && hi.Sign() >= 0 { // an absent counter is zero
		condition += orNothing
	} else {
		condition += inBounds
	}
	values := attributes{
		":v": text(string(v)), ":n": number(w.N),
		":lo": &types.AttributeValueMemberN{Value: lo.String()}, ":hi": &types.AttributeValueMemberN{Value: hi.String()},
	}
	set := "SET v = :v"
	if !w.Expires.IsZero() {
		set += ", x = if_not_exists(x, :x)"
		values[":x"] = number(w.Expires.Unix())
	}
	if wanted := t.wantedBy(w.Key); wanted != "" {
		set += ", f = :f"
		values[":f"] = text(wanted)
	}
	return &types.Update{
		TableName: &t.name, Key: keyOf(w.Key),
		UpdateExpression:    aws.String(set + " ADD n :n"),
		ConditionExpression: aws.String(condition), ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}
}
