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
  save_image (root, "gemma3", fixture_gemma3 ());
  save_image (root, "t5gemma2", fixture_t5gemma2 ());
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

/* ---- tokenizers ----------------------------------------------------------------- */

#define BPE(options, vocab, merges) "\"model\": {\"type\": \"BPE\", " options "\"vocab\": {" vocab "}, \"merges\": [" merges "]}"
#define SPACES "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\xe2\x96\x81\"}, " \
    "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"MergedWithPrevious\"}, "
#define VOCAB "\"<unk>\": 0, \"<bos>\": 1, \"a\": 2, \"b\": 3, \"ab\": 4, \"\xe2\x96\x81\": 5, \"\xe2\x96\x81\x61\": 6, " \
    "\"\xc3\xb1\": 7, \"aba\": 8"
#define MERGES "[\"a\", \"b\"], \"\xe2\x96\x81 a\", [\"ab\", \"a\"]"
#define ADDED "\"added_tokens\": [{\"id\": 1, \"content\": \"<bos>\", \"special\": true, \"normalized\": false, \"lstrip\": false}, " \
    "{\"id\": 9, \"content\": \"<start_of_turn>\", \"special\": true}, {\"id\": 10, \"content\": \"  \", \"normalized\": true}], "

/* Vocabulary of single bytes, the way Gemma's falls back to them. */
static gchar *
bytes_vocabulary (void)
{
  GString *s = g_string_new ("{" SPACES "\"model\": {\"type\": \"BPE\", \"byte_fallback\": true, \"fuse_unk\": true, "
      "\"unk_token\": \"<unk>\", \"vocab\": {\"<unk>\": 256, \"a\": 257, \"\\u2581\": 258, \"\\u2581a\": 259");

  for (guint i = 0; i < 256; i++)
    g_string_append_printf (s, ", \"<0x%02X>\": %u", i, i);
  return g_string_free (g_string_append (s, "}, \"merges\": [\"\\u2581 a\"]}}\x1e a\xf0\x9f\x98\x80\xff a"), FALSE);
}

static Image *
tokens_image (gboolean with_bytes)
{
  const gchar *tokens[264] = { "<unk>", "<bos>", "<eos>", "a", "b", "ab", "\xe2\x96\x81", "\xe2\x96\x81\x61" };
  gfloat scores[264];
  gint32 types[264] = { 2, 3, 3, 1, 1, 1, 4, 1 };
  gchar names[256][8];
  const guint n = with_bytes ? 264 : 8;
  Image *image = image_new ();

  for (guint i = 0; i < n; i++)
    scores[i] = -(gfloat) i;
  for (guint i = 8; i < n; i++) {
    g_snprintf (names[i - 8], sizeof names[0], "<0x%02X>", i - 8);
    tokens[i] = names[i - 8];
    types[i] = 6;
  }
  image_set_string (image, "tokenizer.ggml.model", "llama");
  image_set_strings (image, "tokenizer.ggml.tokens", tokens, n);
  image_set_array (image, "tokenizer.ggml.scores", KV_F32, scores, sizeof scores[0], n);
  image_set_array (image, "tokenizer.ggml.token_type", KV_I32, types, sizeof types[0], n);
  image_set_u32 (image, "tokenizer.ggml.bos_token_id", 1);
  image_set_u32 (image, "tokenizer.ggml.eos_token_id", 2);
  image_set_u32 (image, "tokenizer.ggml.unknown_token_id", 0);
  image_set_bool (image, "tokenizer.ggml.add_space_prefix", FALSE);
  image_set_string (image, "text", "ab<bos> a\xc3\xb1 ");
  return image;
}

static void
save_tokenizers (const gchar *root)
{
  static const gchar *const texts[] = {
    "{" BPE ("", VOCAB, MERGES) "}\x1e" "abab aba",
    "{" ADDED SPACES BPE ("\"unk_token\": \"<unk>\", \"fuse_unk\": true, ", VOCAB, MERGES) "}\x1e ab\xc3\xb1<bos>  <start_of_turn>a",
    "{" ADDED BPE ("\"ignore_merges\": true, ", VOCAB, "") "}\x1e" "aba ab",
    "{" BPE ("", "\"a\": 0, \"a\": 1", "") "}",
    "{" BPE ("", "\"a\": 0, \"b\": 2", "[\"a\", \"x\"]") "}",
  };
  g_autofree gchar *bytes = bytes_vocabulary ();

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    save (root, "tokenizer", "json", i, texts[i], strlen (texts[i]));
  save (root, "tokenizer", "bytes", 0, bytes, strlen (bytes));
  for (guint i = 0; i < 2; i++) {
    Image *image = tokens_image (i == 1);
    g_autoptr (GByteArray) file = image_bytes (image);

    save (root, "tokenizer", "gguf", i, file->data, file->len);
    image_free (image);
  }
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
  save_tokenizers (argv[1]);
  save_config (argv[1], NULL, 0);
  save (argv[1], "config", "gemma3", 0, fixture_gemma3_config (), strlen (fixture_gemma3_config ()));
  save (argv[1], "config", "t5gemma2", 0, fixture_t5gemma2_config (), strlen (fixture_t5gemma2_config ()));
  for (guint i = 0; i < n_bad_hfs; i++)
    if (strcmp (bad_hfs[i].file, "model.safetensors") != 0)
      save_config (argv[1], &bad_hfs[i], i);
  return 0;
}
