/* What the language model's elements with a source pad share: text, GAPs and events leave in order, from a task of the
 * pad's own, within a latency that is promised while live, after a tag with their language.
 */
#pragma once

#include "lm-base.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_LM_INLINE (gst_gemma_lm_inline_get_type ())
#define GST_GEMMA_LM_INLINE(obj) (G_TYPE_CHECK_INSTANCE_CAST ((obj), GST_TYPE_GEMMA_LM_INLINE, GstGemmaLmInline))
#define GST_GEMMA_LM_INLINE_CLASS(klass) \
    (G_TYPE_CHECK_CLASS_CAST ((klass), GST_TYPE_GEMMA_LM_INLINE, GstGemmaLmInlineClass))
GType gst_gemma_lm_inline_get_type (void);

typedef struct
{
  GstGemmaLmBase parent;
  GstPad *srcpad;

  /* The task's. */
  GstSegment segment;           /* as it went downstream */
  GstClockTime last_end;
  gchar *language;              /* as it was last tagged */

  /* What waits for the source pad's task: a sink that holds text until it is due must not hold up the model. */
  GMutex out_lock;
  GCond out_cond;
  GQueue out;                   /* of GstBuffer and GstEvent */
  gboolean out_flushing;
  GstFlowReturn out_flow;

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

/** To be called by the subclass's init. Caps that the template fixes are sent with each stream. */
void gst_gemma_lm_inline_add_src_pad (GstGemmaLmInline *self, GstStaticPadTemplate *templ);
/** In the task: hands on @item, a GstBuffer or GstEvent (transfer full). */
GstFlowReturn gst_gemma_lm_inline_emit (GstGemmaLmInline *self, gpointer item);

G_END_DECLS
