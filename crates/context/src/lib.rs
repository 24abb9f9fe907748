//! Go's Context without a runtime: cancellation trees with deadlines, causes and values.
