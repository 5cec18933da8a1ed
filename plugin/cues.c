#include "cues.h"

#include "cue-text.h"

/* Cues and GAPs; a stream that consists of GAPs does not grow. */
#define MAX_ITEMS 256

typedef struct
{
  guint64 start, end;
  GemmaCueText *text;           /* NULL: a GAP */
  gchar *same;                  /* what leaves, if there is nothing to translate */
} Item;

struct _GemmaCues
{
  const GemmaCuesFuncs *funcs;
  gpointer user_data;
  guint64 pause, long_pause, longest;

  GPtrArray *items;             /* of Item: a cue comes first */
  const Item *first, *last;     /* cues */
  guint n_cues;
  glong n_characters;
  gboolean stopped;             /* one of them has a full stop */
  gboolean stops;               /* the text has full stops, as far as is known */
};

static void
item_free (Item *item)
{
  g_clear_pointer (&item->text, gemma_cue_text_free);
  g_free (item->same);
  g_free (item);
}

static Item *
add_item (GemmaCues *self, guint64 start, guint64 end)
{
  Item *item = g_new0 (Item, 1);

  item->start = start;
  item->end = end;
  g_ptr_array_add (self->items, item);
  return item;
}

static GPtrArray *
new_items (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) item_free);
}

static void
forget_items (GemmaCues *self)
{
  self->first = self->last = NULL;
  self->n_cues = 0;
  self->n_characters = 0;
  self->stopped = FALSE;
}

GemmaCues *
gemma_cues_new (const GemmaCuesFuncs *funcs, gpointer user_data)
{
  GemmaCues *self = g_new0 (GemmaCues, 1);

  self->funcs = funcs;
  self->user_data = user_data;
  self->longest = G_MAXUINT64;
  self->items = new_items ();
  self->stops = TRUE;
  return self;
}

void
gemma_cues_free (GemmaCues *self)
{
  g_ptr_array_unref (self->items);
  g_free (self);
}

void
gemma_cues_set_limits (GemmaCues *self, guint64 pause, guint64 long_pause, guint64 longest)
{
  self->pause = pause;
  self->long_pause = long_pause;
  self->longest = longest;
}

gboolean
gemma_cues_are_pending (const GemmaCues *self)
{
  return self->first != NULL;
}

void
gemma_cues_reset (GemmaCues *self)
{
  g_ptr_array_set_size (self->items, 0);
  forget_items (self);
  self->stops = TRUE;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* One sentence: the last passage of a cue, the only one of those that follow, and the first of the last. */
typedef struct
{
  guint n;
  GemmaCueText *texts[GEMMA_CUES_MOST];
  guint passages[GEMMA_CUES_MOST];
  guint64 end;
} Chain;

/* The cues from @items[@i] on that share a sentence with its passage @passage. */
static void
find_chain (Chain *chain, const GPtrArray *items, guint i, guint passage)
{
  *chain = (Chain) { 0 };
  for (; i < items->len && chain->n < GEMMA_CUES_MOST; i++) {
    const Item *item = items->pdata[i];

    if (!item->text)
      continue;
    chain->texts[chain->n] = item->text;
    chain->passages[chain->n++] = passage;
    chain->end = item->end == G_MAXUINT64 ? item->start : item->end;
    if (passage + 1 < gemma_cue_text_get_n_passages (item->text))
      break;
    passage = 0;
  }
}

/* (transfer full) */
static gchar *
join (const Chain *chain)
{
  GString *all = g_string_new (NULL);

  for (guint i = 0; i < chain->n; i++) {
    const gchar *text = gemma_cue_text_get_passage (chain->texts[i], chain->passages[i]);
    if (gemma_text_needs_space (all->str, text))
      g_string_append_c (all, ' ');
    g_string_append (all, text);
  }
  return g_string_free (all, FALSE);
}

static void
lay_out (const Chain *chain, const gchar *translation)
{
  g_autofree gchar *line = g_strdelimit (g_strdup (translation), "\r\n", ' ');
  glong lengths[GEMMA_CUES_MOST];

  for (guint i = 0; i < chain->n; i++)
    lengths[i] = g_utf8_strlen (gemma_cue_text_get_passage (chain->texts[i], chain->passages[i]), -1);
  g_auto (GStrv) parts = gemma_text_divide (g_strstrip (line), lengths, chain->n);
  guint n = g_strv_length (parts);
  for (guint i = 0; i < chain->n; i++)
    gemma_cue_text_set_translation (chain->texts[i], chain->passages[i], parts[MIN (i, n - 1)]);
}

/* FALSE: there is no more to do. */
static gboolean
translate_chain (GemmaCues *self, const Chain *chain, guint64 start)
{
  g_autofree gchar *text = join (chain);
  g_autofree gchar *translation = self->funcs->translate (start, chain->end, text, self->user_data);

  /* Cues whose text is repeated stay as they are. */
  if (translation && g_strcmp0 (translation, text) != 0)
    lay_out (chain, translation);
  return translation != NULL;
}

/* The cue @items[@i]; its passages from @first on are still to be translated. FALSE: there is no more to do. */
static gboolean
tell_cue (GemmaCues *self, const GPtrArray *items, guint i, guint first)
{
  const Item *item = items->pdata[i];

  for (guint k = first; k < gemma_cue_text_get_n_passages (item->text); k++) {
    Chain chain;
    find_chain (&chain, items, i, k);
    if (!translate_chain (self, &chain, item->start))
      return FALSE;
  }
  g_autofree gchar *text = item->same ? g_strdup (item->same) : gemma_cue_text_to_string (item->text);
  self->funcs->cue (item->start, item->end, text, self->user_data);
  return TRUE;
}

void
gemma_cues_drain (GemmaCues *self)
{
  if (!self->first)
    return;
  g_autoptr (GPtrArray) items = self->items;
  guint first = 0;              /* that of a later cue belongs to the one before */

  self->items = new_items ();
  forget_items (self);
  for (guint i = 0; i < items->len; i++) {
    const Item *item = items->pdata[i];

    if (!item->text)
      self->funcs->gap (item->start, item->end, self->user_data);
    else if (!tell_cue (self, items, i, first))
      return;
    else
      first = 1;
  }
}

/* ---- gathering ---------------------------------------------------------------------------------- */

static glong
count_characters (const GemmaCueText *text)
{
  glong n = 0;

  for (guint i = 0; i < gemma_cue_text_get_n_passages (text); i++)
    n += g_utf8_strlen (gemma_cue_text_get_passage (text, i), -1);
  return n;
}

static gboolean
has_full_stop (const GemmaCueText *text)
{
  for (guint i = 0; i < gemma_cue_text_get_n_passages (text); i++)
    if (gemma_text_has_full_stop (gemma_cue_text_get_passage (text, i)))
      return TRUE;
  return FALSE;
}

/* Whether the cue belongs to those that wait. A little overlap is as good as a little pause. */
static gboolean
joins (const GemmaCues *self, guint64 start, guint64 end, const GemmaCueText *text)
{
  guint64 before = self->last->end, apart = MAX (start, before) - MIN (start, before);

  if (start <= self->last->start || end == G_MAXUINT64 || end - self->first->start > self->longest ||
      self->n_characters + count_characters (text) > GEMMA_CUES_MOST_CHARACTERS)
    return FALSE;
  switch (gemma_cue_text_relate (self->last->text, text)) {
    case GEMMA_TEXT_GOES_ON:
      return apart < (start > before ? self->long_pause : self->pause);
    case GEMMA_TEXT_MAY_GO_ON:
      return apart < self->pause;
    default:
      return FALSE;
  }
}

/* Whether the next cue may belong to those that there are. */
static gboolean
has_room (const GemmaCues *self)
{
  const Item *last = self->last;

  return last->end != G_MAXUINT64 && last->end - self->first->start < self->longest && self->stops &&
      self->n_cues < GEMMA_CUES_MOST && self->n_characters < GEMMA_CUES_MOST_CHARACTERS &&
      gemma_cue_text_may_go_on (last->text);
}

void
gemma_cues_push (GemmaCues *self, guint64 start, guint64 end, const gchar *text, gboolean markup)
{
  GemmaCueText *cue = gemma_cue_text_new (text, markup);

  if (self->first && !joins (self, start, end, cue))
    gemma_cues_drain (self);
  Item *item = add_item (self, start, end);
  item->text = cue;
  if (!gemma_cue_text_get_n_passages (cue))
    item->same = g_strdup (text);
  self->last = item;
  if (!self->first)
    self->first = item;
  self->n_cues++;
  self->n_characters += count_characters (cue);
  self->stopped |= has_full_stop (cue);
  if (self->stopped)
    self->stops = TRUE;
  else if (self->n_cues == GEMMA_CUES_MOST)
    self->stops = FALSE;
  if (!has_room (self))
    gemma_cues_drain (self);
}

void
gemma_cues_push_gap (GemmaCues *self, guint64 start, guint64 end)
{
  if (!self->first) {
    self->funcs->gap (start, end, self->user_data);
    return;
  }
  add_item (self, start, end);
  if ((end > self->last->end && end - self->last->end >= MAX (self->pause, self->long_pause)) ||
      self->items->len >= MAX_ITEMS)
    gemma_cues_drain (self);
}
