/* References in plain C: what the operations of ops.h compute, on host memory.
 *
 * They are the specification that every other variant is checked against: written to
 * be read, with double accumulators, never tuned. Arguments mean what they do in
 * ops.h; a RefTensor is the host side of an OclTensor.
 */
#pragma once

#include "opencl/ops.h"
#include "opencl/picture.h"

G_BEGIN_DECLS

#define OCL_PICTURE_BITS 22     /* of a weight of the picture scaler, as PIL has them */

/** float32 [rows][cols], row r at data + r * stride; .data NULL for an absent operand. */
typedef struct
{
  gfloat *data;
  gssize stride;
  gint rows, cols;
} RefTensor;

static inline gfloat *
ref_row (RefTensor t, gint row)
{
  return t.data + (gssize) row * t.stride;
}

static inline RefTensor
ref_cols (RefTensor t, gint first, gint n)
{
  return (RefTensor) { t.data + first, t.stride, t.rows, n };
}

/* norm.c */
gdouble ref_mean_square (const gfloat *x, gint n);
typedef struct
{
  RefTensor weight, add0, add1, y2, weight2;
  gfloat eps, norm_scale, out_scale;
  gboolean gelu;
} RefRmsNorm;
void ref_rms_norm (RefTensor y, RefTensor x, const RefRmsNorm *p);
/** x += add + add_bias first where add has data. */
void ref_layer_norm (RefTensor y, RefTensor x, RefTensor weight, RefTensor bias, RefTensor add, RefTensor add_bias,
    gfloat eps);
void ref_match_magnitude (RefTensor x, RefTensor ref, gfloat floor);
void ref_cumulative_norm (RefTensor x, RefTensor weight, RefTensor state, gfloat eps);

/* elementwise.c */
gdouble ref_sigmoid (gdouble x);
gdouble ref_gelu_tanh (gdouble x);
void ref_add (RefTensor y, RefTensor a, RefTensor b);
void ref_copy (RefTensor y, RefTensor x);
void ref_fill (RefTensor y, gfloat value);
void ref_silu (RefTensor y, RefTensor x);
/* y = a * sigmoid (b) */
void ref_glu (RefTensor y, RefTensor a, RefTensor b);
void ref_gelu_mul (RefTensor y, RefTensor a, RefTensor b);
void ref_gated_gelu (RefTensor y, RefTensor gate, RefTensor up, gfloat sparsity);
void ref_softcap (RefTensor x, gfloat cap);
void ref_scale_cols (RefTensor y, RefTensor x, RefTensor weight);
void ref_bias (RefTensor y, RefTensor x, RefTensor bias, gboolean gelu);

/* attention.c */
gfloat ref_rope_inv_freq (gint i, gint head_dim, gfloat base, gfloat factor);
void ref_rope_table (RefTensor table, gint position0, gfloat base, gfloat factor);
/* @k_cache and @v_cache: the whole ring, .data NULL where @qkv has only the queries. */
void ref_qkv_norm_rope (RefTensor qkv, RefTensor k_cache, RefTensor v_cache, RefTensor q_weight,
    RefTensor k_weight, RefTensor rope, const OclQkv *p);
/* @k_memory and @v_memory: no rows where there is none. */
void ref_attention (RefTensor o, RefTensor queries, RefTensor k_cache, RefTensor v_cache, RefTensor k_memory,
    RefTensor v_memory, const OclAttention *p);

/* @k: the head's columns of the whole ring */
void ref_attention_weights (RefTensor weights, RefTensor queries, RefTensor k, const OclAttentionWeights *p);

/* kv-pack.c */
void ref_kv_pack (RefTensor y, RefTensor x, gint head_dim, gint first, gint n);
void ref_kv_unpack (RefTensor y, RefTensor x, gint head_dim, gint first, gint n);

/* altup.c */
typedef struct
{
  RefTensor router_norm, router;
  RefTensor mix;                /* predict or correct */
  RefTensor out, out_weight;    /* normed and norm_weight, or scaled and scale_weight */
  gint n_streams;
  gfloat eps;
} RefAltup;
void ref_altup_predict (RefTensor y, RefTensor h, const RefAltup *p);
void ref_altup_correct (RefTensor h, RefTensor pred, RefTensor active, const RefAltup *p);
void ref_altup_add (RefTensor h, RefTensor x, RefTensor weight, gfloat eps, gint n_streams);
void ref_mean_streams (RefTensor y, RefTensor h, gint n_streams);

/* conv.c */
void ref_im2col (RefTensor y, RefTensor x, const OclIm2col *p);
void ref_depthwise_causal (RefTensor y, RefTensor x, RefTensor weight);

/* conv2d.c; @w [N][k * k * C] */
void ref_conv2d (RefTensor y, RefTensor x, RefTensor w, RefTensor bias, const OclConv2d *p);
void ref_depthwise2d (RefTensor y, RefTensor x, RefTensor weight, const OclConv2d *p);

/* resize2d.c */
void ref_resize2d (RefTensor y, RefTensor x, const OclResize2d *p);

/* multi-query.c */
void ref_multi_query_attention (RefTensor o, RefTensor queries, RefTensor k, RefTensor v, gint n_heads, gfloat scale);

/* picture.c */
typedef struct
{
  gint n_in, n_out, ksize;
  const gint32 *bounds;         /* [n_out][2]: first input, number of inputs */
  const gint32 *weights;        /* [n_out][ksize], in units of 2^-OCL_PICTURE_BITS */
} RefPictureAxis;
/* @y: [rows][n_out] of 4 bytes (the fourth is not used); @yuv_to_rgb in units of 2^-16 */
void ref_picture_rows (guint8 *y, const OclPicture *picture, gint first, gint rows, const gint32 *yuv_to_rgb,
    const RefPictureAxis *axis);
/* @y: [n_out * width][3], @x: [n_in][width] of 4 bytes */
void ref_picture_columns (RefTensor y, const guint8 *x, gint width, const RefPictureAxis *axis);

/* usm-attention.c */
void ref_local_attention (RefTensor o, RefTensor queries, RefTensor k, RefTensor v, RefTensor rel,
    RefTensor q_scale, const OclLocalAttention *p);

G_END_DECLS
