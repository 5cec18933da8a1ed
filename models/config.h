/* What a model's files say about its shapes, from config.json or from GGUF metadata. */
#pragma once

#include "weights.h"

G_BEGIN_DECLS

/** What only Gemma 3n has; zero elsewhere. */
typedef struct
{
  gint n_shared_kv;             /* the last layers, which own no K/V */
  gint ple_dim;                 /* hidden_size_per_layer_input */
  gint laurel_rank;             /* from the tensor's shape in GGUF */
  gint n_altup;                 /* streams; the active one is 0 */
  gfloat *sparsity;             /* [n_layers]: Phi^-1 (pattern): 1.6448536 for 0.95; 0 for none */
} Gemma3nTextConfig;

/** A language model, or one of the two of an encoder-decoder. Arrays have n_layers entries. */
typedef struct
{
  const gchar *prefix;          /* of its tensors' names: "", or "enc." and "dec."; static */
  gint hidden, n_layers, n_heads, n_kv_heads, head_dim;
  gint window, context_length;
  gint vocab_size;              /* rows of the token table, soft and hard ids included */
  gint first_soft_id;           /* ids from here on are not looked up in the token table: vision's, then audio's */
  gint lone_soft_id;            /* nor is this one, amid the words or right behind the vocabulary; -1 for none */
  gint alignment_layer, alignment_head; /* whose attention to the sound tells when what comes next is said, by the keys
                                 * gemma.alignment.layer and .head of a GGUF; -1 where none is taught to */
  gint soft_run;                /* soft ids in a row, at most so many, see each other both ways; 0: only those before */
  gfloat rms_eps, rope_base, rope_base_local, logit_softcap;   /* 0: no cap */
  gfloat rope_factor;           /* positions of full layers are divided by it */
  gfloat attention_scale;       /* of q k */
  gint *ffn;
  gboolean *sliding;
  Gemma3nTextConfig gemma3n;
} GemmaTextConfig;

/** TRUE if @id takes a row that comes with it, not one of the token table. */
static inline gboolean
gemma_text_config_is_soft (const GemmaTextConfig *text, gint id)
{
  return id >= text->first_soft_id || id == text->lone_soft_id;
}

/** How many of @n @ids take a row of the caller's. */
gint gemma_text_config_count_soft (const GemmaTextConfig *text, const gint32 *ids, gint n);

/** Where to cut @n @ids: at @at, or before it where soft ids that see each other would be parted. */
gint gemma_text_config_cut (const GemmaTextConfig *text, const gint32 *ids, gint n, gint at);

/** Copies with arrays of its own, for gemma_text_config_clear(). */
void gemma_text_config_copy (GemmaTextConfig *to, const GemmaTextConfig *from);
void gemma_text_config_clear (GemmaTextConfig *text);

/** USM. Constants that no file carries have the reference's values. */
typedef struct
{
  gint hidden, n_layers, n_heads, n_mels;
  gint conv_channels[2];
  gint left;                    /* earlier frames a query sees: 12 */
  gint reduction;               /* 4 */
  gint conv_kernel;             /* 5 */
  gfloat softcap, rms_eps, conv_norm_eps, residual_weight;     /* 50, 1e-6, 1e-3, 0.5 */
  gint vocab_size, vocab_offset;        /* hard embeddings and the id of their first */
  gint tokens_per_clip;         /* 188: what a clip is padded to */
  gboolean pad_clip;            /* whether it is; FALSE by the mmproj's key gemma.audio.pad_clip */
  gfloat no_speech_threshold;   /* nothing was said if the end of an answer is so likely at its start: the mmproj's key
                                 * gemma.audio.no_speech_threshold; 0: only if it is likeliest */
} GemmaAudioConfig;

/** SigLIP, a vision transformer with one size of pictures; zero where another network sees. */
typedef struct
{
  gint image_size, patch_size;  /* sides */
  gint hidden, n_layers, n_heads, ffn;
  gfloat norm_eps;              /* of all norms, the embedder's too */
  gfloat mean[3], std[3];       /* of RGB in [0, 1] */
} GemmaSiglipConfig;

typedef struct
{
  const gchar *architecture;    /* "gemma3n", "gemma3", "t5gemma2": what GGUF calls it; static */
  gboolean hears, sees;         /* whether models of this architecture may have these parts, as far as we know them */
  gboolean has_turns;           /* the chat template is for it; a base model just goes on with a text */
  gboolean wants_examples;      /* of translations, before a text; FALSE by a GGUF's key gemma.translation.examples, of a
                                 * model that has learned to translate and nothing else */
  gboolean translates_transcripts;      /* speech rather by way of what was said; FALSE by a GGUF's key
                                         * gemma.translation.chained, of a model that knows it better without */
  GemmaTextConfig text;         /* what answers: of an encoder-decoder the decoder */
  GemmaTextConfig encoder;      /* what reads the prompt; n_layers 0 where text does. Same hidden and vocabulary */
  gboolean has_audio, has_vision;
  GemmaAudioConfig audio;
  GemmaSiglipConfig siglip;
  gint vision_vocab_size, vision_vocab_offset;
  gint start_id;                /* what a decoder begins with */
  gint bos_id, pad_id, eos_ids[4], n_eos;       /* generation stops at any of eos_ids */
  gint audio_token_id, boa_id, eoa_id, image_token_id, boi_id, eoi_id;  /* -1 where the model has none */
} GemmaConfig;

/**
 * From a Hugging Face directory's config.json (preprocessor_config.json, processor_config.json and
 * generation_config.json where present), or from a GGUF and its mmproj. Values are checked against sane limits and
 * against the tensors that are there; that a tensor is missing is reported by what needs it.
 * @mmproj: (nullable). (transfer full)
 */
GemmaConfig *gemma_config_new (GemmaWeights *weights, GemmaWeights *mmproj, GError **error);
void gemma_config_free (GemmaConfig *config);

G_END_DECLS
