package allocator

import "math/bits"

// pageWords is how many words a page of a slab has, but for one that holds a single longer list.
const (
	pageBits  = 15
	pageWords = 1 << pageBits
)

// slab holds many short lists of words without one pointer for each: memory comes in pages, in pieces of a power of two, and what a list
// outgrows is used again for another one.
type slab struct {
	pages [][]uint64
	used  uint32       // words of the last page
	spare [33][]uint32 // by size
}

// list is a list of words in a slab. The zero value is empty. It must be given back with drop.
type list struct {
	at   uint32 // page and first word
	n    uint32
	size uint8 // its piece has 1<<(size-1) words; none if 0
}

// words returns the content of a list, to be read and changed until the next change of any list.
func (s *slab) words(l list) []uint64 {
	if l.n == 0 {
		return nil
	}
	from := l.at & (pageWords - 1)
	return s.pages[l.at>>pageBits][from : from+l.n]
}

func (s *slab) piece(size uint8) uint32 {
	if n := len(s.spare[size]); n > 0 {
		at := s.spare[size][n-1]
		s.spare[size] = s.spare[size][:n-1]
		return at
	}
	words := uint32(1) << (size - 1)
	if len(s.pages) == 0 || s.used+words > pageWords {
		s.pages, s.used = append(s.pages, nil), 0
	}
	last := len(s.pages) - 1
	s.pages[last] = atLeast(s.pages[last], int(s.used+words), pageWords, last == 0)
	at := uint32(last)<<pageBits | s.used
	s.used += words
	return at
}

// atLeast makes a page long enough. A first page grows by and by, because most allocators are small.
func atLeast[T any](page []T, need, full int, first bool) []T {
	if need <= len(page) {
		return page
	}
	size := max(need, full)
	if first {
		size = max(need, min(full, max(64, 2*len(page))))
	}
	grown := make([]T, size)
	copy(grown, page)
	return grown
}

// resize makes a list n words long; new ones are zero.
func (s *slab) resize(l *list, n uint32) {
	if size := uint8(bits.Len32(n-1) + 1); n > 0 && size > l.size {
		at := s.piece(size)
		to := list{at, n, size}
		clear(s.words(to)[copy(s.words(to), s.words(*l)):])
		s.drop(l)
		*l = to
		return
	}
	was := l.n
	l.n = n
	if n > was {
		clear(s.words(*l)[was:])
	}
}

// insert puts a word before the one at i.
func (s *slab) insert(l *list, i int, word uint64) {
	s.resize(l, l.n+1)
	w := s.words(*l)
	copy(w[i+1:], w[i:])
	w[i] = word
}

// delete takes the word at i out.
func (s *slab) delete(l *list, i int) {
	w := s.words(*l)
	copy(w[i:], w[i+1:])
	if l.n--; l.n == 0 {
		s.drop(l)
	}
}

// drop gives the memory of a list back and makes it empty.
func (s *slab) drop(l *list) {
	if l.size > 0 {
		s.spare[l.size] = append(s.spare[l.size], l.at)
	}
	*l = list{}
}

// paged is an array that grows without moving. Its elements must hold no pointers, so that the garbage collector need not look at them.
type paged[T any] struct {
	pages [][]T
	n     int32
}

const pagedBits = 10

func (p *paged[T]) at(i int32) *T { return &p.pages[i>>pagedBits][i&(1<<pagedBits-1)] }

// grow adds a zero element and returns its index.
func (p *paged[T]) grow() int32 {
	i := int(p.n)
	if i>>pagedBits == len(p.pages) {
		p.pages = append(p.pages, nil)
	}
	page := &p.pages[i>>pagedBits]
	*page = atLeast(*page, i&(1<<pagedBits-1)+1, 1<<pagedBits, i < 1<<pagedBits)
	p.n++
	return p.n - 1
}
