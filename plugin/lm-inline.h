/* What the language model's elements with source pads share: what is said, GAPs and events leave `src`, events every other
 * pad, too (lm-src-pad.h).
 */
#pragma once

#include "lm-base.h"
#include "lm-src-pad.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_LM_INLINE (gst_gemma_lm_inline_get_type ())
#define GST_GEMMA_LM_INLINE(obj) (G_TYPE_CHECK_INSTANCE_CAST ((obj), GST_TYPE_GEMMA_LM_INLINE, GstGemmaLmInline))
#define GST_GEMMA_LM_INLINE_CLASS(klass) \
    (G_TYPE_CHECK_CLASS_CAST ((klass), GST_TYPE_GEMMA_LM_INLINE, GstGemmaLmInlineClass))
GType gst_gemma_lm_inline_get_type (void);

typedef struct
{
  GstGemmaLmBase parent;
  GstPad *srcpad;               /* a GstGemmaLmSrcPad, as all other source pads are */

  GstEvent *stream_start, *segment;     /* as they came in last, for pads that come later; the task's */
  guint max_observed_delay;     /* ms; object lock */
} GstGemmaLmInline;

typedef struct
{
  GstGemmaLmBaseClass parent_class;
} GstGemmaLmInlineClass;

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstGemmaLmInline, gst_object_unref)

/* Subclasses go on after the last one. */
enum
{
  GEMMA_LM_INLINE_PROP_LATENCY = GEMMA_LM_LAST_PROPERTY + 1,
  GEMMA_LM_INLINE_PROP_LATENESS,
  GEMMA_LM_INLINE_PROP_MAX_OBSERVED_DELAY,
  GEMMA_LM_INLINE_LAST_PROPERTY = GEMMA_LM_INLINE_PROP_MAX_OBSERVED_DELAY
};

/** To be called by the subclass's init. */
void gst_gemma_lm_inline_add_src_pad (GstGemmaLmInline *self, GstStaticPadTemplate *templ);
/** Adds another source pad (transfer floating), active where the element is. */
gboolean gst_gemma_lm_inline_add_pad (GstGemmaLmInline *self, GstGemmaLmSrcPad *pad);

/* In the task. */

/** Before anything is handed to @pad: it may have come when the stream had begun. */
void gst_gemma_lm_inline_begin_pad (GstGemmaLmInline *self, GstGemmaLmSrcPad *pad);
/** Of all source pads together: one that is not linked, or at its end, does not stop the others. */
GstFlowReturn gst_gemma_lm_inline_get_flow (GstGemmaLmInline *self);

G_END_DECLS
