#include "cue-text.h"

#include <string.h>

#include "prose.h"

typedef struct
{
  gchar *name, *open;           /* "span", "<span color=\"red\">" */
} Tag;

typedef struct
{
  GString *text;                /* without markup */
  GPtrArray *tags;              /* of Tag, not owned: around all of it, outermost first; NULL: nothing to see */
  gsize body;                   /* where it begins, after spaces and a dash */
  gboolean dash;
  gint passage;                 /* -1: none */
} Line;

typedef struct
{
  guint first, n;               /* lines */
  gchar *text, *translation;
} Passage;

struct _GemmaCueText
{
  gboolean markup;
  GPtrArray *tags;              /* of Tag: all */
  GPtrArray *lines;             /* of Line */
  GPtrArray *passages;          /* of Passage */
};

static void
tag_free (Tag *tag)
{
  g_free (tag->name);
  g_free (tag->open);
  g_free (tag);
}

static void
line_free (Line *line)
{
  g_string_free (line->text, TRUE);
  g_clear_pointer (&line->tags, g_ptr_array_unref);
  g_free (line);
}

static void
passage_free (Passage *passage)
{
  g_free (passage->text);
  g_free (passage->translation);
  g_free (passage);
}

static Line *
get_line (const GemmaCueText *self, guint i)
{
  return g_ptr_array_index (self->lines, i);
}

static Passage *
get_passage (const GemmaCueText *self, guint i)
{
  return g_ptr_array_index (self->passages, i);
}

static Line *
add_line (GemmaCueText *self)
{
  Line *line = g_new0 (Line, 1);

  line->text = g_string_new (NULL);
  line->passage = -1;
  g_ptr_array_add (self->lines, line);
  return line;
}

/* ---- reading -------------------------------------------------------------------------------- */

static guint
count_common (const GPtrArray *a, const GPtrArray *b)
{
  guint n = 0;

  while (n < a->len && n < b->len &&
      strcmp (((Tag *) a->pdata[n])->open, ((Tag *) b->pdata[n])->open) == 0)
    n++;
  return n;
}

/* Visible text inside of @tags joins @line. */
static void
mark (Line *line, GPtrArray *tags)
{
  if (line->tags)
    g_ptr_array_set_size (line->tags, count_common (line->tags, tags));
  else
    line->tags = g_ptr_array_copy (tags, NULL, NULL);
}

static void
add_text (GemmaCueText *self, GPtrArray *open, const gchar *text, gsize length)
{
  Line *line = get_line (self, self->lines->len - 1);

  for (const gchar *p = text; p < text + length; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (c == '\n') {
      line = add_line (self);
    } else if (c != '\r') {
      g_string_append_unichar (line->text, c);
      if (!g_unichar_isspace (c))
        mark (line, open);
    }
  }
}

typedef struct
{
  GemmaCueText *cue;
  GPtrArray *open;              /* of Tag, not owned; the root is none */
  guint depth;
} Reading;

static void
on_start (GMarkupParseContext *context, const gchar *name, const gchar **names, const gchar **values, gpointer data,
    GError **error)
{
  Reading *r = data;
  GString *open = g_string_new (NULL);
  Tag *tag;

  if (r->depth++ > 0) {
    g_string_append_printf (open, "<%s", name);
    for (guint i = 0; names[i]; i++) {
      g_autofree gchar *value = g_markup_escape_text (values[i], -1);
      g_string_append_printf (open, " %s=\"%s\"", names[i], value);
    }
    g_string_append_c (open, '>');
    tag = g_new0 (Tag, 1);
    tag->name = g_strdup (name);
    tag->open = g_strdup (open->str);
    g_ptr_array_add (r->cue->tags, tag);
    g_ptr_array_add (r->open, tag);
  }
  g_string_free (open, TRUE);
}

static void
on_end (GMarkupParseContext *context, const gchar *name, gpointer data, GError **error)
{
  Reading *r = data;

  if (--r->depth > 0)
    g_ptr_array_set_size (r->open, r->open->len - 1);
}

static void
on_text (GMarkupParseContext *context, const gchar *text, gsize length, gpointer data, GError **error)
{
  Reading *r = data;

  add_text (r->cue, r->open, text, length);
}

static void
clear (GemmaCueText *self)
{
  g_ptr_array_set_size (self->passages, 0);
  g_ptr_array_set_size (self->lines, 0);
  g_ptr_array_set_size (self->tags, 0);
  add_line (self);
}

/* FALSE: no markup. */
static gboolean
read_markup (GemmaCueText *self, const gchar *text)
{
  static const GMarkupParser parser = { .start_element = on_start, .end_element = on_end, .text = on_text };
  Reading reading = { self, g_ptr_array_new (), 0 };
  GMarkupParseContext *context = g_markup_parse_context_new (&parser, 0, &reading, NULL);
  gboolean ok;

  ok = g_markup_parse_context_parse (context, "<markup>", -1, NULL) &&
      g_markup_parse_context_parse (context, text, -1, NULL) &&
      g_markup_parse_context_parse (context, "</markup>", -1, NULL) &&
      g_markup_parse_context_end_parse (context, NULL);
  g_markup_parse_context_free (context);
  g_ptr_array_unref (reading.open);
  return ok;
}

/* ---- passages -------------------------------------------------------------------------------- */

static gboolean
has_letters (const gchar *text)
{
  for (; *text; text = g_utf8_next_char (text))
    if (g_unichar_isalpha (g_utf8_get_char (text)))
      return TRUE;
  return FALSE;
}

/* Behind spaces and the dash that a speaker's line begins with; "-5" and "--" have none. */
static void
find_body (Line *line)
{
  const gchar *text = line->text->str, *p = text, *after;

  while (g_unichar_isspace (g_utf8_get_char (p)))
    p = g_utf8_next_char (p);
  line->body = p - text;
  gunichar c = g_utf8_get_char (p);
  if (c != '-' && c != 0x2013 && c != 0x2014)
    return;
  p = after = g_utf8_next_char (p);
  while (g_unichar_isspace (g_utf8_get_char (after)))
    after = g_utf8_next_char (after);
  line->dash = after > p || g_unichar_isalpha (g_utf8_get_char (after));
  if (line->dash)
    line->body = after - text;
}

/* Whether @next may be said by the same voice as the line before it: it has the same markup and no dash. */
static gboolean
is_same_voice (const Line *line, const Line *next)
{
  return count_common (line->tags, next->tags) == MAX (line->tags->len, next->tags->len) && !next->dash;
}

static gboolean
goes_on (const Line *line, const Line *next)
{
  return is_same_voice (line, next) && !gemma_text_ends_sentence (line->text->str);
}

static void
append_to_passage (Passage *passage, const Line *line)
{
  g_autofree gchar *body = g_strstrip (g_strdup (line->text->str + line->body));
  g_autofree gchar *before = passage->text;

  passage->n++;
  passage->text = before ? g_strconcat (before, gemma_text_needs_space (before, body) ? " " : "", body, NULL) :
      g_steal_pointer (&body);
}

static void
find_passages (GemmaCueText *self)
{
  Line *before = NULL;

  for (guint i = 0; i < self->lines->len; i++) {
    Line *line = get_line (self, i);

    find_body (line);
    if (!has_letters (line->text->str)) {
      before = NULL;
      continue;
    }
    if (!before || !goes_on (before, line)) {
      Passage *passage = g_new0 (Passage, 1);
      passage->first = i;
      g_ptr_array_add (self->passages, passage);
    }
    line->passage = self->passages->len - 1;
    append_to_passage (get_passage (self, line->passage), line);
    before = line;
  }
}

/* ---- breaking lines ---------------------------------------------------------------------------- */

/* The translation of a passage, in as many lines as it had. (transfer full) */
static GStrv
wrap (const GemmaCueText *self, const Passage *passage)
{
  g_autofree glong *lengths = g_new (glong, passage->n);

  for (guint i = 0; i < passage->n; i++)
    lengths[i] = g_utf8_strlen (get_line (self, passage->first + i)->text->str, -1);
  return gemma_text_divide (passage->translation, lengths, passage->n);
}

/* ---- writing ------------------------------------------------------------------------------------ */

typedef struct
{
  const GemmaCueText *cue;
  GString *out;
  GPtrArray *open;              /* of Tag */
  gboolean begun;
} Writing;

static void
close_tags (Writing *w, guint keep)
{
  while (w->open->len > keep) {
    const Tag *tag = w->open->pdata[w->open->len - 1];
    g_string_append_printf (w->out, "</%s>", tag->name);
    g_ptr_array_set_size (w->open, w->open->len - 1);
  }
}

/* Between tags, quotes stand for themselves, and srtenc writes what it gets: "l&apos;ami" would be read as that. */
static void
append_escaped (GString *out, const gchar *line)
{
  g_autofree gchar *escaped = g_markup_escape_text (line, -1);
  GString *plain = g_string_new (escaped);

  g_string_replace (plain, "&apos;", "'", 0);
  g_string_replace (plain, "&quot;", "\"", 0);
  g_string_append (out, plain->str);
  g_string_free (plain, TRUE);
}

/* @tags: (nullable): as it is */
static void
write_line (Writing *w, const GPtrArray *tags, const gchar *prefix, gsize prefix_length, const gchar *text)
{
  guint keep = tags ? count_common (w->open, tags) : w->open->len;

  close_tags (w, keep);
  if (w->begun)
    g_string_append_c (w->out, '\n');
  w->begun = TRUE;
  for (guint i = keep; tags && i < tags->len; i++) {
    g_string_append (w->out, ((Tag *) tags->pdata[i])->open);
    g_ptr_array_add (w->open, tags->pdata[i]);
  }
  g_autofree gchar *line = g_strdup_printf ("%.*s%s", (gint) prefix_length, prefix, text);
  if (w->cue->markup)
    append_escaped (w->out, line);
  else
    g_string_append (w->out, line);
}

gchar *
gemma_cue_text_to_string (const GemmaCueText *self)
{
  Writing w = { self, g_string_new (NULL), g_ptr_array_new (), FALSE };

  for (guint i = 0; i < self->lines->len; i++) {
    const Line *line = get_line (self, i);
    const Passage *passage = line->passage < 0 ? NULL : get_passage (self, line->passage);

    if (!passage || !passage->translation) {
      write_line (&w, line->tags, line->text->str, 0, line->text->str);
      continue;
    }
    g_auto (GStrv) wrapped = wrap (self, passage);
    for (guint k = 0; wrapped[k]; k++)
      write_line (&w, line->tags, line->text->str, k == 0 ? line->body : 0, wrapped[k]);
    i += passage->n - 1;
  }
  close_tags (&w, 0);
  g_ptr_array_unref (w.open);
  return g_string_free (w.out, FALSE);
}

/* ---- the cue ------------------------------------------------------------------------------------- */

GemmaCueText *
gemma_cue_text_new (const gchar *text, gboolean markup)
{
  GemmaCueText *self = g_new0 (GemmaCueText, 1);

  self->markup = markup;
  self->tags = g_ptr_array_new_with_free_func ((GDestroyNotify) tag_free);
  self->lines = g_ptr_array_new_with_free_func ((GDestroyNotify) line_free);
  self->passages = g_ptr_array_new_with_free_func ((GDestroyNotify) passage_free);
  clear (self);
  if (!markup || !read_markup (self, text)) {
    g_autoptr (GPtrArray) none = g_ptr_array_new ();
    clear (self);
    add_text (self, none, text, strlen (text));
  }
  find_passages (self);
  return self;
}

void
gemma_cue_text_free (GemmaCueText *self)
{
  g_ptr_array_unref (self->passages);
  g_ptr_array_unref (self->lines);
  g_ptr_array_unref (self->tags);
  g_free (self);
}

gchar *
gemma_cue_text_get_plain (const GemmaCueText *self)
{
  GString *plain = g_string_new (NULL);

  for (guint i = 0; i < self->lines->len; i++)
    g_string_append_printf (plain, "%s%s", i ? "\n" : "", get_line (self, i)->text->str);
  return g_string_free (plain, FALSE);
}

/* What is seen first and last belongs to a passage. */
static Line *
find_edge (const GemmaCueText *self, gboolean last)
{
  for (guint i = 0; i < self->lines->len; i++) {
    Line *line = get_line (self, last ? self->lines->len - 1 - i : i);
    if (line->tags)
      return line->passage < 0 ? NULL : line;
  }
  return NULL;
}

gboolean
gemma_cue_text_may_go_on (const GemmaCueText *self)
{
  const Line *last = find_edge (self, TRUE);

  return last && gemma_text_may_go_on (get_passage (self, last->passage)->text);
}

GemmaTextRelation
gemma_cue_text_relate (const GemmaCueText *before, const GemmaCueText *after)
{
  const Line *last = find_edge (before, TRUE), *first = find_edge (after, FALSE);

  if (!last || !first || !is_same_voice (last, first))
    return GEMMA_TEXT_ENDS;
  return gemma_text_relate (get_passage (before, last->passage)->text, get_passage (after, first->passage)->text);
}

guint
gemma_cue_text_get_n_passages (const GemmaCueText *self)
{
  return self->passages->len;
}

const gchar *
gemma_cue_text_get_passage (const GemmaCueText *self, guint i)
{
  return get_passage (self, i)->text;
}

void
gemma_cue_text_set_translation (GemmaCueText *self, guint i, const gchar *translation)
{
  Passage *passage = get_passage (self, i);
  g_autofree gchar *text = g_strdup (translation);

  g_strdelimit (text, "\r\n", ' ');
  g_strstrip (text);
  g_clear_pointer (&passage->translation, g_free);
  if (*text)
    passage->translation = g_steal_pointer (&text);
}
