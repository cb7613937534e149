package masterhttp

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// findingJSON is one cause. What does not belong to the cause is left out.
type findingJSON struct {
	Cause      string          `json:"cause"`
	Role       string          `json:"role"`
	Slaves     int             `json:"slaves"`
	Examples   []offer.SlaveID `json:"examples,omitempty"` // the worst first
	Slave      offer.SlaveID   `json:"slave,omitempty"`    // that the numbers are of: the nearest
	Of         string          `json:"of,omitempty"`
	Name       string          `json:"name,omitempty"`
	Want       resource.Scalar `json:"want,omitempty"`
	Have       resource.Scalar `json:"have,omitempty"`
	Total      resource.Scalar `json:"total,omitempty"`
	Limit      resource.Scalar `json:"limit,omitempty"`
	Consumed   resource.Scalar `json:"consumed,omitempty"`
	Set        string          `json:"set,omitempty"`
	Resources  string          `json:"resources,omitempty"`
	Wait       float64         `json:"wait_seconds,omitempty"`
	Offers     int             `json:"offers,omitempty"`
	Constraint *missJSON       `json:"constraint,omitempty"`
	Promises   []promiseJSON   `json:"promises,omitempty"`
	Rival      *rivalJSON      `json:"rival,omitempty"`
	Change     *changeJSON     `json:"change,omitempty"`
	Text       string          `json:"text"`
}

type missJSON struct {
	Group      int    `json:"group"` // of the alternatives, from 0
	Failed     int    `json:"failed"`
	Constraint string `json:"text"`
	Value      string `json:"value,omitempty"`
	Missing    bool   `json:"missing,omitempty"`
}

type promiseJSON struct {
	Role      string          `json:"role"`
	Guarantee resource.Scalar `json:"guarantee"`
	Consumed  resource.Scalar `json:"consumed"`
}

// rivalJSON compares shares, which are fractions of the cluster.
type rivalJSON struct {
	Framework offer.FrameworkID `json:"framework_id"`
	Role      string            `json:"role"`
	Level     string            `json:"level"` // the role below which the two part; empty at the top
	Mine      string            `json:"mine"`
	Its       string            `json:"its"`
	MyShare   float64           `json:"my_share"`
	ItsShare  float64           `json:"its_share"`
	Later     bool              `json:"later"`
	Resources string            `json:"resources,omitempty"`
}

type changeJSON struct {
	Kind   string          `json:"kind"`
	Role   string          `json:"role,omitempty"`
	Slave  offer.SlaveID   `json:"slave,omitempty"`
	Host   string          `json:"host,omitempty"`
	Name   string          `json:"name,omitempty"`
	Amount resource.Scalar `json:"amount,omitempty"`
	From   resource.Scalar `json:"from,omitempty"`
	To     resource.Scalar `json:"to,omitempty"`
	Wait   float64         `json:"wait_seconds,omitempty"`
	Text   string          `json:"text"`
}

func findingOf(f *allocator.Finding) findingJSON {
	out := findingJSON{Cause: f.Cause.String(), Role: f.Role, Slaves: f.Slaves, Examples: f.Examples, Slave: f.Slave, Of: f.Of, Name: f.Name,
		Want: f.Want, Have: f.Have, Total: f.Total, Limit: f.Limit, Consumed: f.Consumed, Set: f.Set.String(), Resources: f.Resources.String(),
		Wait: f.Wait.Seconds(), Offers: f.Offers, Text: f.String()}
	if m := f.Miss; m != nil {
		out.Constraint = &missJSON{m.Group, m.Failed, m.Constraint.String(), m.Value, m.Missing}
	}
	for _, p := range f.Promises {
		out.Promises = append(out.Promises, promiseJSON(p))
	}
	if r := f.Rival; r != nil {
		out.Rival = &rivalJSON{r.Framework, r.Role, r.Level, r.Mine, r.Its, float64(r.MyShare) / 1e6, float64(r.ItsShare) / 1e6, r.Later, r.Resources.String()}
	}
	if c := f.Change; c.Kind != 0 {
		out.Change = &changeJSON{c.Kind.String(), c.Role, c.Slave, c.Host, c.Name, c.Amount, c.From, c.To, c.Wait.Seconds(), c.String()}
	}
	return out
}

func (h *handler) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("framework") == "" {
		fail(w, http.StatusBadRequest, offer.Refuse(offer.ReasonInvalidField, "framework: must be the id of a framework"))
		return
	}
	why, err := h.s.Explain(r.Context(), offer.FrameworkID(q.Get("framework")), q.Get("role"), offer.SlaveID(q.Get("slave")))
	if bad := (*offer.Refusal)(nil); errors.As(err, &bad) && bad.Reason == offer.ReasonNotLeader {
		h.redirect(w, r)
		return
	}
	switch {
	case err != nil:
		fail(w, statusOf(err), err)
	case strings.HasPrefix(r.Header.Get("Accept"), "text/plain"):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, why.String())
	default:
		reply(w, explanationOf(why))
	}
}

func explanationOf(why mastercore.Why) map[string]any {
	list := make([]findingJSON, len(why.Findings))
	for i := range why.Findings {
		list[i] = findingOf(&why.Findings[i])
	}
	notes := why.Notes
	if notes == nil {
		notes = []string{}
	}
	return map[string]any{"framework": why.Framework, "role": why.Role, "slave": why.Slave, "slaves": why.Slaves, "findings": list, "more": why.More,
		"unseen": why.Unseen, "notes": notes, "text": why.String()}
}
