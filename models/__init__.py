"""Learning and prediction, ignorant of streams: arrays and plain values in, plain values out."""
