// Package mail is the port to whatever carries a mail away.
//
// It does not decide whether, when or how often a mail is sent: package
// courier does.
package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/identity"
)

// Message is one mail, rendered. Addresses are bare ("user@host"), names are
// unencoded text without line breaks; the adapter encodes headers.
type Message struct {
	ID       identity.Message // part of the Message-ID, the tag at SES, the file's name in a folder
	From     Address
	To       Address
	ReplyTo  Address // the zero Address: none
	Subject  string
	Text     string // the text/plain part
	HTML     string // the text/html part
	Language string // BCP 47, for Content-Language
	Date     time.Time
}

// Address is a mailbox.
type Address struct {
	Name string
	Addr string
}

// Sender takes one message to its carrier.
type Sender interface {
	// Send returns the carrier's own id of the message once the carrier has
	// taken it. An error that wraps ErrRefused says that this message will
	// never be taken; one that wraps ErrLater that it was not taken and may be
	// later, ErrBusy that no other would have been either; any other error
	// leaves open whether it was.
	Send(ctx context.Context, m Message) (carrierID string, err error)
	// Promise says what the sender does with a message that it is given again
	// after an outcome that was left open.
	Promise() Promise
}

// Promise is what a Sender guarantees when a message is repeated.
type Promise uint8

const (
	// Repeats: the carrier cannot tell, a repeated message is a second mail.
	Repeats Promise = iota
	// Settles: the carrier reports by itself what it sent, some minutes later;
	// a repeat waits for that report.
	Settles
	// Once: the same ID is the same mail however often it is sent.
	Once
)

var (
	ErrRefused = errors.New("refused by the carrier")
	ErrLater   = errors.New("not taken for now")
	// ErrBusy is an ErrLater that says nothing about the message: the carrier
	// takes none, or no more, for now.
	ErrBusy = fmt.Errorf("the carrier is busy: %w", ErrLater)
	// ErrClosed is an ErrBusy that lasts until somebody mends it, or for hours:
	// an account without rights, suspended, or with its day's mails used up.
	ErrClosed = fmt.Errorf("the carrier takes none: %w", ErrBusy)
)

// Reason is a carrier's word for a failure, of a closed form: an SMTP status
// ("550 5.1.1") or a code such as "timeout". It never holds an address.
type Reason struct {
	Code string
	Err  error // wraps ErrRefused, ErrLater or neither
}

func (r *Reason) Error() string { return r.Code + ": " + r.Err.Error() }
func (r *Reason) Unwrap() error { return r.Err }
