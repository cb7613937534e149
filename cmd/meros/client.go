package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// ask sends a request to the masters, one after the other until one answers; each redirects to the leader. The answer's JSON goes into out,
// unless that is nil.
func (f *masterFlags) ask(ctx context.Context, method, path string, in, out any) error {
	client, err := f.http()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	var failures []error
	for _, address := range f.addresses {
		answer, err := one(ctx, client, method, f.scheme()+"://"+address+path, body)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		return nil
	}
	return fmt.Errorf("no master answers: %w", errors.Join(failures...))
}

func one(ctx context.Context, client *http.Client, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

// printTable prints rows under a heading, in columns.
func printTable(out io.Writer, heading string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	return w.Flush()
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
