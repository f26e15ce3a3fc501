/* SPDX-License-Identifier: GPL-2.0-only */
/* Trace events: create, connect, wake, death.  They are venom:* under tracefs, perf and bpftrace. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM venom

#if !defined(VENOM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VENOM_TRACE_H

#include <linux/tracepoint.h>

#include "compat.h"

TRACE_EVENT(venom_create,
	TP_PROTO(const char *name, u64 epoch, bool resumed),
	TP_ARGS(name, epoch, resumed),
	TP_STRUCT__entry(
		__string(name, name)
		__field(u64, epoch)
		__field(bool, resumed)
	),
	TP_fast_assign(
		venom_assign_str(name, name);
		__entry->epoch = epoch;
		__entry->resumed = resumed;
	),
	TP_printk("name=%s epoch=%llu resumed=%d", __get_str(name), __entry->epoch, __entry->resumed)
);

TRACE_EVENT(venom_connect,
	TP_PROTO(const char *name, u32 id, u32 generation),
	TP_ARGS(name, id, generation),
	TP_STRUCT__entry(
		__string(name, name)
		__field(u32, id)
		__field(u32, generation)
	),
	TP_fast_assign(
		venom_assign_str(name, name);
		__entry->id = id;
		__entry->generation = generation;
	),
	TP_printk("name=%s id=%u generation=%u", __get_str(name), __entry->id, __entry->generation)
);

TRACE_EVENT(venom_wake,
	TP_PROTO(const char *name, u32 what, u32 id, int result),
	TP_ARGS(name, what, id, result),
	TP_STRUCT__entry(
		__string(name, name)
		__field(u32, what)
		__field(u32, id)
		__field(int, result)
	),
	TP_fast_assign(
		venom_assign_str(name, name);
		__entry->what = what;
		__entry->id = id;
		__entry->result = result;
	),
	TP_printk("name=%s what=%s id=%u result=%d", __get_str(name),
		  __print_symbolic(__entry->what,
				   { VENOM_WAKE_DAEMON, "daemon" }, { VENOM_WAKE_SHELL, "shell" },
				   { VENOM_WAKE_STATE, "state" }, { VENOM_WAKE_LIFE, "life" },
				   { VENOM_WAKE_MOVED, "moved" }),
		  __entry->id, __entry->result)
);

TRACE_EVENT(venom_death,
	TP_PROTO(const char *name, u64 epoch, int id),
	TP_ARGS(name, epoch, id),
	TP_STRUCT__entry(
		__string(name, name)
		__field(u64, epoch)
		__field(int, id)
	),
	TP_fast_assign(
		venom_assign_str(name, name);
		__entry->epoch = epoch;
		__entry->id = id;
	),
	TP_printk("name=%s epoch=%llu id=%d", __get_str(name), __entry->epoch, __entry->id)
);

#endif /* VENOM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
