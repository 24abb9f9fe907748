package main

import "sync"

func init() {
	var m sync.Mutex
	addOp("sync/mutex/alone", func() {
		m.Lock()
		sink++
		m.Unlock()
	})
}
