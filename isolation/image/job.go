package image

// roleName is the role of a puller.
const roleName = "meros-puller"

// A job is what a puller is told first, as a line of JSON on its stdin. It answers with what the image is made of.
type job struct {
	Config    StoreConfig
	Reference string
	Dir       string // the folder that it may write to
}

// An order is a line that follows on stdin: to unpack a layer into Dir/N/fs, which the puller makes. The end of stdin is the end of the slave,
// and its own.
type order struct {
	Layer int   // from zero
	Most  int64 // bytes of its files
}

// An answer is a line of JSON on a puller's stdout: one for the job, and one for each order.
type answer struct {
	Image *stored    `json:",omitempty"` // what the job's image is made of
	Layer *layerInfo `json:",omitempty"` // that is unpacked now
	Error string     `json:",omitempty"` // why not; then nothing follows
}

// maxLine bounds what a puller says at a time, in bytes.
const maxLine = 8 << 20
