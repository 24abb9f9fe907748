//go:build xsync

package main

import (
	"time"

	"golang.org/x/sync/errgroup"
)

// One operation is one goroutine that returns at once; a group has at most 100,000.
func init() {
	for _, c := range []struct {
		cell  string
		limit int
	}{{"errgroup/go_wait", -1}, {"errgroup/go_wait/limit8", 8}} {
		add(c.cell, func(n int) time.Duration {
			start := time.Now()
			for n > 0 {
				var g errgroup.Group
				g.SetLimit(c.limit)
				for range min(n, 100_000) {
					g.Go(func() error { return nil })
				}
				if err := g.Wait(); err != nil {
					panic(err)
				}
				n -= min(n, 100_000)
			}
			return time.Since(start)
		})
	}
}
