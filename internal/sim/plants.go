package sim

import (
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// Plants are the bugs that can be named in a scenario file. Each returns one that has seen nothing yet.
var Plants = map[string]func() *Plant{
	"lying-disk":   LyingDisk,
	"unwritten":    unwritten,
	"all-is-well":  allIsWell,
	"deaf-to-kill": deafToKill,
	"deaf-to-acks": deafToAcks,
	"never-again":  neverAgain,
	"another-boot": anotherBoot,
	"gloomy":       gloomy,
}

// LyingDisk loses a fifth of what was flushed at each crash of a slave.
func LyingDisk() *Plant {
	return &Plant{Name: "lying-disk", Journal: func(_ string, disk []slavecore.Record) []slavecore.Record {
		n := len(disk) * 4 / 5
		return disk[:n:n]
	}}
}

// fromMaster changes what slaves are told; false swallows it.
func fromMaster(name string, change func(node string, e *message.Envelope) bool) *Plant {
	return &Plant{Name: name, SlaveEvent: func(node string, ev slavecore.Event) (slavecore.Event, bool) {
		m, ok := ev.(slavecore.FromMaster)
		if !ok {
			return ev, true
		}
		ok = change(node, &m.Envelope)
		return m, ok
	}}
}

// unwritten starts what is not on disk.
func unwritten() *Plant {
	return &Plant{Name: "unwritten", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for i, e := range out {
			if c, ok := e.(slavecore.Checkpoint); ok {
				c.Records = slices.DeleteFunc(slices.Clone(c.Records), func(r slavecore.Record) bool { return r.RecordKind() == slavecore.RecordLaunched })
				out[i] = c
			}
		}
		return out
	}}
}

// allIsWell takes every end for a good one.
func allIsWell() *Plant {
	return &Plant{Name: "all-is-well", SlaveEvent: func(_ string, ev slavecore.Event) (slavecore.Event, bool) {
		if x, ok := ev.(slavecore.Exited); ok {
			x.Exit = offer.Exit{}
			return x, true
		}
		return ev, true
	}}
}

// deafToKill kills nothing.
func deafToKill() *Plant {
	return fromMaster("deaf-to-kill", func(_ string, e *message.Envelope) bool { return e.Message.Kind() != message.KindKill })
}

// deafToAcks hears no acknowledgement.
func deafToAcks() *Plant {
	return fromMaster("deaf-to-acks", func(_ string, e *message.Envelope) bool { return e.Message.Kind() != message.KindStatusAck })
}

// neverAgain sends each update once.
func neverAgain() *Plant {
	sent := map[offer.UUID]bool{}
	return &Plant{Name: "never-again", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		return slices.DeleteFunc(out, func(e slavecore.Effect) bool {
			s, ok := e.(slavecore.Send)
			if !ok {
				return false
			}
			m, ok := s.Message.(*message.StatusUpdate)
			if !ok || m.Status.UUID.IsZero() {
				return false
			}
			was := sent[m.Status.UUID]
			sent[m.Status.UUID] = true
			return was
		})
	}}
}

// anotherBoot takes each start of the slave's process for one of the machine.
func anotherBoot() *Plant {
	boots := 0
	return &Plant{Name: "another-boot", Slave: func(c *slavecore.Config) {
		boots++
		c.BootID += string(rune('a' + boots%26))
	}}
}

// gloomy says of each task that runs that it has failed.
func gloomy() *Plant {
	return &Plant{Name: "gloomy", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for i, e := range out {
			if s, ok := e.(slavecore.Send); ok {
				if m, ok := s.Message.(*message.StatusUpdate); ok && m.Status.State == offer.Running {
					st := *m.Status
					st.State = offer.Failed
					s.Message = &message.StatusUpdate{Framework: m.Framework, Status: &st, Latest: offer.Failed}
					out[i] = s
				}
			}
		}
		return out
	}}
}
