/* The instructions that models are asked with: about sound in the published wording of Gemma 3n. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  GEMMA_TASK_TRANSCRIBE,                        /* "Transcribe the following speech segment in Spanish:" */
  GEMMA_TASK_TRANSLATE,                         /* "Translate the following speech segment from Spanish into English:" */
  GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE,         /* "Transcribe the following speech segment in Spanish, then translate it into English:" */
  GEMMA_TASK_DESCRIBE,                          /* "Describe the image in English."; the picture precedes it */
  GEMMA_TASK_CUSTOM                             /* the user's own words */
} GemmaTask;

/**
 * @source, @target: BCP 47 codes ("es", "pt-BR"); an unknown code is used as the language's name
 * @custom: the instruction of GEMMA_TASK_CUSTOM
 *
 * The answer to GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE is "TRANSCRIPT\nEnglish: TRANSLATION".
 * (transfer full)
 */
gchar *gemma_task_instruction (GemmaTask task, const gchar *source, const gchar *target, const gchar *custom);

/**
 * The languages of @codes as a sentence lists them, "French, Spanish and Italian", each once and without that of @except; NULL
 * if none is left. For the target of GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE. (transfer full) (nullable)
 */
gchar *gemma_task_list_languages (const gchar *const *codes, const gchar *except);
/** What an answer goes on with where its translation is to follow: "\nFrench:". (transfer full) */
gchar *gemma_task_next_line (const gchar *target);

/** A text and its translation, which the next one may learn from. */
typedef struct
{
  gchar *source, *translation;
} GemmaExample;

/**
 * What a model is asked for the translation of @text, one paragraph of writing.
 * @instruction: (nullable): what to begin with, instead of a sentence that asks for translation, or "Good morning." and
 *   its translation
 * @examples: (nullable): of GemmaExample, in order
 * @has_turns: the model answers questions; one that does not goes on with lines
 *
 * "Translate the following English text into Spanish. Answer with the translation only.\n\n
 * English: EXAMPLE\nSpanish: TRANSLATION\n\nEnglish: TEXT\nSpanish:". What comes before the text begins like what was
 * asked before, so a session need not read it again. (transfer full)
 */
gchar *gemma_task_text_translation (const gchar *source, const gchar *target, const gchar *instruction,
    const GArray *examples, const gchar *text, gboolean has_turns);
/** Where its answer ends, or NULL: where the model ends it. */
const gchar *gemma_task_text_translation_stop (gboolean has_turns);

/** English name of a language code, or the code itself. */
const gchar *gemma_language_name (const gchar *code);

G_END_DECLS
