/* Operations on tensors. Every one is a table of variants: a plain-C reference
 * (opencl/ref/), a portable OpenCL C 1.2 path, and paths for particular devices.
 * The first variant whose device bits and shape match runs; see variant.h.
 *
 * All of them enqueue on @q and return at once; a failure stays in the queue.
 * Tensors are float32; shapes are written [rows][cols]; any operand may be a
 * strided view. Unless a line says "in place", outputs must not overlap inputs.
 * RMS(x, eps) = x * rsqrt (mean (x^2) + eps) over a row.
 */
#pragma once

#include "tensor.h"

G_BEGIN_DECLS

/* ---- matrix product (matmul.c) ------------------------------------------------ */

typedef enum
{
  OCL_MATMUL_F32_ACTIVATIONS = 0,       /* float32 x dequantized weights, or 24-bit integers by blocks of 32 values */
  OCL_MATMUL_INT16 = 1 << 1,            /* allow activations and weights of up to 16 bits (a scale each 256 values) */
  OCL_MATMUL_INT8_ACTIVATIONS = 1 << 0  /* allow 8-bit activations (a scale each 32 values) on quantized weights, on others
                                         * the above */
} OclMatmulFlags;

/** @name: (nullable): "f32", also for NULL, "int16" or "int8", as users write it; anything else is an error. */
gboolean ocl_matmul_flags_parse (const gchar *name, OclMatmulFlags *flags, GError **error);

/** y [M][N] = x [M][K] * w^T, w [N][K]. Any M >= 1; M = 1 is the GEMV of decoding. */
void ocl_matmul (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclMatmulFlags flags);

/**
 * y [M][N] = gelu (max (0, gate - cutoff)) * (x [M][K] * w^T), w [N][K], gate [M][N]; cutoff and gelu of ocl_gated_gelu().
 * If w is in OCL_LAYOUT_ROWS, CPUs compute no other products than the gate lets through (of more than one row only where K
 * is a multiple of 512), and read no other rows of w.
 */
void ocl_gated_matmul (OclQueue *q, OclTensor y, OclTensor gate, OclTensor x, const OclWeight *w, gfloat sparsity,
    OclMatmulFlags flags);
/** Whether they do so here, for such a weight and so many rows of x. */
gboolean ocl_gated_matmul_is_sparse (OclQueue *q, const OclWeight *w, gint rows);

/**
 * ocl_matmul() where most of x is 0, as behind such a gate. If w is in OCL_LAYOUT_COLUMNS, CPUs multiply only what is not 0;
 * of few rows of x, they read only the groups of 8 columns of w (4 of Q8_0) in which one is not all 0; many rows are not
 * rounded, whatever @flags allow.
 */
void ocl_sparse_matmul (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclMatmulFlags flags);

/* ---- norms and elementwise (norm.c, elementwise.c) ----------------------------- */

/**
 * ocl_rms_norm: y = out_scale * (add0 + add1 + norm_scale * RMS (x, eps) * weight)
 *
 * @weight: [1][cols] or .mem NULL for no weight; @add0, @add1: [rows][cols] or
 * .mem NULL for none. With @gelu, gelu_tanh of all that. y may be x, add0 or add1. If @y2 has memory, then the norm
 * that follows is made too: y2 = RMS (y, eps) * weight2 (y2 may be x, add0 or add1, not y; weight2 may be absent).
 */
typedef struct
{
  OclTensor weight, add0, add1;
  OclTensor y2, weight2;
  gfloat eps, norm_scale, out_scale;    /* use OCL_RMS_NORM_INIT for 1, 1 */
  gboolean gelu;
} OclRmsNorm;
#define OCL_RMS_NORM_INIT(w, e) { .weight = (w), .eps = (e), .norm_scale = 1.f, .out_scale = 1.f }
void ocl_rms_norm (OclQueue *q, OclTensor y, OclTensor x, const OclRmsNorm *p);

/**
 * ocl_layer_norm: y = (x - mean (x)) * rsqrt (mean ((x - mean (x))^2) + eps) * weight + bias, over rows
 *
 * @weight, @bias: [1][cols]. If @add has memory, x += add + add_bias comes first, and stays in x; @add [rows][cols],
 * @add_bias [1][cols] or .mem NULL for none. y may be add, not x.
 */
typedef struct
{
  OclTensor weight, bias;
  gfloat eps;
  OclTensor add, add_bias;
} OclLayerNorm;
void ocl_layer_norm (OclQueue *q, OclTensor y, OclTensor x, const OclLayerNorm *p);

/** y = a + b; in place allowed. */
void ocl_add (OclQueue *q, OclTensor y, OclTensor a, OclTensor b);
/** y [M][C] = x + bias ([1][C]); in place allowed. */
void ocl_bias (OclQueue *q, OclTensor y, OclTensor x, OclTensor bias);
/** y [M][C] = gelu_tanh (x + bias); in place allowed. */
void ocl_bias_gelu (OclQueue *q, OclTensor y, OclTensor x, OclTensor bias);
/** y = x (any strides). */
void ocl_copy (OclQueue *q, OclTensor y, OclTensor x);
/** Every element of y becomes @value. */
void ocl_fill (OclQueue *q, OclTensor y, gfloat value);
/** y [M][F] = x * sigmoid (x); in place allowed. */
void ocl_silu (OclQueue *q, OclTensor y, OclTensor x);
/** y [M][C] = x[:, :C] * sigmoid (x[:, C:]), x [M][2C]. */
void ocl_glu (OclQueue *q, OclTensor y, OclTensor x);
/** y [M][C] = gelu_tanh (a) * b; y may be a. */
void ocl_gelu_mul (OclQueue *q, OclTensor y, OclTensor a, OclTensor b);
/**
 * Gemma's gated FFN activation, all [M][F]; y may be up.
 * y = gelu_tanh (g) * up, where for @sparsity = 0 g = gate, otherwise
 * g = max (0, gate - (mean (gate) + sparsity * std (gate))) with the row's
 * population standard deviation. @sparsity is Phi^-1 of the fraction (1.6448536 for 0.95).
 */
void ocl_gated_gelu (OclQueue *q, OclTensor y, OclTensor gate, OclTensor up, gfloat sparsity);
/** x = cap * tanh (x / cap), in place. */
void ocl_softcap (OclQueue *q, OclTensor x, gfloat cap);

/* ---- attention (attention.c) ---------------------------------------------------- */

/**
 * table [M][head_dim]: cos (p * inv_freq[i]) for i < head_dim/2, then sin likewise,
 * p = position0 + row, inv_freq[i] = base^(-2i/head_dim) / factor; the product is taken in float32.
 * @factor > 0: 1, or what a model with "linear" rope scaling stretches its context by.
 */
void ocl_rope_table (OclQueue *q, OclTensor table, gint position0, gfloat base, gfloat factor);

/**
 * The cache of one layer: row (position % capacity) holds the keys (values) of all
 * KV heads at that position. A ring where capacity < context.
 */
typedef struct
{
  OclTensor k, v;               /* [capacity][ocl_kv_cols()] */
  gint capacity;
  gboolean packed;              /* each head is a scale and a signed byte for each number, its greatest is 127; head_dim % 4 == 0 */
} OclKvCache;

/** How many floats wide a row of a cache is. */
static inline gint
ocl_kv_cols (gint n_kv_heads, gint head_dim, gboolean packed)
{
  return n_kv_heads * (packed ? 1 + head_dim / 4 : head_dim);
}

/** Rows of positions @first .. @first + n - 1, in rings on both sides: position p is row p % rows. */
void ocl_kv_pack (OclQueue *q, OclTensor packed, OclTensor rows, gint head_dim, gint first, gint n);
void ocl_kv_unpack (OclQueue *q, OclTensor rows, OclTensor packed, gint head_dim, gint first, gint n);

/**
 * For each row m (position0 + m): q heads = rope (RMS (q) * q_weight), in place in
 * @qkv [M][(heads + 2 * kv_heads) * head_dim] (queries, keys, values); keys =
 * rope (RMS (k) * k_weight) and values = RMS (v), or v with @raw_values, are stored into @cache.
 * With @cache NULL, @qkv has only the queries ([M][heads * head_dim]); with n_heads 0, only keys and values. The cache
 * may be the columns of @qkv themselves. Rotate-half rope.
 */
typedef struct
{
  gint n_heads, n_kv_heads, head_dim;
  gint position0;
  gfloat eps;
  OclTensor q_weight, k_weight; /* [1][head_dim] */
  OclTensor rope;               /* [M][head_dim] of ocl_rope_table(), or .mem NULL: nothing is rotated */
  gboolean raw_values;
} OclQkv;
void ocl_qkv_norm_rope (OclQueue *q, OclTensor qkv, const OclKvCache *cache, const OclQkv *p);

/**
 * o [M][heads * head_dim] = softmax (scale * q k^T) v: the query at position i = position0 + row sees
 * keys j with max (0, i - window + 1) <= j <= i (window 0: all), those up to i + ahead as far as there are so many,
 * and all of the memory, which has no positions. Query head h reads KV head h / (heads / kv_heads).
 * cache->capacity >= what of it is visible to all M rows together. Tiled: no [M][context] matrix is stored.
 */
typedef struct
{
  gint n_heads, n_kv_heads, head_dim;
  gint position0, window;
  gfloat scale;
  gint ahead, n_keys;           /* 0: causal; else n_keys >= position0 + M are in the cache */
  OclKvCache memory;            /* all rows of it; .k.mem NULL for none */
  OclMatmulFlags flags;         /* allow both products of many rows in integers of 16 bits */
} OclAttention;
void ocl_attention (OclQueue *q, OclTensor o, OclTensor queries, const OclKvCache *cache, const OclAttention *p);

/**
 * Where one head looks: weights [M][n] are its softmax (scale * q k^T) at positions first .. first + n - 1 of the cache, 0
 * at later ones than the row's own. Each of @queries [M][head_dim], at position0 + row, sees all positions up to its own, and
 * their weights have the sum 1.
 */
typedef struct
{
  gint kv_head, n_kv_heads, head_dim;
  gint position0, first;
  gfloat scale;
} OclAttentionWeights;
void ocl_attention_weights (OclQueue *q, OclTensor weights, OclTensor queries, const OclKvCache *cache,
    const OclAttentionWeights *p);

/* ---- AltUp (altup.c): S streams (S <= 8), stream s of a token is row s * M + m of [S * M][C] ---- */

/**
 * m [S] = tanh (router (RMS (h[0], eps) * router_norm / C)), P [S][S] = predict m,
 * P[y][x] = (predict m)[S * y + x];  y[s] = h[s] + sum_x P[s][x] h[x].
 * router [S][C], predict [S * S][S], router_norm [1][C].
 * If @normed has memory: normed [M][C] = RMS (y[0], eps) * norm_weight ([1][C]).
 */
typedef struct
{
  gint n_streams;
  gfloat eps;
  OclTensor router_norm, router, predict, correct;      /* correct [S][S] */
  OclTensor normed, norm_weight;        /* of the prediction; .mem NULL for none */
  OclTensor scaled, scale_weight;       /* of the correction; .mem NULL for none */
} OclAltup;
void ocl_altup_predict (OclQueue *q, OclTensor y, OclTensor h, const OclAltup *p);
/**
 * m as above from @active [M][C], c = correct m + 1; h[s] = pred[s] + c[s] * (active - pred[0]);
 * h [S * M][C] may be pred. If @scaled has memory: scaled [M][C] = h[0] * scale_weight ([1][C]).
 */
void ocl_altup_correct (OclQueue *q, OclTensor h, OclTensor pred, OclTensor active, const OclAltup *p);
/** h[s] += RMS (x, eps) * weight for s = 1 .. S - 1; h [S * M][C], x [M][C], weight [1][C]. */
void ocl_altup_add (OclQueue *q, OclTensor h, OclTensor x, OclTensor weight, gfloat eps, gint n_streams);
/** x [M][C] *= rms (ref) / sqrt (max (mean (x^2), floor)) row by row, rms (r) = sqrt (mean (r^2)); in place. */
void ocl_match_magnitude (OclQueue *q, OclTensor x, OclTensor ref, gfloat floor);
/** y [M][C] = mean over s of h [S * M][C]. */
void ocl_mean_streams (OclQueue *q, OclTensor y, OclTensor h, gint n_streams);
/** y [M][C] = x * weight ([1][C]). */
void ocl_scale_cols (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight);

/* ---- convolution and USM (conv.c, usm-attention.c) ------------------------------- */

/**
 * Patches for a k x k convolution as a matmul: x [H][W * C] (channel fastest) becomes
 * y [OH * OW][k * k * C], column (dy * k + dx) * C + c, zero outside. Output (oy, ox)
 * reads rows oy * stride - pad_top + dy and columns ox * stride - pad_left + dx.
 */
typedef struct
{
  gint height, width, channels, kernel, stride, pad_top, pad_left, out_height, out_width;
} OclIm2col;
void ocl_im2col (OclQueue *q, OclTensor y, OclTensor x, const OclIm2col *p);

/**
 * Cumulative group norm of USM (one group), streaming, then ReLU. x [T][n * channels] (channel
 * fastest), in place: for each row t, count += n * channels; sum += sum (x_t); mean = sum / count;
 * sq += sum ((x_t - mean)^2); x = max (0, (x - mean) * rsqrt (sq / count + eps) * weight[channel]).
 * @state [1][8] carries count, sum and sq as pairs of floats (high, low) with the precision of about
 * 48 bits; fill it with 0 for a new clip. The rounding must not depend on how rows are split into calls.
 */
void ocl_cumulative_norm (OclQueue *q, OclTensor x, OclTensor weight, OclTensor state, gfloat eps);

/**
 * Causal depthwise convolution over time: y [T][C], x [T + k - 1][C] (the first k - 1 rows are
 * history), weight [k][C]: y[t][c] = sum_i weight[i][c] * x[t + i][c].
 */
void ocl_depthwise_causal (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight);

/**
 * USM's local attention. q [T][heads * d]; k, v [left + T][heads * d] whose first @left rows are
 * history (the last @n_history of them valid); rel [left + 1][heads * d], row r for distance r.
 * Per head: qs = q * q_scale[dim] ([1][d], softplus and constants folded in by the caller);
 * logit (i, j) = cap * tanh ((qs_i . k_j + qs_i . rel_(i - j)) / cap) for 0 <= i - j <= left;
 * o [T][heads * d] = softmax over the valid j, times v.
 */
typedef struct
{
  gint n_heads, head_dim, left, n_history;
  gfloat cap;
  OclTensor q_scale;
} OclLocalAttention;
void ocl_local_attention (OclQueue *q, OclTensor o, OclTensor queries, OclTensor k, OclTensor v, OclTensor rel,
    const OclLocalAttention *p);

/* ---- pictures (conv2d.c, resize2d.c, multi-query.c): [height * width][channels], pixels row by row -------------- */

/**
 * A k x k convolution: output pixel (oy, ox) sees input rows oy * stride - pad_top + dy and columns
 * ox * stride - pad_left + dx, 0 <= dy, dx < kernel; what is outside counts as 0.
 */
typedef struct
{
  gint height, width, kernel, stride, pad_top, pad_left, out_height, out_width;
} OclConv2d;

/**
 * Dense: y [out_height * out_width][N] = convolution of x [height * width][C], whose rows are contiguous, with
 * w [N][k * k * C] of F32 or Q8_0, column (dy * k + dx) * C + c, plus @bias ([1][N] or .mem NULL). 8-bit activations
 * are for Q8_0 and C a multiple of 32.
 */
void ocl_conv2d (OclQueue *q, OclTensor y, OclTensor x, const OclWeight *w, OclTensor bias, const OclConv2d *p,
    OclMatmulFlags flags);

/** Depthwise: y [out_height * out_width][C], x [height * width][C], weight [k * k][C], row dy * k + dx. */
void ocl_depthwise2d (OclQueue *q, OclTensor y, OclTensor x, OclTensor weight, const OclConv2d *p);

/**
 * y [out_height * out_width][C] from x [height * width][C].
 * NEAREST: y (oy, ox) = x (floor (oy * height / out_height), floor (ox * width / out_width)).
 * AVERAGE: the mean of a cell of (height / out_height) x (width / out_width) pixels, which must divide evenly.
 * BILINEAR: at ((oy + 0.5) * height / out_height - 0.5, ...) clamped to the picture, between the four around it.
 */
typedef enum { OCL_RESIZE_NEAREST, OCL_RESIZE_AVERAGE, OCL_RESIZE_BILINEAR } OclResizeMode;
typedef struct
{
  OclResizeMode mode;
  gint height, width, out_height, out_width;
} OclResize2d;
void ocl_resize2d (OclQueue *q, OclTensor y, OclTensor x, const OclResize2d *p);

/**
 * Every query sees every key; all heads share keys and values. queries [M][heads * d], k [T][d], v [T][e]:
 * o [M][heads * e], head by head = softmax (scale * q k^T) v. No [M][T] matrix is stored. @flags allow both products in
 * integers of 16 bits.
 */
void ocl_multi_query_attention (OclQueue *q, OclTensor o, OclTensor queries, OclTensor k, OclTensor v, gint n_heads,
    gfloat scale, OclMatmulFlags flags);

G_END_DECLS
