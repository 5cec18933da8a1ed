/* What config.c shares with the two sources of a configuration and with its checks. */
#pragma once

#include <float.h>

#include "config.h"
#include "json-util.h"

G_BEGIN_DECLS

/* Sane limits, an order of magnitude over anything published; products of two of them fit a gint64. */
#define GEMMA_MAX_WIDTH 65536
#define GEMMA_MAX_FFN (1 << 20)
#define GEMMA_MAX_HEADS 1024
#define GEMMA_MAX_LAYERS 512
#define GEMMA_MAX_ALTUP 16
#define GEMMA_MAX_CONTEXT (1 << 24)
#define GEMMA_MAX_VOCAB (1 << 24)
#define GEMMA_MAX_ROPE 1e12
#define GEMMA_MAX_SPARSITY 10.0
#define GEMMA_SPARSITY_AT_MEAN FLT_MIN /* half: its scale is 0, which means none */

/* What E2B and E4B have, for keys that a file may lack. */
#define GEMMA_DEFAULT_CONTEXT 32768
#define GEMMA_DEFAULT_WINDOW 512
#define GEMMA_DEFAULT_SPARSE 10 /* the first 10 layers of larger models are sparse */
#define GEMMA_DEFAULT_PATTERN 0.95
#define GEMMA_DEFAULT_VOCAB 262400
#define GEMMA_DEFAULT_TEXT_VOCAB 262144
#define GEMMA_DEFAULT_MM_VOCAB 128

/* What a chat template of Gemma's has, whatever else it does. */
#define GEMMA_TURN "<start_of_turn>"

/** What an architecture has to itself in its files; the rest of a text model is read the same way for all. */
typedef struct
{
  const gchar *name;            /* general.architecture of a GGUF, and the beginning of its keys */
  /* model_type of config.json, with its member that has the text model; model_type of the text model alone, or NULL */
  const gchar *hf_type, *hf_text, *hf_text_prefix, *hf_text_type;
  gboolean hears, sees;         /* as in GemmaConfig */
  const gchar *projector;       /* what an mmproj calls its encoder of pictures */
  gboolean always_turns;        /* no base models are used, and the template is not looked for */
  gboolean never_turns;         /* nor where only base models exist, whatever template they bring */
  gboolean linear_rope;         /* rope_scaling may be "linear" */
  gint period;                  /* every so many layers one has full attention */
  gint ffn;                     /* for a config.json that lacks intermediate_size */
  /* The encoder of an encoder-decoder in config.json; NULL for other architectures. */
  gboolean (*find_hf_encoder) (const GemmaJsonObject *root, GemmaJsonObject *encoder, GError **error);
  /* For what a config.json may lack. */
  void (*set_defaults) (GemmaTextConfig *text);
  /* The rest of the text model: n_layers and what is common are known. */
  gboolean (*read_hf_text) (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error);
  gboolean (*read_gguf_text) (GemmaTextConfig *text, GemmaWeights *weights, GError **error);
  /* Audio, vision and their ids. */
  gboolean (*read_hf_parts) (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *root,
      gboolean multimodal, GError **error);
  /* What a GGUF says of the encoder of pictures that it has. */
  gboolean (*read_gguf_vision) (GemmaConfig *config, GemmaWeights *mmproj, GError **error);
  /* NULL, or: which ids are soft, and how they see each other; the parts are known. */
  void (*place_soft_ids) (GemmaConfig *config);
} GemmaArchitecture;

extern const GemmaArchitecture gemma_architecture_gemma3, gemma_architecture_gemma3n, gemma_architecture_t5gemma2;

/** By general.architecture or by model_type; NULL with an error that names @key and the known values. */
const GemmaArchitecture *gemma_architecture_find (const gchar *path, const gchar *key, const gchar *value,
    gboolean is_gguf, GError **error);
/** Makes @config one of @architecture. */
void gemma_config_set_architecture (GemmaConfig *config, const GemmaArchitecture *architecture);
/** FALSE if a chat template changes nothing. */
gboolean gemma_config_looks_for_template (const GemmaConfig *config);

/** Fills in what no file carries, and marks what has not been found with -1. */
void gemma_config_set_defaults (GemmaConfig *config);
/** Allocates the arrays for n_layers, with the default pattern: one full layer in @period. @ffn for all. */
void gemma_text_config_set_layers (GemmaTextConfig *text, gint ffn, gint period);
/** Gemma 3n's rest of a GGUF's text model, and the default of its sparsity, which it allocates. */
gboolean gemma3n_config_read_gguf (GemmaTextConfig *text, GemmaWeights *weights, GError **error);
void gemma3n_config_set_sparsity (GemmaTextConfig *text);
/** Gemma 3's, which T5Gemma 2 shares. */
void gemma3_config_set_defaults (GemmaTextConfig *text);
gboolean gemma3_config_read_hf (GemmaTextConfig *text, const GemmaJsonObject *o, GError **error);
/** Gemma 3n's pictures in an mmproj. */
gboolean gemma3n_config_read_gguf_vision (GemmaConfig *config, GemmaWeights *mmproj, GError **error);
/** Inverse of the normal distribution function, for 0 < @p < 1. */
gdouble gemma_normal_quantile (gdouble p);

/** An error of @path: printf-like. Always FALSE. */
gboolean gemma_config_fail (const gchar *path, GemmaError code, GError **error, const gchar *format, ...)
    G_GNUC_PRINTF (4, 5);

/* ---- reading (config-hf.c, config-gguf.c): a value that may be absent stays as it is -------------------------- */

/** A member that must have the one value that we compute with, where it is present. */
gboolean gemma_config_require_bool (const GemmaJsonObject *o, const gchar *key, gboolean wanted, GError **error);
gboolean gemma_config_require_int (const GemmaJsonObject *o, const gchar *key, gint wanted, GError **error);
gboolean gemma_config_require_string (const GemmaJsonObject *o, const gchar *key, const gchar *wanted, GError **error);
/** Element @i as a number, of a list of exactly @n. */
gboolean gemma_config_get_element (const GemmaJsonObject *o, const gchar *key, JsonArray *array, guint i, guint n,
    gdouble *value, GError **error);
gboolean gemma_config_get_int (GemmaWeights *w, const gchar *key, gint64 min, gint64 max, gint *value, GError **error);
/** An error if the key is missing. */
gboolean gemma_config_need_int (GemmaWeights *w, const gchar *key, gint64 min, gint64 max, gint *value, GError **error);
gboolean gemma_config_get_float (GemmaWeights *w, const gchar *key, gdouble min, gdouble max, gfloat *value,
    GError **error);

/** @generation, @processor, @preprocessor: (nullable) as parsed; @weights for the path of messages and for has_*. */
gboolean gemma_config_read_hf (GemmaConfig *config, GemmaWeights *weights, const gchar *path, JsonNode *root,
    JsonNode *generation, JsonNode *processor, JsonNode *preprocessor, GError **error);
gboolean gemma_config_read_gguf (GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj, GError **error);
/** FALSE for the mmproj of another model than @weights; what is merely wrong in it is found when it is read. */
gboolean gemma_config_mmproj_fits (GemmaWeights *weights, GemmaWeights *mmproj);
/** Key of a GGUF that says whether it has an encoder of pictures; in ours of T5Gemma 2, where it needs no mmproj. */
#define GEMMA_HAS_VISION "clip.has_vision_encoder"

/* ---- SigLIP (config-siglip.c) ---------------------------------------------------------------------------------- */

/** vision_config of @owner, and has_vision, if the tensors are there. */
gboolean gemma_siglip_config_read_hf (GemmaConfig *config, GemmaWeights *weights, const GemmaJsonObject *owner,
    GError **error);
/** What a preprocessor says of pictures, for a config that sees with SigLIP. */
gboolean gemma_siglip_config_read_processor (GemmaConfig *config, const GemmaJsonObject *processor, GError **error);
gboolean gemma_siglip_config_read_gguf (GemmaConfig *config, GemmaWeights *mmproj, GError **error);
/** That values fit each other and the tensors of @weights. */
gboolean gemma_siglip_config_check (const GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error);

/* ---- checks --------------------------------------------------------------------------------------------------- */

/** Checks that the values of text fit each other and the tensors. @path names the source of the values. */
gboolean gemma_config_check_text (const GemmaConfig *config, GemmaWeights *weights, const gchar *path, GError **error);
/** The same for ids and for the other parts. */
gboolean gemma_config_check (const GemmaConfig *config, GemmaWeights *weights, GemmaWeights *mmproj,
    const gchar *path, GError **error);

G_END_DECLS
