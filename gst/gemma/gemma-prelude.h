/* What the headers of libgstgemma-1.0 share. */
#pragma once

#include <gst/gst.h>

#ifdef BUILDING_GST_GEMMA
#define GST_GEMMA_API extern __attribute__ ((visibility ("default")))
#else
#define GST_GEMMA_API extern
#endif
