/* make-seeds DIRECTORY: good and bad inputs as files, a folder for each fuzz target, to start from. */
#include "tests/readers/bad.h"

#include <string.h>

static void
save (const gchar *root, const gchar *target, const gchar *name, guint n, gconstpointer data, gsize size)
{
  g_autofree gchar *folder = g_build_filename (root, target, NULL);
  g_autofree gchar *file = g_strdup_printf ("%s-%03u", name, n);

  g_mkdir_with_parents (folder, 0755);
  g_free (fixture_write (folder, file, data, size));
}

static void
save_image (const gchar *root, const gchar *name, Image *image)
{
  g_autoptr (GByteArray) bytes = image_bytes (image);

  save (root, "gguf", name, 0, bytes->data, bytes->len);
  image_free (image);
}

/* The least of everything: mutations of it are tried fast. */
static Image *
small_image (void)
{
  static const gchar *const strings[] = { "a", "", "<0x41>" };
  const gint64 dims[4] = { 32, 2, 1, 1 };
  const guint32 types[] = { GGML_F32, GGML_F16, GGML_BF16, GGML_Q8_0, GGML_Q4_0 };
  Image *image = image_new ();

  image_set_string (image, "general.architecture", "gemma3n");
  image_set_strings (image, "tokenizer.ggml.tokens", strings, G_N_ELEMENTS (strings));
  image_set_f32 (image, "k", 1);
  image_set_u32 (image, "general.alignment", 8);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree gchar *name = g_strdup_printf ("t%u", i);
    image_add (image, name, types[i], 1 + i % 4, dims);
  }
  return image;
}

static void
save_gguf (const gchar *root)
{
  save_image (root, "text", fixture_text ());
  save_image (root, "mmproj", fixture_mmproj ());
  save_image (root, "small", small_image ());
  for (guint i = 0; i < n_bad_ggufs; i++) {
    g_autoptr (GByteArray) bytes = bad_gguf_bytes (&bad_ggufs[i]);
    save (root, "gguf", "bad", i, bytes->data, bytes->len);
  }
}

static void
save_safetensors (const gchar *root)
{
  static const gchar header[] = "{\"model.layers.0.mlp.up_proj.weight\": {\"dtype\": \"BF16\", \"shape\": [1, 2], "
      "\"data_offsets\": [0, 4]}, \"b\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [4, 8]}}";
  const guint64 length = sizeof header - 1;
  g_autoptr (GByteArray) good = fixture_safetensors (0, 1), small = g_byte_array_new ();

  save (root, "safetensors", "good", 0, good->data, good->len);
  g_byte_array_append (small, (const guint8 *) &length, sizeof length);
  g_byte_array_append (small, (const guint8 *) header, length);
  g_byte_array_append (small, (const guint8 *) "01234567", 8);
  save (root, "safetensors", "small", 0, small->data, small->len);
  for (guint i = 0; i < n_bad_hfs; i++) {
    g_autoptr (GByteArray) bytes = bad_hf_bytes (&bad_hfs[i]);

    if (strcmp (bad_hfs[i].file, "model.safetensors") == 0 && bytes->len < 1 << 20)
      save (root, "safetensors", "bad", i, bytes->data, bytes->len);
  }
}

/* All four files, of which @bad replaces one. */
static void
save_config (const gchar *root, const BadHf *bad, guint n)
{
  static const gchar *const files[] = { "config.json", "generation_config.json", "processor_config.json",
    "preprocessor_config.json"
  };
  g_autoptr (GByteArray) all = g_byte_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (GByteArray) bytes = bad && strcmp (bad->file, files[i]) == 0 ? bad_hf_bytes (bad)
        : good_hf_bytes (files[i]);

    g_byte_array_append (all, bytes->data, bytes->len);
    if (i + 1 < G_N_ELEMENTS (files))
      g_byte_array_append (all, (const guint8 *) "\x1e", 1);
  }
  if (all->len < 1 << 20)
    save (root, "config", bad ? "bad" : "good", n, all->data, all->len);
}

/* As fuzz-tokenizer.c takes them: 'j' and a tokenizer.json, 'g' and a GGUF, 't' and text. */
static void
save_tokenizer (const gchar *root)
{
  static const gchar *const inputs[] = {
    "j{\"added_tokens\": [{\"id\": 3, \"content\": \"<x>\", \"special\": true, \"normalized\": true}], \"normalizer\": "
        "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\\u2581\"}, \"pre_tokenizer\": null, \"model\": "
        "{\"type\": \"BPE\", \"unk_token\": \"<x>\", \"fuse_unk\": true, \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, "
        "\"merges\": [\"a b\"]}}",
    "j{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": []}, \"model\": {\"type\": \"BPE\", \"byte_fallback\": true, "
        "\"ignore_merges\": true, \"vocab\": {\"<0x41>\": 0}, \"merges\": [[\"a\", \"b\"]]}}",
    "ta b<start_of_turn>\n\n  \xf0\x9f\x91\x8d\xff\xe2\x96\x81", "taaaaaaaaaabababab<b><unused7>",
  };
  static const gchar *const tokens[] = { "<unk>", "<bos>", "a", "b", "ab", "abab", "\xe2\x96\x81", "\n", "<0x41>" };
  static const gfloat scores[] = { 0, 0, -9, -9, -1, -2, -9, 0, 0 };
  static const gint32 types[] = { 2, 3, 1, 1, 5, 1, 1, 4, 1 };
  Image *image = image_new ();
  GByteArray *bytes;

  for (guint i = 0; i < G_N_ELEMENTS (inputs); i++)
    save (root, "tokenizer", "text", i, inputs[i], strlen (inputs[i]));
  image_set_string (image, "general.architecture", "gemma3n");
  image_set_string (image, "tokenizer.ggml.model", "llama");
  image_set_strings (image, "tokenizer.ggml.tokens", tokens, G_N_ELEMENTS (tokens));
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, sizeof *scores, G_N_ELEMENTS (scores));
  image_set_array (image, "tokenizer.ggml.token_type", KV_I32, types, sizeof *types, G_N_ELEMENTS (types));
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 1);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 1);
  bytes = image_bytes (image);
  g_byte_array_prepend (bytes, (const guint8 *) "g", 1);
  save (root, "tokenizer", "gguf", 0, bytes->data, bytes->len);
  g_byte_array_unref (bytes);
  image_free (image);
}

int
main (int argc, char **argv)
{
  if (argc != 2) {
    g_printerr ("usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  save_gguf (argv[1]);
  save_safetensors (argv[1]);
  save_tokenizer (argv[1]);
  save_config (argv[1], NULL, 0);
  for (guint i = 0; i < n_bad_hfs; i++)
    if (strcmp (bad_hfs[i].file, "model.safetensors") != 0)
      save_config (argv[1], &bad_hfs[i], i);
  return 0;
}
