//go:build linux

package process

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_X86_64
	foreignFrom  = 0x40000000 // from here on, numbers are those of x32
)

// ownRules are about calls that only this architecture has.
var ownRules = []rule{
	{name: "iopl", number: unix.SYS_IOPL, capability: "sys_rawio"},
	{name: "ioperm", number: unix.SYS_IOPERM, capability: "sys_rawio"},
	{name: "modify_ldt", number: unix.SYS_MODIFY_LDT},
	{name: "uselib", number: unix.SYS_USELIB},
	{name: "ustat", number: unix.SYS_USTAT},
	{name: "sysfs", number: unix.SYS_SYSFS},
	{name: "_sysctl", number: unix.SYS__SYSCTL},
	{name: "create_module", number: unix.SYS_CREATE_MODULE, capability: "sys_module"},
	{name: "get_kernel_syms", number: unix.SYS_GET_KERNEL_SYMS, capability: "sys_module"},
	{name: "query_module", number: unix.SYS_QUERY_MODULE, capability: "sys_module"},
}
