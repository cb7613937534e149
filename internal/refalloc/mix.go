package refalloc

import "math/bits"

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

// minusLog2 returns -log2((x|1)/2^64) in units of 2^-24. The binary digits of a logarithm come out one by one as the mantissa is squared.
func minusLog2(x uint64) uint64 {
	x |= 1
	whole := bits.Len64(x) - 1
	mantissa := x << (63 - whole) // its highest bit stands for 1
	log := uint64(whole)
	for range 24 {
		hi, lo := bits.Mul64(mantissa, mantissa)
		log *= 2
		if hi >= 1<<63 { // 2 or more
			log++
			mantissa = hi
		} else {
			mantissa = hi*2 + lo>>63
		}
	}
	return 64<<24 - log
}

// hashName is FNV-1a with 64 bits.
func hashName(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, b := range []byte(name) {
		h ^= uint64(b)
		h *= 0x100000001b3
	}
	return h
}
