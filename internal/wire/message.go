package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// AppendMessage appends the encoding of m, [kind, [fields...]], to dst.
func AppendMessage(dst []byte, m message.Message) ([]byte, error) {
	w := NewWriter()
	defer w.Close()
	return w.Message(dst, m)
}

// DecodeMessage reads what AppendMessage wrote; b holds nothing else.
func DecodeMessage(b []byte) (message.Message, error) {
	var m message.Message
	if err := read(b, Limits{}, func(c *codec) { c.message(&m) }); err != nil {
		return nil, err
	}
	return m, nil
}

// OpenBatch appends the head of a batch: messages of one cluster and reign, [cluster, reign, [messages...]]. The messages follow, written by
// AppendMessage; CloseBatch ends it with their number and with the position that OpenBatch returned.
func OpenBatch(dst []byte, cluster offer.ClusterID, reign uint64) (out []byte, at int) {
	out, _ = write(dst, func(c *codec) { // these can always be written
		c.open(3)
		text(c, &cluster)
		number(c, &reign)
		c.open(math.MaxUint16 + 1) // so that the number has four bytes
	})
	at = len(out) - 4
	CloseBatch(out, at, 0)
	return out, at
}

// CloseBatch writes the number of messages into the batch in b whose head OpenBatch has placed at at.
func CloseBatch(b []byte, at, messages int) {
	binary.BigEndian.PutUint32(b[at:], uint32(messages))
}

// DecodeBatch appends the messages of a batch, each with the batch's cluster and reign, to dst. b holds nothing else. After an error dst
// is returned as it was.
func DecodeBatch(dst []message.Envelope, b []byte) ([]message.Envelope, error) {
	out := dst
	err := read(b, Limits{}, func(c *codec) {
		c.forwards = true
		var e message.Envelope
		o := c.open(3)
		text(c, &e.Cluster)
		number(c, &e.Reign)
		if c.more() {
			n := c.array()
			if !c.take(n * envelopeSize) {
				return
			}
			outer := c.left
			c.left = n
			out = slices.Grow(out, n)
			for i := 0; i < n && c.err == nil; i++ {
				e.Message = nil
				c.message(&e.Message)
				out = append(out, e)
			}
			if c.err == nil {
				c.left = outer
			}
		}
		c.shut(o)
	})
	if err != nil {
		return dst, err
	}
	return out, nil
}

const envelopeSize = int(unsafe.Sizeof(message.Envelope{}))

func (c *codec) message(m *message.Message) {
	variant(c, "message", &messages, func(m message.Message) uint8 { return uint8(m.Kind()) }, m)
}

func msg[T any](code func(*codec, *T)) kind[message.Message] { return of[message.Message](code) }

// fields makes the code of a struct out of its number of fields and what lists them.
func fields[T any](n int, f func(*codec, *T)) func(*codec, *T) {
	return func(c *codec, v *T) {
		o := c.open(n)
		f(c, v)
		c.shut(o)
	}
}

// messages has the fields of each kind, in an order that only ever grows at the end.
var messages [256]kind[message.Message]

func init() {
	anyMessages(&messages)
	slaveMessages(&messages)
	masterToSlave(&messages)
	frameworkMessages(&messages)
	masterToFramework(&messages)
	executorMessages(&messages)
}

func anyMessages(t *[256]kind[message.Message]) {
	t[message.KindWatch] = msg(none[message.Watch])
	t[message.KindLeader] = msg(fields(3, func(c *codec, v *message.Leader) {
		c.flag(&v.Known)
		text(c, &v.ID)
		text(c, &v.Address)
	}))
	t[message.KindOperate] = msg((*codec).operate)
	t[message.KindOperated] = msg(fields(3, func(c *codec, v *message.Operated) {
		number(c, &v.Seq)
		number(c, &v.Reason)
		text(c, &v.Message)
	}))
}

func slaveMessages(t *[256]kind[message.Message]) {
	t[message.KindSlaveRegister] = msg(fields(2, func(c *codec, v *message.SlaveRegister) {
		c.uuid(&v.Nonce)
		c.slave(&v.Slave)
	}))
	t[message.KindSlaveReregister] = msg(fields(6, func(c *codec, v *message.SlaveReregister) {
		c.slave(&v.Slave)
		number(c, &v.Part)
		c.flag(&v.Last)
		list(c, &v.Tasks, (*codec).slaveTask)
		list(c, &v.Executors, (*codec).slaveExecutor)
		optional(c, &v.Draining, (*codec).drain)
	}))
	t[message.KindSlaveUnregister] = msg(none[message.SlaveUnregister])
	t[message.KindPong] = msg(none[message.Pong])
	t[message.KindStatusUpdate] = ofMade[message.Message](func() *message.StatusUpdate {
		var m struct {
			message.StatusUpdate
			report
		}
		m.StatusUpdate.Status = m.report.begin()
		return &m.StatusUpdate
	}, fields(3, func(c *codec, v *message.StatusUpdate) {
		text(c, &v.Framework)
		c.statusAs(&v.Status, &v.Encoded)
		number(c, &v.Latest)
	}))
	t[message.KindOperationUpdate] = msg(fields(2, func(c *codec, v *message.OperationUpdate) {
		text(c, &v.Framework)
		c.operationStatus(&v.Status)
	}))
	t[message.KindExecutorExited] = msg(fields(5, func(c *codec, v *message.ExecutorExited) {
		text(c, &v.Framework)
		text(c, &v.Slave)
		text(c, &v.Executor)
		c.exit(&v.Exit)
		list(c, &v.Tasks, text)
	}))
	t[message.KindFromExecutor] = msg(fields(4, func(c *codec, v *message.FromExecutor) {
		text(c, &v.Framework)
		text(c, &v.Slave)
		text(c, &v.Executor)
		c.blob(&v.Data)
	}))
	t[message.KindRenew] = msg(fields(1, func(c *codec, v *message.Renew) { number(c, &v.Seq) }))
}

func masterToSlave(t *[256]kind[message.Message]) {
	t[message.KindSlaveRegistered] = msg(fields(2, func(c *codec, v *message.SlaveRegistered) {
		text(c, &v.ID)
		list(c, &v.Reconcile, (*codec).taskRef)
	}))
	t[message.KindSlaveRefused] = msg(fields(3, func(c *codec, v *message.SlaveRefused) {
		number(c, &v.Reason)
		text(c, &v.Message)
		c.flag(&v.Shutdown)
	}))
	t[message.KindPing] = msg(fields(1, func(c *codec, v *message.Ping) { c.flag(&v.Connected) }))
	t[message.KindLaunch] = msg(fields(5, func(c *codec, v *message.Launch) {
		c.framework(&v.Framework)
		text(c, &v.Role)
		c.tasks(&v.Tasks)
		c.flag(&v.Group)
		optional(c, &v.Executor, (*codec).executor)
	}))
	t[message.KindKill] = msg(fields(3, func(c *codec, v *message.Kill) {
		text(c, &v.Framework)
		text(c, &v.Task)
		optional(c, &v.Policy, (*codec).killPolicy)
	}))
	t[message.KindStatusAck] = msg(fields(3, func(c *codec, v *message.StatusAck) {
		text(c, &v.Framework)
		text(c, &v.Task)
		c.uuid(&v.UUID)
	}))
	t[message.KindApply] = msg(fields(3, func(c *codec, v *message.Apply) {
		text(c, &v.Framework)
		c.uuid(&v.UUID)
		c.operation(&v.Operation)
	}))
	t[message.KindOperationAck] = msg(fields(2, func(c *codec, v *message.OperationAck) {
		text(c, &v.Framework)
		c.uuid(&v.UUID)
	}))
	t[message.KindFrameworkShutdown] = msg(fields(1, func(c *codec, v *message.FrameworkShutdown) { text(c, &v.Framework) }))
	t[message.KindExecutorShutdown] = msg(fields(2, func(c *codec, v *message.ExecutorShutdown) {
		text(c, &v.Framework)
		text(c, &v.Executor)
	}))
	t[message.KindToExecutor] = msg(fields(4, func(c *codec, v *message.ToExecutor) {
		text(c, &v.Framework)
		text(c, &v.Slave)
		text(c, &v.Executor)
		c.blob(&v.Data)
	}))
	t[message.KindResend] = msg(fields(1, func(c *codec, v *message.Resend) { text(c, &v.Framework) }))
	t[message.KindRenewed] = msg(fields(1, func(c *codec, v *message.Renewed) { number(c, &v.Seq) }))
	t[message.KindDrain] = msg(fields(1, func(c *codec, v *message.Drain) { optional(c, &v.Config, (*codec).drain) }))
}

func frameworkMessages(t *[256]kind[message.Message]) {
	t[message.KindSubscribe] = msg(fields(3, func(c *codec, v *message.Subscribe) {
		c.uuid(&v.Nonce)
		c.framework(&v.Framework)
		list(c, &v.Suppressed, text)
	}))
	t[message.KindAccept] = msg(fields(5, func(c *codec, v *message.Accept) {
		number(c, &v.Part)
		c.flag(&v.Last)
		list(c, &v.Offers, text)
		list(c, &v.Operations, (*codec).operation)
		c.filter(&v.Filter)
	}))
	t[message.KindDecline] = msg(fields(2, func(c *codec, v *message.Decline) {
		list(c, &v.Offers, text)
		c.filter(&v.Filter)
	}))
	t[message.KindRevive] = msg(fields(1, func(c *codec, v *message.Revive) { list(c, &v.Roles, text) }))
	t[message.KindSuppress] = msg(fields(1, func(c *codec, v *message.Suppress) { list(c, &v.Roles, text) }))
	t[message.KindKillTask] = msg(fields(3, func(c *codec, v *message.KillTask) {
		text(c, &v.Task)
		text(c, &v.Slave)
		optional(c, &v.Policy, (*codec).killPolicy)
	}))
	t[message.KindAcknowledge] = msg(fields(3, func(c *codec, v *message.Acknowledge) {
		text(c, &v.Slave)
		text(c, &v.Task)
		c.uuid(&v.UUID)
	}))
	t[message.KindAcknowledgeOperation] = msg(fields(3, func(c *codec, v *message.AcknowledgeOperation) {
		text(c, &v.Slave)
		text(c, &v.Operation)
		c.uuid(&v.UUID)
	}))
	t[message.KindReconcile] = msg(fields(1, func(c *codec, v *message.Reconcile) { list(c, &v.Tasks, (*codec).taskRef) }))
	t[message.KindReconcileOperations] = msg(fields(1, func(c *codec, v *message.ReconcileOperations) {
		list(c, &v.Operations, (*codec).operationRef)
	}))
	t[message.KindTeardown] = msg(none[message.Teardown])
	t[message.KindShutdownExecutor] = msg(fields(2, func(c *codec, v *message.ShutdownExecutor) {
		text(c, &v.Slave)
		text(c, &v.Executor)
	}))
	t[message.KindRequest] = msg(fields(2, func(c *codec, v *message.Request) {
		text(c, &v.Role)
		list(c, &v.Needs, (*codec).quantities)
	}))
	t[message.KindUpdateFramework] = msg(fields(2, func(c *codec, v *message.UpdateFramework) {
		c.framework(&v.Framework)
		list(c, &v.Suppressed, text)
	}))
}

func masterToFramework(t *[256]kind[message.Message]) {
	t[message.KindSubscribed] = msg(fields(2, func(c *codec, v *message.Subscribed) {
		text(c, &v.ID)
		signed(c, &v.Heartbeat)
	}))
	t[message.KindOffers] = msg(fields(1, func(c *codec, v *message.Offers) { list(c, &v.Offers, (*codec).offer) }))
	t[message.KindRescind] = msg(fields(1, func(c *codec, v *message.Rescind) { list(c, &v.Offers, text) }))
	t[message.KindUpdate] = ofMade[message.Message](func() *message.Update {
		var m struct {
			message.Update
			report
		}
		m.Update.Status = m.report.begin()
		return &m.Update
	}, fields(1, func(c *codec, v *message.Update) { c.statusAs(&v.Status, &v.Encoded) }))
	t[message.KindFailure] = msg(fields(3, func(c *codec, v *message.Failure) {
		text(c, &v.Slave)
		text(c, &v.Executor)
		optional(c, &v.Exit, (*codec).exit)
	}))
	t[message.KindError] = msg(fields(3, func(c *codec, v *message.Error) {
		number(c, &v.Reason)
		text(c, &v.Message)
		c.flag(&v.Final)
	}))
	t[message.KindHeartbeat] = msg(none[message.Heartbeat])
}

func executorMessages(t *[256]kind[message.Message]) {
	t[message.KindExecutorSubscribe] = msg(fields(5, func(c *codec, v *message.ExecutorSubscribe) {
		text(c, &v.Framework)
		text(c, &v.Executor)
		text(c, &v.Token)
		c.tasks(&v.Tasks)
		list(c, &v.Updates, (*codec).status)
	}))
	t[message.KindExecutorSubscribed] = msg(fields(3, func(c *codec, v *message.ExecutorSubscribed) {
		c.slave(&v.Slave)
		c.framework(&v.Framework)
		c.executor(&v.Executor)
	}))
	t[message.KindExecutorLaunch] = msg(fields(2, func(c *codec, v *message.ExecutorLaunch) {
		c.tasks(&v.Tasks)
		c.flag(&v.Group)
	}))
	t[message.KindExecutorKill] = msg(fields(2, func(c *codec, v *message.ExecutorKill) {
		text(c, &v.Task)
		optional(c, &v.Policy, (*codec).killPolicy)
	}))
	t[message.KindExecutorUpdate] = msg(fields(1, func(c *codec, v *message.ExecutorUpdate) { c.status(&v.Status) }))
	t[message.KindExecutorAck] = msg(fields(2, func(c *codec, v *message.ExecutorAck) {
		text(c, &v.Task)
		c.uuid(&v.UUID)
	}))
	t[message.KindExecutorMessage] = msg(fields(1, func(c *codec, v *message.ExecutorMessage) { c.blob(&v.Data) }))
	t[message.KindExecutorStop] = msg(none[message.ExecutorStop])
}

// AppendRefusal appends the encoding of r to dst.
func AppendRefusal(dst []byte, r *offer.Refusal) []byte {
	out, _ := write(dst, func(c *codec) { c.refusal(r) }) // a refusal can always be written
	return out
}

// DecodeRefusal reads what AppendRefusal wrote; b holds nothing else.
func DecodeRefusal(b []byte) (*offer.Refusal, error) {
	r := new(offer.Refusal)
	if err := read(b, Limits{}, func(c *codec) { c.refusal(r) }); err != nil {
		return nil, err
	}
	return r, nil
}
