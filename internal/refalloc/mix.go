package refalloc

// mix64 hashes numbers to one: for each, it is added with 0x9e3779b97f4a7c15 and SplitMix64's finalizer is applied.
func mix64(values ...uint64) uint64 {
	h := uint64(0)
	for _, v := range values {
		h += 0x9e3779b97f4a7c15 + v
		h ^= h >> 30
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 27
		h *= 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}
