/* Gemma 3n's audio encoder: 10 ms mel rows -> two stride-2 convolutions -> 40 ms frames -> conformer blocks -> every
 * 4th frame -> soft tokens of 160 ms.
 *
 * It looks ahead only in the convolutions: frame u needs mel rows up to 4u + 6. All else is state of the past, held on
 * the device. Frames run in batches that end with a frame that becomes a token: the frames between two tokens wait for
 * the second, which delays nothing and reads the weights once instead of four times.
 */
#include "usm-private.h"

#include "mel.h"
#include "opencl/ops.h"

#include <string.h>

#define BATCH 256                        /* frames that run at once: more read the weights less often, and take memory */
#define AHEAD 7                           /* mel rows that a frame needs from its first on */
#define PIECE (BATCH * 4 * GEMMA_MEL_HOP) /* samples that are taken at once */

/* H, C0, C1, W0, W1 as in usm-private.h; n <= BATCH frames. */

/* Rows that every block has of the past: @history of them before row @at. New ones are appended; at the end of the
 * space the history moves to the front, so that most batches copy nothing. */
typedef struct
{
  OclTensor rows; /* [n_layers * capacity][cols] */
  gint history, capacity, at;
} Past;

struct _GemmaUsmStream
{
  GemmaUsm *usm;
  OclQueue *queue;
  GemmaObserver observer;
  gpointer observer_data;

  /* State of the clip. */
  GemmaMel *mel;
  GArray *mel_rows;          /* [..][n_mels] that are not used up, */
  gint64 first_mel, end_mel; /* these */
  gint64 next;               /* frame of the next batch's start */
  OclTensor norm_state[2];   /* [1][8] */
  Past qkv;                  /* of 3H: queries (not needed later), keys, values */
  Past glu;                  /* of H */

  /* Scratch. */
  OclTensor input;          /* [4 BATCH + 3][n_mels] */
  OclTensor patches[2];     /* [(2 BATCH + 1) W0][9], [BATCH W1][9 C0] */
  OclTensor conv[2];        /* [2 BATCH + 1][W0 C0], row 0 kept from the batch before; [BATCH][W1 C1] */
  OclTensor x, normed, mix; /* [BATCH][H] */
  OclTensor gates, wide;    /* [BATCH][2H], [BATCH][4H] */
  OclTensor soft;           /* [BATCH][text_hidden] */
};

static void
observe (GemmaUsmStream *s, const gchar *name, OclTensor t)
{
  g_autofree gfloat *data = NULL;

  if (s->observer == NULL)
    return;
  data = g_new (gfloat, (gsize) t.rows * t.cols);
  if (ocl_tensor_read (s->queue, t, data))
    s->observer (name, t.rows, t.cols, data, s->observer_data);
}

/* Activations of 8 bits would cost the soft tokens too much; feed_forward() takes them. */
static void
product (GemmaUsmStream *s, OclTensor y, OclTensor x, const OclWeight *w)
{
  ocl_matmul (s->queue, y, x, w, s->usm->flags == OCL_MATMUL_F32_ACTIVATIONS ? s->usm->flags : OCL_MATMUL_INT16);
}

/* ---- the past ------------------------------------------------------------------- */

static gboolean
past_init (GemmaUsmStream *s, Past *past, gint history, gint cols, GError **error)
{
  past->history = history;
  past->capacity = 2 * history + BATCH; /* then a move to the front never overlaps */
  past->rows = ocl_tensor_new (s->usm->device, s->usm->config.n_layers * past->capacity, cols, error);
  return past->rows.mem != NULL;
}

/* Block @i's history and the @n rows after it. */
static OclTensor
past_window (const Past *past, gint i, gint n)
{
  return ocl_tensor_rows (past->rows, i * past->capacity + past->at - past->history, past->history + n);
}

static void
past_reset (GemmaUsmStream *s, Past *past)
{
  past->at = past->history;
  for (gint i = 0; past->history > 0 && i < s->usm->config.n_layers; i++)
    ocl_fill (s->queue, past_window (past, i, 0), 0.f);
}

static void
past_make_room (GemmaUsmStream *s, Past *past, gint n)
{
  if (past->at + n <= past->capacity)
    return;
  for (gint i = 0; past->history > 0 && i < s->usm->config.n_layers; i++)
    ocl_copy (s->queue, ocl_tensor_rows (past->rows, i * past->capacity, past->history), past_window (past, i, 0));
  past->at = past->history;
}

/* ---- subsampling ---------------------------------------------------------------- */

/* y = ReLU (norm (conv (x))), y [n][out_width * out_channels]; rows past the end of x count as 0. */
static void
convolve (GemmaUsmStream *s, gint which, OclTensor y, OclTensor x)
{
  const GemmaUsmConv *c = &s->usm->conv[which];
  OclIm2col p = { .height = x.rows,
    .width = c->width,
    .channels = c->channels,
    .kernel = 3,
    .stride = 2,
    .pad_left = 1,
    .out_height = y.rows,
    .out_width = c->out_width };
  gint pixels = y.rows * c->out_width;
  OclTensor patches = ocl_tensor_rows (s->patches[which], 0, pixels);

  ocl_im2col (s->queue, patches, x, &p);
  product (s, ocl_tensor_reshape (y, pixels, c->out_channels), patches, c->weight);
  ocl_cumulative_norm (s->queue, y, c->norm, s->norm_state[which], s->usm->config.conv_norm_eps);
}

/* x [n][H] of the next @n frames. A clip's end has fewer mel rows than they ask for. */
static void
subsample (GemmaUsmStream *s, OclTensor x)
{
  const GemmaAudioConfig *c = &s->usm->config;
  gint n = x.rows, kept = s->next > 0 ? 1 : 0;
  gint64 first = 2 * s->next + kept; /* row of the first convolution, counted in the clip */
  gint64 end = MIN (2 * (s->next + n) + 1, (s->end_mel + 1) / 2);
  gint rows = MAX (0, end - first);
  OclTensor middle = ocl_tensor_rows (s->conv[0], 0, kept + rows), last = ocl_tensor_rows (s->conv[1], 0, n);

  if (rows > 0) {
    OclTensor mel = ocl_tensor_rows (s->input, 0, MIN (2 * rows + 1, s->end_mel - s->first_mel));

    g_assert (s->first_mel == 2 * first);
    ocl_tensor_write (s->queue, mel, (const gfloat *) s->mel_rows->data);
    observe (s, "mel", mel);
    convolve (s, 0, ocl_tensor_rows (middle, kept, rows), mel);
    g_array_remove_range (s->mel_rows, 0, MIN (2 * rows, mel.rows) * c->n_mels);
    s->first_mel += MIN (2 * rows, mel.rows);
  }
  convolve (s, 1, last, middle);
  if (rows > 0)
    ocl_copy (s->queue, ocl_tensor_rows (s->conv[0], 0, 1), ocl_tensor_rows (middle, kept + rows - 1, 1));
  product (s, x, last, s->usm->input);
  observe (s, "sscp", x);
}

/* ---- conformer ------------------------------------------------------------------ */

static void
rms_norm (GemmaUsmStream *s, OclTensor y, OclTensor x, OclTensor weight)
{
  OclRmsNorm p = OCL_RMS_NORM_INIT (weight, s->usm->config.rms_eps);

  ocl_rms_norm (s->queue, y, x, &p);
}

/* x += scale * RMS (y) * weight */
static void
add_normed (GemmaUsmStream *s, OclTensor x, OclTensor y, OclTensor weight, gfloat scale)
{
  OclRmsNorm p = OCL_RMS_NORM_INIT (weight, s->usm->config.rms_eps);

  p.add0 = x;
  p.norm_scale = scale;
  ocl_rms_norm (s->queue, x, y, &p);
}

static void
feed_forward (GemmaUsmStream *s, const GemmaUsmFeedForward *f, OclTensor x)
{
  OclTensor normed = ocl_tensor_rows (s->normed, 0, x.rows), wide = ocl_tensor_rows (s->wide, 0, x.rows);
  OclTensor mix = ocl_tensor_rows (s->mix, 0, x.rows);

  rms_norm (s, normed, x, f->pre_norm);
  ocl_matmul (s->queue, wide, normed, f->up, s->usm->flags);
  ocl_silu (s->queue, wide, wide);
  ocl_matmul (s->queue, mix, wide, f->down, s->usm->flags);
  add_normed (s, x, mix, f->post_norm, s->usm->config.residual_weight);
}

/* x += RMS (out (attention (RMS (x)))) */
static void
attend (GemmaUsmStream *s, gint i, OclTensor x)
{
  const GemmaAudioConfig *c = &s->usm->config;
  const GemmaUsmBlock *b = &s->usm->blocks[i];
  gint hidden = c->hidden, n = x.rows;
  OclTensor normed = ocl_tensor_rows (s->normed, 0, n), mix = ocl_tensor_rows (s->mix, 0, n);
  OclTensor window = past_window (&s->qkv, i, n), qkv = ocl_tensor_rows (window, c->left, n);
  OclLocalAttention p = { .n_heads = c->n_heads,
    .head_dim = hidden / c->n_heads,
    .left = c->left,
    .n_history = MIN (s->next, c->left),
    .cap = c->softcap,
    .q_scale = b->attention.q_scale };

  rms_norm (s, normed, x, b->attention.pre_norm);
  product (s, qkv, normed, b->attention.qkv);
  ocl_local_attention (s->queue, mix, ocl_tensor_cols (qkv, 0, hidden), ocl_tensor_cols (window, hidden, hidden),
      ocl_tensor_cols (window, 2 * hidden, hidden), b->attention.relative, &p);
  product (s, normed, mix, b->attention.out);
  add_normed (s, x, normed, b->attention.post_norm, 1.f);
}

/* Rows @skip, @skip + @step, ... of x. */
static OclTensor
every (OclTensor x, gint skip, gint step)
{
  return ocl_tensor_every (ocl_tensor_rows (x, skip, x.rows - skip), step);
}

/* x += end (silu (RMS (depthwise (glu (start (RMS (x))))))), for the rows @skip, @skip + @step, ... */
static void
light_conv (GemmaUsmStream *s, gint i, OclTensor x, gint skip, gint step)
{
  const GemmaUsmBlock *b = &s->usm->blocks[i];
  gint n = x.rows;
  OclTensor normed = ocl_tensor_rows (s->normed, 0, n), gates = ocl_tensor_rows (s->gates, 0, n);
  OclTensor mix = ocl_tensor_rows (s->mix, 0, n), window = past_window (&s->glu, i, n);

  rms_norm (s, normed, x, b->conv.pre_norm);
  product (s, gates, normed, b->conv.start);
  ocl_glu (s->queue, ocl_tensor_rows (window, s->glu.history, n), gates);
  ocl_depthwise_causal (s->queue, mix, window, b->conv.depthwise);

  x = every (x, skip, step);
  mix = every (mix, skip, step);
  normed = ocl_tensor_rows (s->normed, 0, x.rows);
  rms_norm (s, mix, mix, b->conv.conv_norm);
  ocl_silu (s->queue, mix, mix);
  product (s, normed, mix, b->conv.end);
  ocl_add (s->queue, x, x, normed);
}

/* Block @i on x [n][H], in place. Only the rows @skip, @skip + @step, ... are needed and returned. */
static OclTensor
run_block (GemmaUsmStream *s, gint i, OclTensor x, gint skip, gint step)
{
  const GemmaUsmBlock *b = &s->usm->blocks[i];

  feed_forward (s, &b->start, x);
  attend (s, i, x);
  light_conv (s, i, x, skip, step);
  x = every (x, skip, step);
  feed_forward (s, &b->end, x);
  rms_norm (s, x, x, b->norm);
  return x;
}

/* The next @n frames; the last one becomes a token. */
static gboolean
encode (GemmaUsmStream *s, gint n, GArray *tokens)
{
  const GemmaAudioConfig *c = &s->usm->config;
  gint skip = (c->reduction - s->next % c->reduction) % c->reduction;
  OclTensor x = ocl_tensor_rows (s->x, 0, n), normed, soft;
  guint old = tokens->len;
  gchar name[16];

  past_make_room (s, &s->qkv, n);
  past_make_room (s, &s->glu, n);
  subsample (s, x);
  for (gint i = 0; i < c->n_layers - 1; i++) {
    run_block (s, i, x, 0, 1);
    g_snprintf (name, sizeof name, "block%d", i);
    observe (s, name, x);
  }
  x = run_block (s, c->n_layers - 1, x, skip, c->reduction);
  observe (s, "tower", x);

  normed = ocl_tensor_rows (s->normed, 0, x.rows);
  soft = ocl_tensor_rows (s->soft, 0, x.rows);
  rms_norm (s, normed, x, s->usm->soft_norm);
  product (s, soft, normed, s->usm->projection);
  rms_norm (s, soft, soft, (OclTensor){ 0 });

  s->next += n;
  s->qkv.at += n;
  s->glu.at += n;
  g_array_set_size (tokens, old + soft.rows * soft.cols);
  return ocl_tensor_read (s->queue, soft, &g_array_index (tokens, gfloat, old));
}

/* ---- the stream ----------------------------------------------------------------- */

/* Runs what leads to tokens among frames before @end. */
static gboolean
encode_until (GemmaUsmStream *s, gint64 end, GArray *tokens, GError **error)
{
  gint reduction = s->usm->config.reduction;

  while (end > s->next) {
    gint64 last = MIN (end, s->next + BATCH) - 1;
    guint old = tokens->len;

    last -= last % reduction;
    if (last < s->next)
      break;
    if (!encode (s, last + 1 - s->next, tokens)) {
      g_array_set_size (tokens, old);
      ocl_queue_finish (s->queue, error);
      gemma_usm_stream_reset (s);
      return FALSE;
    }
  }
  return TRUE;
}

static void
count_rows (GemmaUsmStream *s)
{
  s->end_mel = s->first_mel + s->mel_rows->len / s->usm->config.n_mels;
}

gboolean
gemma_usm_stream_push (GemmaUsmStream *s, const gfloat *samples, gsize n, GArray *tokens, GError **error)
{
  while (n > 0) {
    gsize piece = MIN (n, PIECE);

    gemma_mel_push (s->mel, samples, piece, s->mel_rows);
    count_rows (s);
    if (s->end_mel >= AHEAD && !encode_until (s, (s->end_mel - AHEAD) / 4 + 1, tokens, error))
      return FALSE;
    samples += piece;
    n -= piece;
  }
  return TRUE;
}

gboolean
gemma_usm_stream_drain (GemmaUsmStream *s, GArray *tokens, GError **error)
{
  gemma_mel_drain (s->mel, s->mel_rows);
  count_rows (s);
  if (!encode_until (s, (s->end_mel + 3) / 4, tokens, error))
    return FALSE;
  gemma_usm_stream_reset (s);
  return TRUE;
}

void
gemma_usm_stream_reset (GemmaUsmStream *s)
{
  gemma_mel_reset (s->mel);
  g_array_set_size (s->mel_rows, 0);
  s->first_mel = s->end_mel = s->next = 0;
  for (gint i = 0; i < 2; i++)
    ocl_fill (s->queue, s->norm_state[i], 0.f);
  past_reset (s, &s->qkv);
  past_reset (s, &s->glu);
}

static gboolean
allocate (GemmaUsmStream *s, GError **error)
{
  const GemmaAudioConfig *c = &s->usm->config;
  const GemmaUsmConv *conv = s->usm->conv;
  struct
  {
    OclTensor *tensor;
    gint rows, cols;
  } all[] = {
    { &s->norm_state[0], 1, 8 },
    { &s->norm_state[1], 1, 8 },
    { &s->input, 4 * BATCH + 3, c->n_mels },
    { &s->patches[0], (2 * BATCH + 1) * conv[0].out_width, 9 * conv[0].channels },
    { &s->conv[0], 2 * BATCH + 1, conv[0].out_width * conv[0].out_channels },
    { &s->patches[1], BATCH * conv[1].out_width, 9 * conv[1].channels },
    { &s->conv[1], BATCH, conv[1].out_width * conv[1].out_channels },
    { &s->x, BATCH, c->hidden },
    { &s->normed, BATCH, c->hidden },
    { &s->mix, BATCH, c->hidden },
    { &s->gates, BATCH, 2 * c->hidden },
    { &s->wide, BATCH, 4 * c->hidden },
    { &s->soft, BATCH, s->usm->text_hidden },
  };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++) {
    *all[i].tensor = ocl_tensor_new (s->usm->device, all[i].rows, all[i].cols, error);
    if (all[i].tensor->mem == NULL)
      return FALSE;
  }
  return past_init (s, &s->qkv, c->left, 3 * c->hidden, error) &&
      past_init (s, &s->glu, c->conv_kernel - 1, c->hidden, error);
}

GemmaUsmStream *
gemma_usm_stream_new (GemmaUsm *usm, GError **error)
{
  GemmaUsmStream *s;

  if (usm->blocks == NULL) {
    g_set_error (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED, "the audio encoder was loaded for its embedder only");
    return NULL;
  }
  s = g_new0 (GemmaUsmStream, 1);
  s->usm = usm;
  s->mel = gemma_mel_new (usm->config.n_mels);
  s->mel_rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  s->queue = ocl_queue_new (usm->device, error);
  if (s->queue == NULL || !allocate (s, error)) {
    gemma_usm_stream_free (s);
    return NULL;
  }
  gemma_usm_stream_reset (s);
  if (!ocl_queue_finish (s->queue, error)) {
    gemma_usm_stream_free (s);
    return NULL;
  }
  return s;
}

static void
clear_tensors (GemmaUsmStream *s)
{
  OclTensor *all[] = { &s->norm_state[0], &s->norm_state[1], &s->qkv.rows, &s->glu.rows, &s->input, &s->patches[0],
    &s->patches[1], &s->conv[0], &s->conv[1], &s->x, &s->normed, &s->mix, &s->gates, &s->wide, &s->soft };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    ocl_tensor_clear (s->usm->device, all[i]);
}

void
gemma_usm_stream_free (GemmaUsmStream *s)
{
  if (s == NULL)
    return;
  if (s->queue != NULL)
    ocl_queue_free (s->queue);
  clear_tensors (s);
  gemma_mel_free (s->mel);
  g_array_unref (s->mel_rows);
  g_free (s);
}

void
gemma_usm_stream_set_observer (GemmaUsmStream *s, GemmaObserver observer, gpointer user_data)
{
  s->observer = observer;
  s->observer_data = user_data;
}
