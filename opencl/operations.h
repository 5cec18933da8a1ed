/* The operations' tables, for the list of ocl_operations(). */
#pragma once

#include "variant.h"

G_BEGIN_DECLS

/* norm.c */
extern const OclOperation ocl_rms_norm_operation;
extern const OclOperation ocl_match_magnitude_operation;
extern const OclOperation ocl_cumulative_norm_operation;

/* elementwise.c */
extern const OclOperation ocl_add_operation;
extern const OclOperation ocl_copy_operation;
extern const OclOperation ocl_fill_operation;
extern const OclOperation ocl_silu_operation;
extern const OclOperation ocl_glu_operation;
extern const OclOperation ocl_gelu_mul_operation;
extern const OclOperation ocl_gated_gelu_operation;
extern const OclOperation ocl_softcap_operation;
extern const OclOperation ocl_scale_cols_operation;

/* attention.c */
extern const OclOperation ocl_rope_table_operation;
extern const OclOperation ocl_qkv_norm_rope_operation;
extern const OclOperation ocl_attention_operation;

/* altup.c */
extern const OclOperation ocl_altup_predict_operation;
extern const OclOperation ocl_altup_correct_operation;
extern const OclOperation ocl_mean_streams_operation;

/* conv.c */
extern const OclOperation ocl_im2col_operation;
extern const OclOperation ocl_depthwise_causal_operation;

/* usm-attention.c */
extern const OclOperation ocl_local_attention_operation;

G_END_DECLS
