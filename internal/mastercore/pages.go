package mastercore

// pageSize is the number of items in a page: small enough that a copied page costs little, large enough that the directory does.
const pageSize = 128

// pages is an array of T in pages, of which a snapshot shares all that have not changed since. Items live at fixed indexes; a page that was
// never touched takes no room. The zero value is empty.
type pages[T any] struct {
	dir     []*page[T]
	version uint64 // pages of an older version belong to a snapshot too and are copied before they change
}

type page[T any] struct {
	version uint64
	items   [pageSize]T
}

// mut returns the item at i for writing, growing the array as needed. The pointer is good until the next snapshot.
func (p *pages[T]) mut(i uint32) *T {
	n := int(i / pageSize)
	for n >= len(p.dir) {
		p.dir = append(p.dir, nil)
	}
	pg := p.dir[n]
	if pg == nil {
		pg = &page[T]{version: p.version}
		p.dir[n] = pg
	} else if pg.version != p.version {
		next := *pg
		next.version = p.version
		pg = &next
		p.dir[n] = pg
	}
	return &pg.items[i%pageSize]
}

// get returns the item at i for reading, or nil where no page is. What follows may copy the page: do not keep it over a mut.
func (p *pages[T]) get(i uint32) *T {
	n := int(i / pageSize)
	if n >= len(p.dir) || p.dir[n] == nil {
		return nil
	}
	return &p.dir[n].items[i%pageSize]
}

// snapshot returns the array as it is, to be read by any goroutine.
func (p *pages[T]) snapshot() pages[T] {
	p.version++
	return pages[T]{dir: append([]*page[T](nil), p.dir...)}
}
