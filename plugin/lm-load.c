/* What is left out where a live stream is faster than the machine, in steps: hypotheses are not translated, then become
 * fewer, and in the last step pictures beside speech are left out and a smaller part of the model runs, if there is one for
 * this. Each step is told by a message, and taken back when there is time again. Speech itself always waits for its turn.
 */
#include "debug.h"
#include "lm-base.h"

/* Each of the first steps doubles the time between hypotheses. */
#define MAX_STEP 3
/* Answers in a row that take less than this share of their speech, before the whole model is tried again. */
#define CALM_ANSWERS 3
#define CALM_SHARE 6

static void
post_load (GstGemmaLmBase *self)
{
  g_autofree gchar *name = gst_gemma_lm_base_get_submodel (self);
  g_autofree gchar *submodel = name ? g_filename_display_name (name) : NULL;    /* it may be a file's */

  GST_OBJECT_LOCK (self);
  guint interval = self->settings.hypothesis_interval << self->load.step;
  GST_OBJECT_UNLOCK (self);
  GST_INFO_OBJECT (self, "a hypothesis every %u ms, %s translations, %s pictures, submodel %s", interval,
      self->load.untranslated ? "without" : "with", self->load.reduced ? "without" : "with", submodel);
  gst_element_post_message (GST_ELEMENT (self), gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("gemma-load",
              "step", G_TYPE_UINT, self->load.untranslated + self->load.step + self->load.reduced,
              "hypothesis-interval", G_TYPE_UINT, interval,
              "partial-translations", G_TYPE_BOOLEAN, !self->load.untranslated,
              "pictures", G_TYPE_BOOLEAN, !self->load.reduced,
              "submodel", G_TYPE_STRING, submodel, NULL)));
}

static void
set_reduced (GstGemmaLmBase *self, gboolean reduced)
{
  self->load.reduced = reduced;
  self->load.untranslated |= reduced && self->load.translating;
  self->load.calm = 0;
  GST_OBJECT_LOCK (self);
  self->submodel_set = TRUE;    /* it runs from the next token on */
  GST_OBJECT_UNLOCK (self);
  post_load (self);
}

static void
set_step (GstGemmaLmBase *self, guint step)
{
  self->load.step = step;
  post_load (self);
}

static void
set_untranslated (GstGemmaLmBase *self, gboolean untranslated)
{
  self->load.untranslated = untranslated;
  post_load (self);
}

gchar *
gst_gemma_lm_base_get_submodel (GstGemmaLmBase *self)
{
  GST_OBJECT_LOCK (self);
  const gchar *fallback = self->settings.fallback_submodel, *usual = self->settings.submodel;
  gchar *choice = g_strdup (self->load.reduced && fallback && *fallback ? fallback : usual ? usual : "full");
  GST_OBJECT_UNLOCK (self);
  return choice;
}

void
gst_gemma_lm_base_note_hypothesis (GstGemmaLmBase *self, gint64 time, gint64 translating, GstClockTime interval)
{
  GstClockTime needed = 3 * (time + translating) * GST_USECOND;
  guint step = self->load.step;

  if (!interval || !gst_gemma_lm_base_is_live (self))
    return;
  if (translating)
    self->load.translating = translating;
  if (needed > interval << step && translating)
    set_untranslated (self, TRUE);
  else if (needed > interval << step && step < MAX_STEP)
    set_step (self, step + 1);
  else if (step > 0 && !self->load.reduced && needed < interval << (step - 1) >> 1)
    set_step (self, step - 1);
  else if (step == 0 && !self->load.reduced && self->load.untranslated &&
      needed + 3 * self->load.translating * GST_USECOND < interval >> 1)
    set_untranslated (self, FALSE);
}

void
gst_gemma_lm_base_note_answer (GstGemmaLmBase *self, const GemmaWork *work, gint64 time)
{
  if (!gst_gemma_lm_base_is_live (self))
    return;
  g_mutex_lock (&self->lock);
  gboolean behind = self->n_heavy > 1;  /* this one still counts */
  g_mutex_unlock (&self->lock);

  if (behind && !self->load.reduced)
    set_reduced (self, TRUE);
  if (!self->load.reduced)
    return;
  gboolean calm = !behind && CALM_SHARE * (GstClockTime) time * GST_USECOND < work->end - work->start;
  self->load.calm = calm ? self->load.calm + 1 : 0;
  if (self->load.calm >= CALM_ANSWERS)
    set_reduced (self, FALSE);
}
