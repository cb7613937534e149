package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meros-project/meros/election/raft"
)

const (
	tokenLife    = time.Hour
	maxToken     = 4 << 10 // of a file with one
	promotePause = time.Second
)

// A joinToken is what meros members --token prints: the secret, a check of the whole, and the masters that may be asked, as in
// 0123456789abcdef0123456789abcdef-01234567@10.0.0.1:5050,10.0.0.2:5050
type joinToken struct {
	secret  string // 32 hexadecimal digits
	masters []string
}

func (t joinToken) String() string {
	addresses := strings.Join(t.masters, ",")
	return fmt.Sprintf("%s-%08x@%s", t.secret, crc32.ChecksumIEEE([]byte(t.secret+"@"+addresses)), addresses)
}

// parseToken reads the value of --token. Its errors never show it.
func parseToken(value string) (t joinToken, err error) {
	if path, ok := strings.CutPrefix(value, fileScheme); ok {
		st, err := os.Stat(path)
		if err == nil && (!st.Mode().IsRegular() || st.Size() > maxToken) {
			err = errors.New("must be a file with one token")
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return t, badFlag("token", value, err.Error())
		}
		value = string(text)
	}
	value = strings.TrimSpace(value)
	bad := usagef("--token: must be a whole token, as meros members --token prints it, or file:// and the path of a file with one")
	head, addresses, ok := strings.Cut(value, "@")
	secret, _, checked := strings.Cut(head, "-")
	if !ok || !checked {
		return t, bad
	}
	t = joinToken{secret: secret, masters: strings.Split(addresses, ",")}
	if b, err := hex.DecodeString(secret); err != nil || len(b) != 16 || t.String() != value {
		return t, bad
	}
	return t, checkAddresses("token", t.masters)
}

// joining is a new master that has a token.
type joining struct {
	token    joinToken
	cluster  masterFlags // where those are that know the token
	listen   string
	self     map[string]any // id and address
	fresh    bool           // it has no folder yet
	nonVoter bool
}

// joining is nil when there is no token.
func (f *masterNodeFlags) joining() (*joining, error) {
	if f.token == "" {
		return nil, nil
	}
	t, err := parseToken(f.token)
	if err != nil {
		return nil, err
	}
	id := f.nodeID
	if id == "" {
		id = raft.DeriveID(f.advertise)
	}
	return &joining{token: t, cluster: masterFlags{addresses: t.masters, tls: f.tls}, listen: f.listen,
		self: map[string]any{"id": id, "address": f.advertise}, fresh: raft.IsNew(f.workDir), nonVoter: f.nonVoter}, nil
}

// present shows the token, which makes this master one without a vote. It is called before anything is written here.
func (j *joining) present(ctx context.Context) error {
	if j == nil || !j.fresh {
		return nil
	}
	ln, err := net.Listen("tcp", j.listen) // a token is not to be wasted on a port that is in use
	if err != nil {
		return err
	}
	if err := ln.Close(); err != nil {
		return err
	}
	var attempt [16]byte
	_, _ = rand.Read(attempt[:]) // never fails
	request := map[string]any{"id": j.self["id"], "address": j.self["address"], "token": j.token.secret, "attempt": hex.EncodeToString(attempt[:])}
	if err := j.cluster.ask(ctx, "POST", "/members", request, nil); err != nil {
		return fmt.Errorf("this master could not join: %w", err)
	}
	return nil
}

// vote asks for a vote until this master has caught up, has one, or is told that it is no member.
func (j *joining) vote(ctx context.Context, log *slog.Logger) {
	if j == nil || j.nonVoter {
		return
	}
	request := map[string]any{"id": j.self["id"], "address": j.self["address"], "promote": true}
	everybody := j.cluster // those that made the token may be gone; this master knows who leads
	everybody.addresses = append(slices.Clone(j.cluster.addresses), fmt.Sprint(j.self["address"]))
	for {
		err := everybody.ask(ctx, "POST", "/members", request, nil)
		switch {
		case err == nil:
			log.Info("this master has a vote", "id", j.self["id"])
			return
		case ctx.Err() != nil:
			return
		case strings.Contains(err.Error(), "is not a member"):
			log.Error("this master gets no vote; let it join with an empty work directory and another token", "err", err)
			return
		}
		log.Info("this master has no vote yet", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(promotePause):
		}
	}
}

// makeToken prints a new token.
func (f *membersFlags) makeToken(ctx context.Context) (string, error) {
	rows, err := f.masters(ctx)
	if err != nil {
		return "", err
	}
	var answer struct{ Token string }
	if err := f.master.ask(ctx, "POST", "/tokens", map[string]any{"life_s": int64(f.tokenLife / time.Second)}, &answer); err != nil {
		return "", err
	}
	t := joinToken{secret: answer.Token}
	for _, m := range rows {
		t.masters = append(t.masters, m.Address)
	}
	return t.String(), nil
}
