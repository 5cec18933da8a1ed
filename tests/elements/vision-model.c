#include "vision-model.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/seeded-weights.h"

#define SEED 9

static gchar *path;
static pid_t creator;            /* tests fork: a child leaves the model to the others */

static gchar *
read_golden (const gchar *name)
{
  g_autofree gchar *file = g_build_filename (GOLDEN_DIR, name, NULL);
  gchar *text = NULL;

  if (!g_file_get_contents (file, &text, NULL, NULL))
    g_error ("%s cannot be read", file);
  return text;
}

/* Lines of the list @name with or without the picture encoder and its embedder. */
static void
append_tensors (GString *list, const gchar *name, gboolean vision)
{
  g_autofree gchar *text = read_golden (name);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (guint i = 0; lines[i]; i++)
    if (*lines[i] && (g_str_has_prefix (lines[i], "model.embed_vision.") || g_str_has_prefix (lines[i], "model.vision_tower."))
        == vision)
      g_string_append_printf (list, "%s\n", lines[i]);
}

static void
write_text (const gchar *name, const gchar *text)
{
  g_autofree gchar *file = g_build_filename (path, name, NULL);

  if (!g_file_set_contents (file, text, -1, NULL))
    g_error ("%s cannot be written", file);
}

static void
remove_model (void)
{
  if (getpid () == creator)
    seeded_remove (path);
}

/* The language model of tests/golden/model and the encoder of tests/golden/vision/tiny, which are of one width. */
const gchar *
vision_model_path (void)
{
  if (path)
    return path;
  path = g_dir_make_tmp ("gemma-vision-XXXXXX", NULL);
  creator = getpid ();
  atexit (remove_model);

  g_autoptr (GString) tensors = g_string_new (NULL), config = g_string_new (NULL);
  g_autofree gchar *json = read_golden ("model/config.json"), *tokenizer = read_golden ("tokenizer/tokenizer.json");
  append_tensors (tensors, "model/tensors.txt", FALSE);
  append_tensors (tensors, "vision/tiny/tensors.txt", TRUE);
  /* As many hard ids as the language model's configuration has. */
  g_string_replace (tensors, "model.embed_vision.embedding.weight 0 0.102062073 8 96",
      "model.embed_vision.embedding.weight 0 0.102062073 64 96", 1);
  write_text ("list.txt", tensors->str);
  g_string_append (config, json);
  g_string_replace (config, "\"hidden_size\": 48", "\"hidden_size\": 96", 1);
  write_text ("config.json", config->str);
  write_text ("tokenizer.json", tokenizer);

  g_autofree gchar *list_path = g_build_filename (path, "list.txt", NULL);
  g_autofree gchar *weights = g_build_filename (path, "model.safetensors", NULL);
  g_autoptr (GPtrArray) list = seeded_list_read (list_path);
  seeded_write_safetensors (weights, list, SEED, OCL_TYPE_F32);
  return path;
}
