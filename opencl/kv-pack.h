/* For the operations on a cache of packed keys and values. */
#pragma once

#include "ops.h"

G_BEGIN_DECLS

/** Room for @rows keys and values in the queue's scratch memory; .k.mem NULL where there is none, with the queue failed. */
OclKvCache ocl_kv_scratch (OclQueue *q, gint rows, gint width);

G_END_DECLS
