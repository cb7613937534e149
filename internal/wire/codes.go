package wire

// The codes of msgpack, as constants; a test holds them against those of the library.
const (
	codePosFixedNumHigh = 0x7f
	codeNegFixedNumLow  = 0xe0
	codeNil             = 0xc0
	codeFalse           = 0xc2
	codeTrue            = 0xc3
	codeUint8           = 0xcc
	codeUint16          = 0xcd
	codeUint32          = 0xce
	codeUint64          = 0xcf
	codeInt8            = 0xd0
	codeInt16           = 0xd1
	codeInt32           = 0xd2
	codeInt64           = 0xd3
	codeFixedStrLow     = 0xa0
	codeFixedStrHigh    = 0xbf
	codeFixedStrMask    = 0x1f
	codeStr8            = 0xd9
	codeStr16           = 0xda
	codeStr32           = 0xdb
	codeBin8            = 0xc4
	codeBin16           = 0xc5
	codeBin32           = 0xc6
	codeFixedArrayLow   = 0x90
	codeFixedArrayHigh  = 0x9f
	codeFixedArrayMask  = 0xf
	codeArray16         = 0xdc
	codeArray32         = 0xdd
	codeFixedMapHigh    = 0x8f
	codeFixedMapMask    = 0xf
)
