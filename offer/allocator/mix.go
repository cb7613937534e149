package allocator

import "math/bits"

// mix64 hashes numbers to one: what would be drawn by a generator elsewhere, so that it depends on what is drawn for and on nothing else. It
// starts from 0, and for each number adds it and 0x9e3779b97f4a7c15 and applies the finalizer of SplitMix64.
func mix64(values ...uint64) uint64 {
	h := uint64(0)
	for _, v := range values {
		h += v + 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

const logBits = 24

// minusLog2 returns -log2(u) in units of 2^-24 for u = (x|1)/2^64, rounded up, by repeated squaring of the mantissa in integers.
func minusLog2(x uint64) uint64 {
	x |= 1
	zeros := bits.LeadingZeros64(x)
	log := uint64(63 - zeros)
	m := x << zeros // 1 <= m/2^63 < 2
	for range logBits {
		hi, lo := bits.Mul64(m, m) // m^2/2^126, below 4
		log <<= 1
		if hi>>63 != 0 {
			log |= 1
			m = hi
		} else {
			m = hi<<1 | lo>>63
		}
	}
	return 64<<logBits - log
}
