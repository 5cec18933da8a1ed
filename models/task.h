/* The instructions that Gemma 3n is asked with, in its published wording. */
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

/** English name of a language code, or the code itself. */
const gchar *gemma_language_name (const gchar *code);

G_END_DECLS
