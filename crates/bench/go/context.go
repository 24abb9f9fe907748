package main

import "context"

func init() {
	root, cancel := context.WithCancel(context.Background())
	context.AfterFunc(root, cancel)
	addOp("context/derive_cancel", func() {
		_, cancel := context.WithCancel(root)
		cancel()
	})
}
