/* The tiny model of tests/golden/GOLDEN_AREA on disk, as a Hugging Face directory and a GGUF, and gemma-eval run on it. */
#pragma once

#include "fixture.h"
#include "models/model.h"

typedef struct
{
  gchar *directory, *gguf;
  gchar *out;                   /* where gemma-eval writes */
} EvalFiles;

extern EvalFiles eval_files;

/** For tcase_add_unchecked_fixture() */
void eval_files_setup (void);
void eval_files_teardown (void);

/** Runs gemma-eval, which has to succeed, with "--ids" or "--prompt" and its @value, "--generate" and @n. */
void eval_run (const gchar *model, const gchar *option, const gchar *value, const gchar *n);
/** What it has written. (transfer full) */
Npy *eval_result (const gchar *name);
/** As "--ids" takes them. (transfer full) */
gchar *eval_list_ids (const gint32 *ids, gint n);
/** Fails the test unless both formats refuse @part with one error of @code that has @named and @what in it. */
void eval_check_lacks (GemmaParts part, GemmaError code, const gchar *named, const gchar *what);
