/* The debug category of all elements. */
#pragma once

#include <gst/gst.h>

GST_DEBUG_CATEGORY_EXTERN (gst_gemma_debug);
#define GST_CAT_DEFAULT gst_gemma_debug
