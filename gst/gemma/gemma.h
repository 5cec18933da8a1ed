/* libgstgemma-1.0: what applications and other plugins share with the elements of gst-gemma.
 *
 * Caps of soft tokens (gemma-caps.h), one copy of a model for all elements of a process
 * (gemma-model-store.h), times and texts of captions (gemma-text.h), caption files (gemma-cue-writer.h),
 * line 21 captions (gemma-cea608.h).
 */
#pragma once

#include <gst/gemma/gemma-caps.h>
#include <gst/gemma/gemma-cea608.h>
#include <gst/gemma/gemma-cue-writer.h>
#include <gst/gemma/gemma-model-store.h>
#include <gst/gemma/gemma-prelude.h>
#include <gst/gemma/gemma-text.h>
