package main

import (
	"context"
	"time"
)

type key int

func init() {
	longLived := func() context.Context {
		ctx, cancel := context.WithCancel(context.Background())
		context.AfterFunc(ctx, cancel)
		return ctx
	}
	root := longLived()
	addOp("context/create_cancel", func() {
		_, cancel := context.WithCancel(context.Background())
		cancel()
	})
	addOp("context/derive_cancel", func() {
		_, cancel := context.WithCancel(root)
		cancel()
	})
	addOp("context/timeout_cancel", func() {
		_, cancel := context.WithTimeout(root, time.Hour)
		cancel()
	})

	const flat, deep = 100_000, 1_000
	rounds := func(cell string, per int, round func() time.Duration) {
		add(cell, func(n int) time.Duration {
			times := (n + per - 1) / per
			var total time.Duration
			for range times {
				total += round()
			}
			return time.Duration(float64(total) * float64(n) / float64(times*per))
		})
	}
	make := func(root context.Context) []context.CancelFunc {
		var cancels []context.CancelFunc
		for range flat {
			_, cancel := context.WithCancel(root)
			cancels = append(cancels, cancel)
		}
		return cancels
	}
	rounds("context/flat100k/create", flat, func() time.Duration {
		root, cancel := context.WithCancel(context.Background())
		defer cancel()
		start := time.Now()
		make(root)
		return time.Since(start)
	})
	rounds("context/flat100k/cancel", flat, func() time.Duration {
		root, cancel := context.WithCancel(context.Background())
		make(root)
		start := time.Now()
		cancel()
		return time.Since(start)
	})
	rounds("context/chain1k/cancel", deep, func() time.Duration {
		root, cancel := context.WithCancel(context.Background())
		ctx := root
		for range deep {
			next, stop := context.WithCancel(ctx)
			defer stop()
			ctx = next
		}
		start := time.Now()
		cancel()
		return time.Since(start)
	})

	addOp("context/err", func() {
		if root.Err() != nil {
			panic("it lives")
		}
	})
	addOp("context/done/select", func() {
		select {
		case <-root.Done():
			panic("it lives")
		default:
		}
	})
	for _, depth := range []int{1, 50} {
		ctx := context.WithValue(root, key(0), 7)
		for i := 1; i < depth; i++ {
			next, cancel := context.WithCancel(context.WithValue(ctx, key(i), i))
			context.AfterFunc(next, cancel)
			ctx = next
		}
		name := "context/value/1"
		if depth == 50 {
			name = "context/value/50"
		}
		addOp(name, func() {
			if ctx.Value(key(0)) == nil {
				panic("it is there")
			}
		})
	}
}
