/* A source pad of a language model inline: text, GAPs and events leave it in order, from a task of its own, for a sink
 * that holds text until it is due must not hold up the model; within a latency that is promised while live, and
 * after a tag with their language.
 */
#pragma once

#include "lm-base.h"

G_BEGIN_DECLS

#define GST_TYPE_GEMMA_LM_SRC_PAD (gst_gemma_lm_src_pad_get_type ())
G_DECLARE_DERIVABLE_TYPE (GstGemmaLmSrcPad, gst_gemma_lm_src_pad, GST, GEMMA_LM_SRC_PAD, GstPad)

struct _GstGemmaLmSrcPadClass
{
  GstPadClass parent_class;

  /** (nullable): the language of the pad's text; by default the element's. (transfer full) (nullable) */
  gchar *(*get_language) (GstGemmaLmSrcPad *self);
};

/** @type: this one or one derived from it. Caps that the template fixes are sent with each stream. (transfer floating) */
GstGemmaLmSrcPad *gst_gemma_lm_src_pad_new (GType type, GstGemmaLmBase *element, GstPadTemplate *templ, const gchar *name);
/** Its text may come this much (ms) later than the element's latency says. */
void gst_gemma_lm_src_pad_set_extra_latency (GstGemmaLmSrcPad *self, guint latency);
/** The stream begins anew. */
void gst_gemma_lm_src_pad_reset (GstGemmaLmSrcPad *self);

/* From here on, in the element's task. */

/** Whether a stream was begun with STREAM_START. */
gboolean gst_gemma_lm_src_pad_has_begun (GstGemmaLmSrcPad *self);
void gst_gemma_lm_src_pad_text (GstGemmaLmSrcPad *self, GstClockTime start, GstClockTime end, const gchar *text);
void gst_gemma_lm_src_pad_silence (GstGemmaLmSrcPad *self, GstClockTime start, GstClockTime end);
/** @event: as it came in (transfer none): STREAM_START, SEGMENT, TAG, EOS or a custom one */
void gst_gemma_lm_src_pad_event (GstGemmaLmSrcPad *self, GstEvent *event);
/** What became of what was handed on lately. */
GstFlowReturn gst_gemma_lm_src_pad_get_flow (GstGemmaLmSrcPad *self);

/** FLUSH_START or FLUSH_STOP (transfer none), from any thread. */
void gst_gemma_lm_src_pad_flush (GstGemmaLmSrcPad *self, GstEvent *event);

G_END_DECLS
