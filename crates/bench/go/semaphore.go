//go:build xsync

package main

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"
)

func init() {
	ctx := context.Background()
	s := semaphore.NewWeighted(2)
	take := func(int) {
		if err := s.Acquire(ctx, 1); err != nil {
			panic(err)
		}
		s.Release(1)
	}
	addShared("sync/semaphore", take)
	add("sync/semaphore/tasks1", func(n int) time.Duration { return together(n, 1, take) })
	add("sync/semaphore/tasks4", func(n int) time.Duration { return together(n, 4, take) })
}
