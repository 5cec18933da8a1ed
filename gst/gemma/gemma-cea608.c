#include "gemma-cea608.h"

#include "gemma-cea608-chars.h"

#include <string.h>

/* One or two minutes at 30 pairs a second. */
#define MAX_CODES 4096
/* What a row takes at the most, if its characters are basic. */
#define ROW_PAIRS 26

/* Control codes of channel 1, field 1. Receivers ignore a control code that equals the one before it, so that each can
 * be sent twice: one of them may be lost. */
#define RESUME(rows) 0x14, (0x23 + (rows))
#define CARRIAGE_RETURN 0x14, 0x2D
#define ERASE_DISPLAYED 0x14, 0x2C
#define DELETE_TO_END 0x14, 0x24
#define TAB(columns) 0x17, (0x20 + (columns))

typedef struct
{
  guint8 first, second;         /* second 0: one basic character, which may share a pair with another */
  GstClockTime from;            /* not sent before */
} Code;

struct _GstGemmaCea608Encoder
{
  GObject parent;
  guint rows, base_row, left;
  GstClockTime interval, erase_after, row_pause;

  GArray *codes;                /* Code; those before next are sent */
  guint next;
  /* How things will be when all codes are sent. */
  gboolean shown;               /* something is on the screen */
  guint shown_row;              /* the lowest row of it */
  guint column;                 /* behind the last character, from the left edge of the rows */
  GstClockTime text_end;        /* of the last text */
  GstClockTime sent_end;        /* about when the last code is sent */
  gboolean row_ends;            /* the next text begins a new row */
  gchar *prefix;                /* for that row, or NULL */
};

G_DEFINE_TYPE (GstGemmaCea608Encoder, gst_gemma_cea608_encoder, G_TYPE_OBJECT)

/* ---- codes ----------------------------------------------------------------------------------- */

static void
append_code (GArray *codes, guint8 first, guint8 second)
{
  Code code = { first, second, 0 };

  g_array_append_val (codes, code);
}

static void
append_control (GArray *codes, guint8 first, guint8 second)
{
  append_code (codes, first, second);
  append_code (codes, first, second);
}

static void
append_char (GArray *codes, gunichar c)
{
  GemmaCea608Char found;

  if (!gemma_cea608_find_char (c, &found))
    return;
  if (found.fallback)
    append_code (codes, found.fallback, 0);
  if (found.second) {
    /* Two equal signs in a row would look like one that is sent twice; to the right of them nothing can be deleted. */
    const Code *last = codes->len ? &g_array_index (codes, Code, codes->len - 1) : NULL;
    if (last && last->first == found.first && last->second == found.second)
      append_control (codes, DELETE_TO_END);
    append_control (codes, found.first, found.second);
  } else {
    append_code (codes, found.first, 0);
  }
}

/* Preamble address code: the base row, white, indented by a multiple of 4, and a tab for the rest. */
static void
append_address (GArray *codes, guint row, guint column)
{
  static const guint8 rows[15][2] = {
    { 0x11, 0x40 }, { 0x11, 0x60 }, { 0x12, 0x40 }, { 0x12, 0x60 }, { 0x15, 0x40 }, { 0x15, 0x60 }, { 0x16, 0x40 },
    { 0x16, 0x60 }, { 0x17, 0x40 }, { 0x17, 0x60 }, { 0x10, 0x40 }, { 0x13, 0x40 }, { 0x13, 0x60 }, { 0x14, 0x40 },
    { 0x14, 0x60 }
  };

  append_control (codes, rows[row - 1][0], rows[row - 1][1] | 0x10 | column / 4 << 1);
  if (column % 4)
    append_control (codes, TAB (column % 4));
}

/* Each row repeats mode and address, for receivers that have just been switched on. Rows that are to move are erased, as not all
 * receivers take them along. */
static void
append_row_begin (GstGemmaCea608Encoder *self, GArray *codes)
{
  gboolean moves = self->shown && self->shown_row != self->base_row;

  if (moves)
    append_control (codes, ERASE_DISPLAYED);
  append_control (codes, RESUME (self->rows));
  if (self->shown && !moves)
    append_control (codes, CARRIAGE_RETURN);
  self->shown_row = self->base_row;
  append_address (codes, self->base_row, self->left);
}

static guint
count_pairs (const GArray *codes)
{
  guint n = 0;

  for (guint i = 0; i < codes->len; i++, n++)
    if (!g_array_index (codes, Code, i).second && i + 1 < codes->len && !g_array_index (codes, Code, i + 1).second)
      i++;
  return n;
}

static void
enqueue (GstGemmaCea608Encoder *self, GArray *codes, GstClockTime from)
{
  for (guint i = 0; i < codes->len; i++)
    g_array_index (codes, Code, i).from = from;
  self->sent_end = MAX (self->sent_end, from) + count_pairs (codes) * self->interval;
  g_array_append_vals (self->codes, codes->data, codes->len);
}

static GstClockTime
get_erase_time (GstGemmaCea608Encoder *self)
{
  GstClockTime end = MAX (self->text_end, self->sent_end);

  if (!self->shown || self->erase_after > G_MAXINT64 || end > G_MAXINT64)
    return GST_CLOCK_TIME_NONE;
  return end + self->erase_after;
}

static void
enqueue_erase (GstGemmaCea608Encoder *self, GstClockTime from)
{
  g_autoptr (GArray) codes = g_array_new (FALSE, FALSE, sizeof (Code));

  append_control (codes, ERASE_DISPLAYED);
  enqueue (self, codes, from);
  self->shown = FALSE;
  self->column = 0;
}

/* ---- text -------------------------------------------------------------------------------------- */

static void
end_row (GPtrArray *rows, GString *row)
{
  g_ptr_array_add (rows, g_strdup (row->str));
  g_string_truncate (row, 0);
}

/* Words that are longer than a row go over its edge. */
static guint
append_word (GPtrArray *rows, GString *row, guint column, guint width, const gchar *word)
{
  guint length = g_utf8_strlen (word, -1);

  if (column && column + 1 + length > width) {
    end_row (rows, row);
    column = 0;
  }
  if (column) {
    g_string_append_c (row, ' ');
    column++;
  }
  for (; *word; word = g_utf8_next_char (word), column++) {
    if (column == width) {
      end_row (rows, row);
      column = 0;
    }
    g_string_append_unichar (row, g_utf8_get_char (word));
  }
  return column;
}

/* The first row is what goes on behind @column of the one that is there; it may be empty. Returns the column at the
 * end. */
static guint
wrap (const gchar *text, guint column, guint width, GPtrArray *rows)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autoptr (GString) row = g_string_new (NULL);

  for (guint i = 0; lines[i]; i++) {
    g_auto (GStrv) words = g_strsplit (lines[i], " ", -1);
    if (i) {
      end_row (rows, row);
      column = 0;
    }
    for (guint j = 0; words[j]; j++)
      if (*words[j])
        column = append_word (rows, row, column, width, words[j]);
  }
  end_row (rows, row);
  return column;
}

static gboolean
goes_on (GstGemmaCea608Encoder *self, GstClockTime start)
{
  return self->shown && self->column && !self->row_ends && start < self->text_end + self->row_pause;
}

/* @begins: on a new row */
static void
enqueue_row (GstGemmaCea608Encoder *self, const gchar *row, gboolean begins, GstClockTime complete)
{
  g_autoptr (GArray) codes = g_array_new (FALSE, FALSE, sizeof (Code));

  if (begins)
    append_row_begin (self, codes);
  for (const gchar *p = row; *p; p = g_utf8_next_char (p))
    append_char (codes, g_utf8_get_char (p));

  GstClockTime needed = count_pairs (codes) * self->interval;
  enqueue (self, codes, complete > needed ? complete - needed : 0);
  self->shown = TRUE;
}

static gchar *
prepare_text (GstGemmaCea608Encoder *self, const gchar *text)
{
  g_autofree gchar *valid = g_utf8_make_valid (text, -1);
  g_autofree gchar *known = gemma_cea608_transliterate (valid);

  g_strstrip (known);
  return *known && self->prefix ? g_strconcat (self->prefix, known, NULL) : g_steal_pointer (&known);
}

gboolean
gst_gemma_cea608_encoder_add_text (GstGemmaCea608Encoder *self, GstClockTime start, GstClockTime duration,
    const gchar *text)
{
  g_return_val_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self), FALSE);
  g_return_val_if_fail (GST_CLOCK_TIME_IS_VALID (start) && text != NULL, FALSE);

  g_autofree gchar *known = prepare_text (self, text);
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func (g_free);
  gsize total = g_utf8_strlen (known, -1), before = 0;

  if (!*known)
    return TRUE;
  if (self->codes->len - self->next + 2 * total > MAX_CODES)
    return FALSE;
  if (!GST_CLOCK_TIME_IS_VALID (duration))
    duration = 0;
  GstClockTime erase = get_erase_time (self);
  if (GST_CLOCK_TIME_IS_VALID (erase) && erase + ROW_PAIRS * self->interval < start)
    enqueue_erase (self, erase);
  gboolean on = goes_on (self, start);
  self->column = wrap (known, on ? self->column : 0, GST_GEMMA_CEA608_COLUMNS - self->left, rows);
  for (guint i = 0; i < rows->len; i++) {
    const gchar *row = g_ptr_array_index (rows, i);
    if (*row)
      enqueue_row (self, row, i || !on, start + gst_util_uint64_scale (duration, before, total));
    before = MIN (before + g_utf8_strlen (row, -1), total);
  }
  self->text_end = MAX (self->text_end, start + duration);
  self->row_ends = FALSE;
  g_clear_pointer (&self->prefix, g_free);
  return TRUE;
}

void
gst_gemma_cea608_encoder_break_row (GstGemmaCea608Encoder *self, const gchar *prefix)
{
  g_return_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self));

  g_free (self->prefix);
  self->prefix = NULL;
  if (prefix) {
    g_autofree gchar *valid = g_utf8_make_valid (prefix, -1);
    self->prefix = gemma_cea608_transliterate (valid);
  }
  self->row_ends = TRUE;
}

/* ---- pairs -------------------------------------------------------------------------------------- */

static guint8
with_odd_parity (guint8 byte)
{
  return __builtin_parity (byte) ? byte : byte | 0x80;
}

/* In the pair whose time is nearest to the right one. */
static const Code *
take_code (GstGemmaCea608Encoder *self, GstClockTime now, gboolean char_only)
{
  const Code *code;

  if (self->next == self->codes->len)
    return NULL;
  code = &g_array_index (self->codes, Code, self->next);
  if (code->from > now + self->interval / 2 || (char_only && code->second))
    return NULL;
  self->next++;
  return code;
}

gboolean
gst_gemma_cea608_encoder_take_pair (GstGemmaCea608Encoder *self, GstClockTime now, guint8 *pair)
{
  g_return_val_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self), FALSE);

  if (self->next == self->codes->len) {
    g_array_set_size (self->codes, 0);
    self->next = 0;
    if (get_erase_time (self) <= now + self->interval / 2)
      enqueue_erase (self, now);
  }
  const Code *code = take_code (self, now, FALSE), *other = NULL;
  if (code && !code->second)
    other = take_code (self, now, TRUE);
  pair[0] = with_odd_parity (code ? code->first : 0);
  pair[1] = with_odd_parity (code && code->second ? code->second : other ? other->first : 0);
  if (code)
    self->sent_end = MAX (self->sent_end, now + self->interval);
  return code != NULL;
}

gboolean
gst_gemma_cea608_encoder_has_text (GstGemmaCea608Encoder *self)
{
  g_return_val_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self), FALSE);

  return self->next < self->codes->len;
}

gboolean
gst_gemma_cea608_encoder_is_idle (GstGemmaCea608Encoder *self)
{
  return !gst_gemma_cea608_encoder_has_text (self) && !GST_CLOCK_TIME_IS_VALID (get_erase_time (self));
}

void
gst_gemma_cea608_encoder_set_time (GstGemmaCea608Encoder *self, GstClockTime now)
{
  g_return_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self));

  g_array_set_size (self->codes, 0);
  self->next = 0;
  self->text_end = self->sent_end = now;
  self->row_ends = TRUE;
}

void
gst_gemma_cea608_encoder_reset (GstGemmaCea608Encoder *self)
{
  gst_gemma_cea608_encoder_set_time (self, 0);
  g_clear_pointer (&self->prefix, g_free);
  if (self->shown)
    enqueue_erase (self, 0);
}

/* ---- object ---------------------------------------------------------------------------------------- */

void
gst_gemma_cea608_encoder_set_layout (GstGemmaCea608Encoder *self, guint rows, guint base_row, guint column)
{
  g_return_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self));
  g_return_if_fail (rows >= 2 && rows <= 4 && base_row >= rows && base_row <= 15 && column < GST_GEMMA_CEA608_COLUMNS);

  if (rows != self->rows || base_row != self->base_row || column != self->left)
    self->row_ends = TRUE;
  self->rows = rows;
  self->base_row = base_row;
  self->left = column;
}

void
gst_gemma_cea608_encoder_set_timing (GstGemmaCea608Encoder *self, GstClockTime interval, GstClockTime erase_after,
    GstClockTime row_pause)
{
  g_return_if_fail (GST_IS_GEMMA_CEA608_ENCODER (self));
  g_return_if_fail (interval > 0 && interval <= GST_SECOND);

  self->interval = interval;
  self->erase_after = erase_after;
  self->row_pause = MIN (row_pause, G_MAXINT64);
}

static void
gst_gemma_cea608_encoder_finalize (GObject *object)
{
  GstGemmaCea608Encoder *self = GST_GEMMA_CEA608_ENCODER (object);

  g_array_unref (self->codes);
  g_free (self->prefix);
  G_OBJECT_CLASS (gst_gemma_cea608_encoder_parent_class)->finalize (object);
}

static void
gst_gemma_cea608_encoder_class_init (GstGemmaCea608EncoderClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = gst_gemma_cea608_encoder_finalize;
}

static void
gst_gemma_cea608_encoder_init (GstGemmaCea608Encoder *self)
{
  self->rows = 2;
  self->base_row = 15;
  self->interval = gst_util_uint64_scale (1001, GST_SECOND, 30000);
  self->erase_after = 5 * GST_SECOND;
  self->row_pause = 500 * GST_MSECOND;
  self->codes = g_array_new (FALSE, FALSE, sizeof (Code));
}

GstGemmaCea608Encoder *
gst_gemma_cea608_encoder_new (void)
{
  return g_object_new (GST_TYPE_GEMMA_CEA608_ENCODER, NULL);
}
