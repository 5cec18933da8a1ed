/* A whole model as an element uses it: files, tokenizer, language model, encoders on one device. */
#pragma once

#include "lm.h"
#include "sampler.h"
#include "tokenizer.h"
#include "vision.h"

G_BEGIN_DECLS

typedef enum
{
  GEMMA_PART_TEXT = 1 << 0,     /* tokenizer and language model */
  GEMMA_PART_AUDIO = 1 << 1,
  GEMMA_PART_VISION = 1 << 2
} GemmaParts;

typedef struct _GemmaModel GemmaModel;  /* immutable, atomically reference counted */

/**
 * gemma_model_load:
 * @path: a Hugging Face directory or a .gguf
 * @mmproj: (nullable): the mmproj .gguf; NULL looks for mmproj*.gguf or *mmproj*.gguf beside @path
 * @parts: only these are read and sent to the device
 *
 * Long: seconds to minutes, with @progress. (transfer full)
 */
GemmaModel *gemma_model_load (const gchar *path, const gchar *mmproj, OclDevice *device, GemmaParts parts,
    GCancellable *cancellable, GemmaProgressFunc progress, gpointer user_data, GError **error);
/** How else than as it is in its files. */
typedef struct
{
  /* (nullable): "q4_0", "q8_0", "bf16" or "f32": a Hugging Face directory's language model in that type, see
   * weight-cache.h; NULL or "auto" as it is */
  const gchar *weights;
  OclMatmulFlags encoder_flags; /* of gemma_usm_load() and gemma_vision_load() */
  const gchar *encoder_weights; /* (nullable): "q8_0" rounds the encoders' matrices; NULL or "auto" as they are */
} GemmaModelForm;

GemmaModel *gemma_model_load_as (const gchar *path, const gchar *mmproj, const GemmaModelForm *form, OclDevice *device,
    GemmaParts parts, GCancellable *cancellable, GemmaProgressFunc progress, gpointer user_data, GError **error);
GemmaModel *gemma_model_ref (GemmaModel *model);
void gemma_model_unref (GemmaModel *model);

/**
 * gemma_model_probe:
 *
 * Finds and opens the files as gemma_model_load() does and checks them as far as no device is needed: the
 * configuration, and that the asked @parts are there. Quick. (transfer full): gemma_config_free()
 */
GemmaConfig *gemma_model_probe (const gchar *path, const gchar *mmproj, GemmaParts parts, GError **error);

const GemmaConfig *gemma_model_get_config (GemmaModel *model);
GemmaTokenizer *gemma_model_get_tokenizer (GemmaModel *model);
GemmaLm *gemma_model_get_lm (GemmaModel *model);
/** (nullable): without GEMMA_PART_AUDIO; prompts with audio need only its embedder, which GEMMA_PART_TEXT brings. */
GemmaUsm *gemma_model_get_usm (GemmaModel *model);
/** (nullable): without GEMMA_PART_VISION; prompts with pictures need only its embedder. */
GemmaVision *gemma_model_get_vision (GemmaModel *model);
OclDevice *gemma_model_get_device (GemmaModel *model);
/** Bytes of mapped files. */
gsize gemma_model_get_mapped_bytes (GemmaModel *model);

/* ---- prompts (prompt.c) ------------------------------------------------------------- */

/** Ids as transformers' processor gives them, placeholders included, with the rows of soft and hard ids in order. */
typedef struct
{
  GArray *ids;                  /* gint32 */
  GArray *rows;                 /* gfloat, text.hidden each */
} GemmaPrompt;

GemmaPrompt *gemma_prompt_new (void);
void gemma_prompt_free (GemmaPrompt *prompt);

/** One piece of a user's turn, in order. */
typedef struct
{
  enum { GEMMA_CONTENT_TEXT, GEMMA_CONTENT_AUDIO, GEMMA_CONTENT_IMAGE } kind;
  const gchar *text;            /* user text: control tokens in it stay text */
  const gfloat *rows;           /* soft tokens */
  gint n_rows;
} GemmaContent;

/**
 * Appends a user turn in Gemma's chat template and opens the model's: one <bos> if the prompt is empty,
 * <start_of_turn>user\n … <end_of_turn>\n<start_of_turn>model\n. Audio is "\n\n<start_of_audio>" soft tokens
 * "<end_of_audio>\n\n"; a clip is padded to tokens_per_clip with the last hard embedding if @pad_audio. A picture is
 * "\n\n<start_of_image>" GEMMA_VISION_TOKENS soft tokens "<end_of_image>\n\n". Text is trimmed.
 * For a base model, which has no chat template (config.has_turns), the content is appended as it is, untrimmed.
 */
gboolean gemma_prompt_add_turn (GemmaPrompt *prompt, GemmaModel *model, const GemmaContent *content, guint n_content,
    gboolean pad_audio, GError **error);

/** Plain ids (gemma-eval --ids): rows are filled for hard ids; a soft placeholder is an error. */
gboolean gemma_prompt_add_ids (GemmaPrompt *prompt, GemmaModel *model, const gint32 *ids, guint n, GError **error);

/* ---- generation (generate.c) --------------------------------------------------------- */

/** Text as it grows; return FALSE to stop. @text is what this token added, whole characters (may be ""). */
typedef gboolean (*GemmaTokenFunc) (gint id, const gchar *text, gpointer user_data);

typedef struct
{
  gint max_tokens;
  GemmaSamplerParams sampler;
  gboolean ignore_eos;          /* for benches and golden comparisons: end tokens are never chosen, loops not stopped */
  gfloat *chosen_from;          /* (nullable): the logits of each token, max_tokens times vocab_size floats */
  gdouble end_threshold;        /* an answer is empty if its end is at least so likely at its start; 0: if chosen there */
} GemmaGenerateParams;

/**
 * Appends @prompt to the session and decodes until an end token, max_tokens, a repetition loop (1 to 16 tokens at least
 * 8 times in a row, over 24 tokens or more), FALSE from @func, or cancellation (checked at each token, an error).
 * The end token goes neither to @func nor into the session, nor does the last token of max_tokens into the session.
 * @logits: (nullable): vocab_size floats of every prompt position; of an encoder-decoder, whose encoder reads the prompt,
 *   only of the decoder's start. With max_tokens 0 only the prompt is run.
 */
gboolean gemma_generate (GemmaModel *model, GemmaLmSession *session, const GemmaPrompt *prompt,
    const GemmaGenerateParams *params, gfloat *logits, GemmaTokenFunc func, gpointer user_data,
    GCancellable *cancellable, GError **error);

G_END_DECLS
