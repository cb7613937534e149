//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// An observer asks nodes from the bridge, which no fault of the network parts from them.
type observer struct {
	scheme string
	client *http.Client
}

func newObserver(from space, config *tls.Config) *observer {
	o := &observer{scheme: "http"}
	if config != nil {
		o.scheme = "https"
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, DialContext: func(ctx context.Context, network, to string) (conn net.Conn, err error) {
		err = from.do(func() error {
			conn, err = (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, network, to)
			return err
		})
		return conn, err
	}}
	o.client = &http.Client{Transport: transport, Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o
}

// get decodes an answer, or tells to which address it is redirected.
func (o *observer) get(address, path string, into any) (elsewhere string, err error) {
	resp, err := o.client.Get(o.scheme + "://" + address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return "", json.NewDecoder(resp.Body).Decode(into)
	case http.StatusTemporaryRedirect:
		to, err := url.Parse(resp.Header.Get("Location"))
		if err != nil {
			return "", err
		}
		return to.Host, nil
	}
	return "", fmt.Errorf("%s%s: %s", address, path, resp.Status)
}

type memberView struct {
	ID, Address   string
	Voter, Leader bool
}

// masters asks each master who leads. It is one of them alone, and the others send there, or why that is not so is said.
func (o *observer) masters(addresses []string) (leader string, members []memberView, err error) {
	var followed []string
	for _, a := range addresses {
		var answer struct{ Members []memberView }
		elsewhere, err := o.get(a, "/members", &answer)
		switch {
		case err != nil:
			return "", nil, err
		case elsewhere != "":
			followed = append(followed, elsewhere)
		case slices.ContainsFunc(answer.Members, func(m memberView) bool { return m.Leader && m.Address == a }):
			if leader != "" {
				return "", nil, fmt.Errorf("%s and %s both lead", leader, a)
			}
			leader, members = a, answer.Members
		default:
			return "", nil, fmt.Errorf("%s knows no leader", a)
		}
	}
	if leader == "" {
		return "", nil, fmt.Errorf("nobody leads: the masters name %v", followed)
	}
	for _, f := range followed {
		if f != leader {
			return "", nil, fmt.Errorf("%s leads, but a master follows %s", leader, f)
		}
	}
	return leader, members, nil
}

// slaves are the states of the slaves by their hostnames, as the leader knows them.
func (o *observer) slaves(leader string) (map[string]string, error) {
	var answer struct {
		Slaves []struct{ ID, Hostname, State, PID string }
	}
	elsewhere, err := o.get(leader, "/slaves", &answer)
	if err != nil {
		return nil, err
	}
	if elsewhere != "" {
		return nil, fmt.Errorf("%s leads no more", leader)
	}
	states := map[string]string{}
	for _, s := range answer.Slaves {
		states[s.Hostname] = s.State + " " + s.PID
		if len(states) > slaves {
			return nil, fmt.Errorf("there are more than %d slaves", slaves)
		}
	}
	if len(answer.Slaves) != len(states) {
		return nil, fmt.Errorf("%d slaves are known, of %d names", len(answer.Slaves), len(states))
	}
	return states, nil
}
