/* Values, names, metadata and configurations of good files. */
#include <gst/check/gstcheck.h>

#include "examples/npy.h"
#include "fixture.h"
#include "models/json-util.h"
#include "models/weights-private.h"

#include <math.h>
#include <string.h>

static GemmaWeights *
open_types (void)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights = gemma_weights_open_gguf (GOLDEN_DIR "/types.gguf", &error);

  g_assert_no_error (error);
  return weights;
}

/* ---- values --------------------------------------------------------------------- */

/* Bit for bit: dequantization has one right result. */
static void
check_values (GemmaWeights *weights, const gchar *tensor, const gchar *golden)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *path = g_strdup_printf (GOLDEN_DIR "/%s.npy", golden);
  g_autoptr (Npy) expected = npy_read_shape (path, NPY_F32, &error, 2, (gint64) -1, (gint64) -1);
  const gint rows = expected ? expected->dims[0] : 0, cols = expected ? expected->dims[1] : 0;
  g_autofree gfloat *found = NULL, *row = g_new (gfloat, MAX (cols, 1));
  const GemmaTensor *t = gemma_weights_peek (weights, tensor);

  g_assert_no_error (error);
  found = gemma_weights_read_f32 (weights, tensor, rows, cols, &error);
  g_assert_no_error (error);
  fail_unless (memcmp (found, expected->f32, expected->n * sizeof (gfloat)) == 0, "%s differs", tensor);
  for (gint i = 0; i < rows && t->dims[0] == cols; i++) {
    fail_unless (gemma_weights_read_row (weights, t, i, row, &error));
    fail_unless (memcmp (row, expected->f32 + (gsize) i * cols, cols * sizeof (gfloat)) == 0, "%s, row %d", tensor, i);
  }
}

GST_START_TEST (test_gguf_values)
{
  static const gchar *const types[] = { "f32", "f16", "bf16", "q8_0", "q4_0", "q5_1" };
  GemmaWeights *weights = open_types ();

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    check_values (weights, types[i], types[i]);
  check_values (weights, "blk.0.gamma", "gamma");
  check_values (weights, "altup_proj.weight", "stack");
  gemma_weights_unref (weights);
}
GST_END_TEST;

GST_START_TEST (test_safetensors_values)
{
  g_autoptr (GError) error = NULL;
  g_autofree gchar *data = NULL;
  gsize length;
  GemmaWeights *weights;

  fail_unless (g_file_get_contents (GOLDEN_DIR "/types.safetensors", &data, &length, &error));
  weights = gemma_weights_open_safetensors_data (data, length, &error);
  g_assert_no_error (error);
  check_values (weights, "f32", "f32");
  check_values (weights, "f16", "f16");
  check_values (weights, "bf16", "bf16");
  fail_unless (gemma_weights_peek (weights, "ids") != NULL);
  fail_if (gemma_weights_read_f32 (weights, "ids", 2, 3, &error) != NULL);
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED));
  fail_unless (strstr (error->message, "I64") != NULL, "%s", error->message);
  gemma_weights_unref (weights);
}
GST_END_TEST;

/* The data of a header of odd length is unaligned; matrices come aligned all the same. */
GST_START_TEST (test_unaligned_safetensors)
{
  static const gchar header[] = "{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 2], \"data_offsets\": [0, 16]}} ";
  const gfloat values[4] = { 1, 2, 3, 4 };
  const guint64 n = sizeof header - 1;
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (GError) error = NULL;
  g_autofree gfloat *read = NULL;
  GemmaWeights *weights;
  OclMatrix matrix, again;

  g_assert (n % 4 != 0);
  g_byte_array_append (bytes, (const guint8 *) &n, sizeof n);
  g_byte_array_append (bytes, (const guint8 *) header, n);
  g_byte_array_append (bytes, (const guint8 *) values, sizeof values);
  weights = gemma_weights_open_safetensors_data (bytes->data, bytes->len, &error);
  g_assert_no_error (error);
  fail_unless (gemma_weights_find_matrix (weights, "a", 2, 2, &matrix, &error));
  fail_unless ((gsize) matrix.data % sizeof (gfloat) == 0);
  fail_unless (memcmp (matrix.data, values, sizeof values) == 0);
  fail_unless (gemma_weights_find_matrix (weights, "a", 2, 2, &again, &error));
  fail_unless (again.data == matrix.data);
  read = gemma_weights_read_f32 (weights, "a", 2, 2, &error);
  fail_unless (memcmp (read, values, sizeof values) == 0);
  gemma_weights_unref (weights);
}
GST_END_TEST;

/* What is rounded to bytes must be finite; the largest finite values are. */
GST_START_TEST (test_values_that_are_rounded)
{
  static const struct
  {
    const gchar *type;
    gsize size;
    guint32 infinite, finite;
  } types[] = { { "F32", 4, 0x7f800000, 0x7f7fffff }, { "F16", 2, 0xfc00, 0x7bff }, { "BF16", 2, 0x7fc0, 0xff7f } };

  for (guint i = 0; i < 2 * G_N_ELEMENTS (types); i++) {
    const gsize size = types[i / 2].size;
    g_autofree gchar *header = g_strdup_printf ("{\"a\": {\"dtype\": \"%s\", \"shape\": [1, 3], \"data_offsets\": [0, %d]}}",
        types[i / 2].type, (gint) (3 * size));
    const guint64 n = strlen (header);
    const guint32 last = i % 2 ? types[i / 2].infinite : types[i / 2].finite;
    guint8 values[12] = { 0 };
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_autoptr (GError) error = NULL;

    memcpy (values + 2 * size, &last, size);
    g_byte_array_append (bytes, (const guint8 *) &n, sizeof n);
    g_byte_array_append (bytes, (const guint8 *) header, n);
    g_byte_array_append (bytes, values, 3 * size);
    GemmaWeights *weights = gemma_weights_open_safetensors_data (bytes->data, bytes->len, &error);
    g_assert_no_error (error);
    fail_unless_equals_int (gemma_weights_check_values (weights, "a", &error), i % 2 == 0);
    fail_if (i % 2 && !strstr (error->message, "tensor a has a value that is not finite"), "%s", error->message);
    gemma_weights_unref (weights);
  }
}
GST_END_TEST;

/* ---- finding -------------------------------------------------------------------- */

GST_START_TEST (test_find_and_shapes)
{
  GemmaWeights *weights = open_types ();
  g_autoptr (GError) error = NULL;
  const GemmaTensor *gamma, *slice;
  OclMatrix matrix;

  gamma = gemma_weights_find (weights, "blk.0.gamma", &error, 1, 6);
  fail_unless (gamma != NULL && gamma->n_dims == 4 && gamma->dims[2] == 6);
  fail_unless (gemma_weights_find (weights, "blk.0.gamma", &error, 4, 1, 1, 6, 1) == gamma);
  fail_unless (gemma_weights_find (weights, "blk.0.gamma", &error, 1, -1) == gamma);
  fail_unless (gemma_weights_find (weights, "f32", &error, 2, 96, -1) != NULL);
  fail_unless (gemma_weights_find (weights, "f32", &error, 3, 96, 5, 1) != NULL);
  fail_unless (gemma_weights_find (weights, "f32", &error, 2, 5, 96) == NULL);
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID));
  fail_unless (strstr (error->message, "[96, 5]") && strstr (error->message, "[5, 96]"), "%s", error->message);
  g_clear_error (&error);

  slice = gemma_weights_find (weights, "altup_proj.1.weight", &error, 2, 8, 4);
  g_assert_no_error (error);
  fail_unless (slice->data == gemma_weights_peek (weights, "altup_proj.weight")->data + 8 * 4 * 2);
  fail_unless (gemma_weights_peek (weights, "altup_proj.3.weight") == NULL);
  fail_unless (gemma_weights_peek (weights, "no.such.tensor") == NULL);
  fail_unless (gemma_weights_find (weights, "no.such.tensor", &error, 1, 1) == NULL);
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND));
  g_clear_error (&error);

  fail_unless (gemma_weights_find_matrix (weights, "q8_0", 5, 96, &matrix, &error));
  fail_unless (matrix.type == OCL_TYPE_Q8_0 && matrix.rows == 5 && matrix.cols == 96);
  fail_unless (gemma_weights_find_matrix (weights, "altup_proj.weight", 3, 32, &matrix, &error));
  fail_if (gemma_weights_find_matrix (weights, "altup_proj.weight", 6, 16, &matrix, &error));
  g_clear_error (&error);
  fail_unless (gemma_weights_peek (weights, "mxfp4")->type == OCL_N_TYPES);
  fail_if (gemma_weights_find_matrix (weights, "mxfp4", 5, 96, &matrix, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_UNSUPPORTED));
  fail_unless (strstr (error->message, "mxfp4") && strstr (error->message, "MXFP4"), "%s", error->message);
  g_clear_error (&error);
  fail_if (gemma_weights_read_row (weights, gemma_weights_peek (weights, "f32"), 5, NULL, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID));
  gemma_weights_unref (weights);
}
GST_END_TEST;

GST_START_TEST (test_names)
{
  g_autofree gchar *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint n = 0;

  fail_unless (g_file_get_contents (GOLDEN_DIR "/names.txt", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] && lines[i][0]; i++, n++) {
    g_auto (GStrv) pair = g_strsplit (lines[i], " ", 2);
    g_autofree gchar *gguf = gemma_name_from_hf (pair[0]), *back = gemma_name_to_hf (pair[1]), *again = NULL;

    fail_unless_equals_string (gguf, pair[1]);
    fail_unless (back != NULL, "%s", pair[1]);
    again = gemma_name_from_hf (back);
    fail_unless_equals_string (again, pair[1]);
  }
  fail_unless (n > 200);
}
GST_END_TEST;

GST_START_TEST (test_other_names_stay)
{
  static const gchar *const names[] = { "", "model.", "rotary.inv_freq", "model.layers.x.mlp.up_proj.weight",
    "model.layers..mlp.up_proj.weight", "model.layers.1.mlp.up_proj.bias", "model.layers.99999999.mlp.up_proj.weight"
  };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree gchar *found = gemma_name_from_hf (names[i]);
    fail_unless_equals_string (found, names[i]);
  }
  fail_unless (gemma_name_to_hf ("general.tensor") == NULL);
}
GST_END_TEST;

/* ---- metadata ------------------------------------------------------------------- */

static gint64
get_int (GemmaWeights *weights, const gchar *key)
{
  g_autoptr (GError) error = NULL;
  gint64 value = 0;

  fail_unless (gemma_weights_get_int (weights, key, &value, &error), "%s", error ? error->message : key);
  return value;
}

GST_START_TEST (test_metadata)
{
  GemmaWeights *weights = open_types ();
  g_autoptr (GError) error = NULL;
  g_autofree gdouble *numbers = NULL, *floats = NULL, *repeated = NULL;
  gdouble number;
  gboolean yes, no;
  const gchar *data;
  gsize length;
  gint64 integer;

  fail_unless (gemma_weights_is_gguf (weights));
  fail_unless_equals_int64 (get_int (weights, "u8"), 200);
  fail_unless_equals_int64 (get_int (weights, "i8"), -100);
  fail_unless_equals_int64 (get_int (weights, "u16"), 60000);
  fail_unless_equals_int64 (get_int (weights, "i16"), -30000);
  fail_unless_equals_int64 (get_int (weights, "u32"), 4000000000);
  fail_unless_equals_int64 (get_int (weights, "i32"), -2000000000);
  fail_unless_equals_int64 (get_int (weights, "u64"), G_GINT64_CONSTANT (1) << 62);
  fail_unless_equals_int64 (get_int (weights, "i64"), -(G_GINT64_CONSTANT (1) << 62));
  fail_unless (gemma_weights_get_float (weights, "f32", &number, &error) && number == 0.1f);
  fail_unless (gemma_weights_get_float (weights, "f64", &number, &error) && number == 0.1);
  fail_unless (gemma_weights_get_float (weights, "u8", &number, &error) && number == 200);
  fail_unless (gemma_weights_get_bool (weights, "yes", &yes, &error) && yes);
  fail_unless (gemma_weights_get_bool (weights, "no", &no, &error) && !no);
  fail_unless_equals_string (gemma_weights_get_string (weights, "text", &error), "añb\n▁");

  numbers = gemma_weights_get_numbers (weights, "numbers", 3, &error);
  fail_unless (numbers && numbers[0] == 1 && numbers[1] == -2 && numbers[2] == 3);
  floats = gemma_weights_get_numbers (weights, "floats", 2, &error);
  fail_unless (floats && floats[0] == 0.5 && floats[1] == -0.25);
  repeated = gemma_weights_get_numbers (weights, "u8", 2, &error);
  fail_unless (repeated && repeated[0] == 200 && repeated[1] == 200);
  fail_unless_equals_int64 (gemma_weights_get_length (weights, "strings"), 3);
  fail_unless_equals_int64 (gemma_weights_get_length (weights, "u8"), -1);
  fail_unless_equals_int64 (gemma_weights_get_length (weights, "absent"), -1);
  fail_unless (gemma_weights_get_nth_string (weights, "strings", 0, &data, &length) && length == 0);
  fail_unless (gemma_weights_get_nth_string (weights, "strings", 2, &data, &length));
  fail_unless (length == 5 && memcmp (data, "ñ▁", 5) == 0);
  fail_if (gemma_weights_get_nth_string (weights, "strings", 3, &data, &length));
  fail_if (gemma_weights_get_nth_string (weights, "strings", -1, &data, &length));
  fail_if (gemma_weights_get_nth_string (weights, "numbers", 0, &data, &length));

  fail_if (gemma_weights_get_int (weights, "f32", &integer, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID));
  g_clear_error (&error);
  fail_if (gemma_weights_get_numbers (weights, "numbers", 4, &error) != NULL);
  g_clear_error (&error);
  fail_if (gemma_weights_get_bool (weights, "absent", &yes, &error));
  fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_NOT_FOUND));
  fail_unless (strstr (error->message, "absent") && strstr (error->message, "types.gguf"), "%s", error->message);
  gemma_weights_unref (weights);
}
GST_END_TEST;

/* ---- configurations ------------------------------------------------------------- */

static GemmaWeights *
open_image (Image *image, GByteArray **bytes)
{
  g_autoptr (GError) error = NULL;
  GemmaWeights *weights;

  *bytes = image_bytes (image);
  image_free (image);
  weights = gemma_weights_open_gguf_data ((*bytes)->data, (*bytes)->len, &error);
  g_assert_no_error (error);
  return weights;
}

/* Takes the images; @mmproj (nullable). */
static GemmaConfig *
config_of (Image *text, Image *mmproj)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) text_bytes = NULL, mmproj_bytes = NULL;
  GemmaWeights *a = open_image (text, &text_bytes), *b = mmproj ? open_image (mmproj, &mmproj_bytes) : NULL;
  GemmaConfig *config = gemma_config_new (a, b, &error);

  g_assert_no_error (error);
  gemma_weights_unref (a);
  gemma_weights_unref (b);
  return config;
}

static GemmaConfig *
config_of_hf (const gchar *config_json, gboolean with_others)
{
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();
  g_autoptr (GByteArray) tensors = fixture_safetensors (0, 1);
  GemmaWeights *weights;
  GemmaConfig *config;

  if (with_others)
    fixture_write_hf (directory);
  g_free (fixture_write (directory, "model.safetensors", tensors->data, tensors->len));
  g_free (fixture_write (directory, "config.json", config_json, strlen (config_json)));
  weights = gemma_weights_open_hf (directory, &error);
  g_assert_no_error (error);
  config = gemma_config_new (weights, NULL, &error);
  g_assert_no_error (error);
  gemma_weights_unref (weights);
  fixture_remove (directory);
  return config;
}

static void
check_text (const GemmaTextConfig *t)
{
  fail_unless_equals_int (t->hidden, 32);
  fail_unless_equals_int (t->n_layers, 4);
  fail_unless_equals_int (t->n_heads, 2);
  fail_unless_equals_int (t->n_kv_heads, 1);
  fail_unless_equals_int (t->head_dim, 16);
  fail_unless_equals_int (t->gemma3n.n_shared_kv, 2);
  fail_unless_equals_int (t->gemma3n.ple_dim, 8);
  fail_unless_equals_int (t->gemma3n.laurel_rank, 4);
  fail_unless_equals_int (t->gemma3n.n_altup, 4);
  fail_unless_equals_int (t->window, 8);
  fail_unless_equals_int (t->context_length, 128);
  fail_unless_equals_int (t->vocab_size, 64);
  fail_unless_equals_int (t->first_soft_id, 48);
  fail_unless (t->rms_eps == 1e-6f && t->rope_base == 1e6f && t->rope_base_local == 1e4f && t->logit_softcap == 30);
  for (gint i = 0; i < 4; i++) {
    fail_unless_equals_int (t->ffn[i], 32);
    fail_unless_equals_int (t->sliding[i] != 0, i % 2 == 0);
    /* torch.distributions.Normal (0, 1).icdf (0.95) in float32 */
    fail_unless (t->gemma3n.sparsity[i] == (i == 0 ? 1.6448535919189453f : 0), "%d: %.9g", i, t->gemma3n.sparsity[i]);
  }
}

static void
check_parts (const GemmaConfig *c)
{
  const GemmaAudioConfig *a = &c->audio;

  fail_unless (c->has_audio && c->has_vision);
  fail_unless_equals_int (a->hidden, 16);
  fail_unless_equals_int (a->n_layers, 1);
  fail_unless_equals_int (a->n_heads, 2);
  fail_unless_equals_int (a->n_mels, 8);
  fail_unless (a->conv_channels[0] == 4 && a->conv_channels[1] == 2);
  fail_unless (a->left == 12 && a->reduction == 4 && a->conv_kernel == 5);
  /* 1e-6 also from a GGUF, which claims 1e-5 */
  fail_unless (a->softcap == 50 && a->rms_eps == 1e-6f && a->conv_norm_eps == 1e-3f && a->residual_weight == 0.5f);
  fail_unless (a->vocab_size == 8 && a->vocab_offset == 56 && a->tokens_per_clip == 188 && a->pad_clip &&
      a->no_speech_threshold == 0);
  fail_unless (c->vision_vocab_size == 8 && c->vision_vocab_offset == 48);
}

static void
check_ids (const GemmaConfig *c)
{
  fail_unless_equals_string (c->architecture, "gemma3n");
  fail_unless (c->bos_id == 2 && c->pad_id == 0);
  fail_unless (c->n_eos == 2 && c->eos_ids[0] == 1 && c->eos_ids[1] == 6);
  fail_unless (c->boa_id == 47 && c->audio_token_id == 57 && c->eoa_id == 56);
  fail_unless (c->boi_id == 46 && c->image_token_id == 49 && c->eoi_id == 48);
}

GST_START_TEST (test_config_of_both_formats)
{
  GemmaConfig *configs[2] = { config_of (fixture_text (), fixture_mmproj ()), config_of_hf (fixture_config (), TRUE) };

  for (guint i = 0; i < 2; i++) {
    check_text (&configs[i]->text);
    check_parts (configs[i]);
    check_ids (configs[i]);
    gemma_config_free (configs[i]);
  }
}
GST_END_TEST;

GST_START_TEST (test_config_without_mmproj)
{
  GemmaConfig *config = config_of (fixture_text (), NULL);

  check_text (&config->text);
  check_ids (config);
  fail_if (config->has_audio || config->has_vision);
  gemma_config_free (config);
}
GST_END_TEST;

/* Keys that a GGUF may lack have the values of E2B and E4B, or those of the tensors. */
GST_START_TEST (test_config_of_sparse_gguf)
{
  static const gchar *const keys[] = { "gemma3n.context_length", "gemma3n.rope.freq_base",
    "gemma3n.rope.freq_base_swa", "gemma3n.attention.layer_norm_rms_epsilon", "gemma3n.attention.key_length",
    "gemma3n.attention.value_length", "gemma3n.final_logit_softcapping", "gemma3n.attention.sliding_window",
    "gemma3n.altup.active_idx", "gemma3n.altup.num_inputs", "gemma3n.embedding_length_per_layer_input",
    "gemma3n.attention.shared_kv_layers", "gemma3n.activation_sparsity_scale",
    "gemma3n.attention.sliding_window_pattern", "tokenizer.ggml.padding_token_id"
  };
  Image *image = fixture_text (), *mmproj = fixture_mmproj ();
  GemmaConfig *config;
  const GemmaTextConfig *t;

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    image_remove (image, keys[i]);
  image_set_u32 (image, "gemma3n.feed_forward_length", 32);
  image_set_bool (mmproj, "gemma.audio.pad_clip", FALSE);
  image_set_f32 (mmproj, "gemma.audio.no_speech_threshold", .25f);
  image_set_bool (image, "gemma.translation.examples", FALSE);
  image_set_bool (image, "gemma.translation.chained", FALSE);
  config = config_of (image, mmproj);
  t = &config->text;
  fail_unless (t->gemma3n.n_altup == 4 && t->gemma3n.ple_dim == 8 && t->gemma3n.laurel_rank == 4 && t->head_dim == 16);
  fail_unless (t->window == 512 && t->context_length == 32768 && t->gemma3n.n_shared_kv == 0);
  fail_unless (t->rms_eps == 1e-6f && t->rope_base == 1e6f && t->rope_base_local == 1e4f && t->logit_softcap == 30);
  for (gint i = 0; i < 4; i++)
    fail_unless (t->ffn[i] == 32 && t->sliding[i] && t->gemma3n.sparsity[i] == 0);
  fail_unless (config->pad_id == 0 && !config->audio.pad_clip && config->audio.no_speech_threshold == .25f &&
      !config->wants_examples && !config->translates_transcripts);
  fail_unless (t->alignment_layer == -1 && t->alignment_head == -1);
  gemma_config_free (config);
}
GST_END_TEST;

/* A layer that shares keys and values will do. */
GST_START_TEST (test_config_of_alignment)
{
  Image *image = fixture_text ();
  GemmaConfig *config;

  image_set_u32 (image, "gemma.alignment.layer", 3);
  image_set_u32 (image, "gemma.alignment.head", 1);
  config = config_of (image, NULL);
  fail_unless (config->text.alignment_layer == 3 && config->text.alignment_head == 1);
  gemma_config_free (config);
}
GST_END_TEST;

static GemmaConfig *
config_of_changed (const gchar *from, const gchar *to)
{
  GString *text = g_string_new (fixture_config ());
  GemmaConfig *config;

  fail_unless (g_string_replace (text, from, to, 1) == 1, "%s", from);
  config = config_of_hf (text->str, FALSE);
  g_string_free (text, TRUE);
  return config;
}

/* 0 is "none" in a file that has no other word for it, else a cut at the mean. */
GST_START_TEST (test_sparsity_of_zero)
{
  const gfloat none = -(gfloat) INFINITY, scales[][4] = { { 1.6f, 0, 0, 0 }, { 1.6f, 0, none, 0 } };

  for (guint k = 0; k < 2; k++) {
    Image *image = fixture_text ();
    GemmaConfig *config;

    image_set_array (image, "gemma3n.activation_sparsity_scale", KV_F32, scales[k], sizeof scales[k][0], 4);
    config = config_of (image, NULL);
    fail_unless (config->text.gemma3n.sparsity[0] == 1.6f && (config->text.gemma3n.sparsity[1] != 0) == (k == 1));
    fail_unless (config->text.gemma3n.sparsity[1] < 1e-30f);
    if (k == 1)
      fail_unless (config->text.gemma3n.sparsity[2] == 0);
    gemma_config_free (config);
  }
}
GST_END_TEST;

GST_START_TEST (test_config_in_other_words)
{
  GemmaConfig *config = config_of_changed ("[32, 32, 32, 32]", "32");

  check_text (&config->text);
  gemma_config_free (config);

  config = config_of_changed ("\"rope_theta\": 1000000.0, \"rope_local_base_freq\": 10000.0,", "\"rope_parameters\": "
      "{\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 5e5}, "
      "\"sliding_attention\": {\"rope_type\": \"default\", \"rope_theta\": 2e4}},");
  fail_unless (config->text.rope_base == 5e5f && config->text.rope_base_local == 2e4f);
  gemma_config_free (config);

  config = config_of_changed ("[0.95, 0.0, 0.0, 0.0]", "[0.0, 0.5, 0.9, 0.25]");
  fail_unless (config->text.gemma3n.sparsity[0] == 0);
  fail_unless (config->text.gemma3n.sparsity[1] > 0 && config->text.gemma3n.sparsity[1] < 1e-30f);      /* 0, but not "none" */
  fail_unless (fabsf (config->text.gemma3n.sparsity[2] - 1.28155155f) < 2e-7f);
  fail_unless (fabsf (config->text.gemma3n.sparsity[3] + 0.674489737f) < 2e-7f);
  gemma_config_free (config);

  config = config_of_changed ("\"final_logit_softcapping\": 30.0", "\"final_logit_softcapping\": null");
  fail_unless (config->text.logit_softcap == 0);
  fail_unless (config->n_eos == 1 && config->eos_ids[0] == 1);  /* of config.json, no generation_config.json */
  gemma_config_free (config);
}
GST_END_TEST;

/* A checkpoint of the language model alone: its configuration is the root. */
GST_START_TEST (test_config_of_text_alone)
{
  const gchar *begin = strstr (fixture_config (), "{\"model_type\": \"gemma3n_text\""), *end = strchr (begin, '}');
  g_autofree gchar *text = g_strndup (begin, end + 1 - begin);
  GemmaConfig *config = config_of_hf (text, FALSE);

  check_text (&config->text);
  fail_if (config->has_audio || config->has_vision);
  fail_unless (config->bos_id == 2 && config->pad_id == 0 && config->n_eos == 1 && config->eos_ids[0] == 1);
  fail_unless (config->audio_token_id == -1 && config->boi_id == -1);
  gemma_config_free (config);
}
GST_END_TEST;

static void
check_gemma3 (GemmaConfig *c, gboolean has_turns)
{
  const GemmaTextConfig *t = &c->text;

  fail_unless_equals_string (c->architecture, "gemma3");
  fail_unless (t->hidden == 32 && t->n_layers == 4 && t->n_heads == 2 && t->n_kv_heads == 1 && t->head_dim == 16);
  fail_unless (t->window == 8 && t->context_length == 128 && t->vocab_size == 64 && t->logit_softcap == 0);
  fail_unless (t->rope_base == 1e6f && t->rope_base_local == 1e4f && t->rope_factor == 8 && t->attention_scale == 0.25f);
  for (gint i = 0; i < 4; i++)
    fail_unless (t->ffn[i] == 32 && (t->sliding[i] != 0) == (i % 2 == 0));
  fail_if (c->hears || !c->sees || c->has_audio || c->has_vision || t->gemma3n.n_altup || t->gemma3n.sparsity);
  fail_unless (c->has_turns == has_turns && c->eos_ids[0] == 1);
  gemma_config_free (c);
}

GST_START_TEST (test_config_of_gemma3)
{
  GString *newer = g_string_new (fixture_gemma3_config ());

  check_gemma3 (config_of_hf (fixture_gemma3_config (), FALSE), FALSE);
  check_gemma3 (config_of (fixture_gemma3 (), NULL), TRUE);
  /* as transformers writes it today */
  g_string_replace (newer, "\"sliding_window_pattern\": 2", "\"_sliding_window_pattern\": 2", 1);
  g_string_replace (newer, "\"rope_scaling\": {\"factor\": 8.0, \"rope_type\": \"linear\"}", "\"rope_parameters\": "
      "{\"full_attention\": {\"factor\": 8.0, \"rope_theta\": 1000000, \"rope_type\": \"linear\"}, "
      "\"sliding_attention\": {\"rope_theta\": 10000, \"rope_type\": \"default\"}}", 1);
  check_gemma3 (config_of_hf (newer->str, FALSE), FALSE);
  g_string_free (newer, TRUE);
}
GST_END_TEST;

/* @config with @change[0] replaced by @change[1] is an error of @code that names @change[2]. */
static void
check_bad_config (const gchar *config, const gchar *const change[3], GemmaError code)
{
  GString *text = g_string_new (config);
  g_autoptr (GError) error = NULL;
  gchar *directory = fixture_directory ();
  g_autoptr (GByteArray) tensors = fixture_safetensors (0, 1);
  GemmaWeights *weights;

  fail_unless (g_string_replace (text, change[0], change[1], 1) == 1, "%s", change[0]);
  g_free (fixture_write (directory, "model.safetensors", tensors->data, tensors->len));
  g_free (fixture_write (directory, "config.json", text->str, text->len));
  weights = gemma_weights_open_hf (directory, &error);
  g_assert_no_error (error);
  fail_unless (gemma_config_new (weights, NULL, &error) == NULL, "%s: accepted", change[1]);
  fail_unless (g_error_matches (error, GEMMA_ERROR, (gint) code) && strstr (error->message, directory)
      && strstr (error->message, change[2]), "%s", error->message);
  gemma_weights_unref (weights);
  fixture_remove (directory);
  g_string_free (text, TRUE);
}

/* What Gemma 3 could have and we do not compute. */
GST_START_TEST (test_config_of_another_gemma3)
{
  static const gchar *const changes[][3] = {
    { "\"rope_type\": \"linear\"", "\"rope_type\": \"yarn\"", "rope_scaling.rope_type" },
    { "\"attn_logit_softcapping\": null", "\"attn_logit_softcapping\": 50.0", "attn_logit_softcapping" },
    { "\"use_bidirectional_attention\": false", "\"use_bidirectional_attention\": true",
        "use_bidirectional_attention" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (changes); i++)
    check_bad_config (fixture_gemma3_config (), changes[i], GEMMA_ERROR_UNSUPPORTED);
}
GST_END_TEST;

static void
check_t5gemma2 (GemmaConfig *c)
{
  const GemmaTextConfig *e = &c->encoder, *t = &c->text;

  fail_unless_equals_string (c->architecture, "t5gemma2");
  fail_unless (e->hidden == 32 && e->n_layers == 4 && e->n_heads == 4 && e->n_kv_heads == 2 && e->head_dim == 8);
  fail_unless (t->hidden == 32 && t->n_layers == 2 && t->n_heads == 2 && t->n_kv_heads == 1 && t->head_dim == 16);
  fail_unless (e->window == 8 && t->window == 4 && e->context_length == 128 && t->context_length == 96);
  fail_unless (e->rope_factor == 8 && t->rope_factor == 1);
  fail_unless (e->attention_scale == 0.25f && t->attention_scale == 0.125f);
  for (gint i = 0; i < 4; i++)
    fail_unless (e->ffn[i] == 32 && (e->sliding[i] != 0) == (i % 2 == 0));
  fail_unless (t->ffn[1] == 48 && t->sliding[0] && !t->sliding[1]);
  fail_unless (c->start_id == 2 && c->boi_id == 48 && c->eoi_id == 49 && c->image_token_id == 50);
  fail_unless (t->first_soft_id == 64 && t->vocab_size == 64 && !c->has_turns && !c->has_vision && c->eos_ids[0] == 1);
  fail_unless (c->wants_examples);
  gemma_config_free (c);
}

GST_START_TEST (test_config_of_t5gemma2)
{
  check_t5gemma2 (config_of_hf (fixture_t5gemma2_config (), FALSE));
  check_t5gemma2 (config_of (fixture_t5gemma2 (), NULL));
}
GST_END_TEST;

GST_START_TEST (test_config_of_bad_t5gemma2)
{
  static const gchar *const unsupported[][3] = {
    { "\"rope_type\": \"linear\"", "\"rope_type\": \"yarn\"",
        "encoder.text_config.rope_parameters.full_attention.rope_type" },
    { "\"attn_logit_softcapping\": null", "\"attn_logit_softcapping\": 50.0", "decoder.attn_logit_softcapping" },
    { "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "encoder.text_config.tie_word_embeddings" },
    { "\"full_attention\"]", "\"chunked_attention\"]", "decoder.layer_types[1]" },
  };
  static const gchar *const invalid[][3] = {
    { "\"encoder\": {", "\"encoder\": [], \"x\": {", "encoder" },
    { "\"text_config\": {", "\"text_config\": 1, \"x\": {", "encoder.text_config" },
    { "\"decoder\": {", "\"decoder\": null, \"x\": {", "" },
    { "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 0", "encoder.text_config.num_hidden_layers" },
    { "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "decoder.layer_types" },
    { "\"num_attention_heads\": 4", "\"num_attention_heads\": 3", "heads" },
    { "32, \"num_hidden_layers\": 2", "64, \"num_hidden_layers\": 2", "embed_tokens" },
    { "32, \"num_hidden_layers\": 4", "64, \"num_hidden_layers\": 4", "hidden_size" },
    { "\"max_position_embeddings\": 128, \"vocab_size\": 64", "\"max_position_embeddings\": 128, \"vocab_size\": 65",
        "vocab_size" },
    { "\"eoi_token_index\": 49", "\"eoi_token_index\": 64", "<end_of_image>" },
    { "\"bos_token_id\": 2", "\"decoder_start_token_id\": 64", "start" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (unsupported); i++)
    check_bad_config (fixture_t5gemma2_config (), unsupported[i], GEMMA_ERROR_UNSUPPORTED);
  for (guint i = 0; i < G_N_ELEMENTS (invalid); i++)
    check_bad_config (fixture_t5gemma2_config (), invalid[i], GEMMA_ERROR_INVALID);
}
GST_END_TEST;

/* As published, as transformers holds them in memory, and back. */
GST_START_TEST (test_names_of_t5gemma2)
{
  static const gchar *const pairs[][2] = {
    { "model.encoder.embed_tokens.weight", "token_embd.weight" },
    { "model.encoder.embed_tokens.eoi_embedding", "eoi_embd.weight" },
    { "model.encoder.norm.weight", "enc.output_norm.weight" },
    { "model.encoder.layers.17.pre_self_attn_layernorm.weight", "enc.blk.17.attn_norm.weight" },
    { "model.encoder.layers.3.self_attn.q_proj.weight", "enc.blk.3.attn_q.weight" },
    { "model.decoder.layers.3.post_self_attn_layernorm.weight", "dec.blk.3.post_attention_norm.weight" },
    { "model.decoder.layers.0.post_feedforward_layernorm.weight", "dec.blk.0.post_ffw_norm.weight" },
    { "model.decoder.norm.weight", "dec.output_norm.weight" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++) {
    g_autofree gchar *gguf = gemma_name_from_hf (pairs[i][0]), *hf = gemma_name_to_hf (pairs[i][1]), *again = NULL;
    g_autoptr (GString) held = g_string_new (pairs[i][0]);

    fail_unless_equals_string (gguf, pairs[i][1]);
    g_string_replace (held, "model.encoder.", "model.encoder.text_model.", 1);
    again = gemma_name_from_hf (held->str);
    fail_unless_equals_string (again, pairs[i][1]);
    if (i > 0)  /* other architectures call the table otherwise */
      fail_unless_equals_string (hf, pairs[i][0]);
  }
}
GST_END_TEST;

/* Of both models, with a word in the name that newer files lack, and from an mmproj. */
GST_START_TEST (test_names_of_siglip)
{
  static const gchar *const pairs[][2] = {
    { "vision_tower.vision_model.embeddings.patch_embedding.weight", "v.patch_embd.weight" },
    { "model.encoder.vision_tower.vision_model.embeddings.patch_embedding.bias", "v.patch_embd.bias" },
    { "model.vision_tower.embeddings.position_embedding.weight", "v.position_embd.weight" },
    { "vision_tower.vision_model.encoder.layers.26.mlp.fc1.weight", "v.blk.26.ffn_up.weight" },
    { "model.encoder.vision_tower.encoder.layers.0.mlp.fc2.bias", "v.blk.0.ffn_down.bias" },
    { "model.vision_tower.vision_model.encoder.layers.3.self_attn.out_proj.weight", "v.blk.3.attn_out.weight" },
    { "vision_tower.vision_model.encoder.layers.3.layer_norm2.bias", "v.blk.3.ln2.bias" },
    { "model.encoder.vision_tower.vision_model.post_layernorm.weight", "v.post_ln.weight" },
    { "multi_modal_projector.mm_input_projection_weight", "mm.input_projection.weight" },
    { "model.encoder.multi_modal_projector.mm_soft_emb_norm.weight", "mm.soft_emb_norm.weight" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++) {
    g_autofree gchar *gguf = gemma_name_from_hf (pairs[i][0]), *hf = gemma_name_to_hf (pairs[i][1]), *again = NULL;

    fail_unless_equals_string (gguf, pairs[i][1]);
    again = gemma_name_from_hf (hf);
    fail_unless_equals_string (again, pairs[i][1]);
  }
}
GST_END_TEST;

/* ---- JSON ----------------------------------------------------------------------- */

static const struct
{
  const gchar *text;
  gboolean valid;
} documents[] = {
  { "{}", TRUE }, { " [ ] ", TRUE }, { "0", TRUE }, { "-0.5e+10", TRUE }, { "\"\"", TRUE }, { "null", TRUE },
  { "[true, false, null, {\"a\": [[1, 2], {}]}]", TRUE }, { "\"\\ud83d\\ude00 \\\" \\u00e9\"", TRUE },
  { "{\"a\": 1, \"b\": {\"a\": 2}}", TRUE }, { "1000000000000000019884624838656", TRUE },
  { "", FALSE }, { " ", FALSE }, { "{", FALSE }, { "}", FALSE }, { "[1,]", FALSE }, { "[,1]", FALSE }, { "[1 2]", FALSE },
  { "{\"a\"}", FALSE }, { "{\"a\":}", FALSE }, { "{\"a\": 1,}", FALSE }, { "{a: 1}", FALSE }, { "{'a': 1}", FALSE },
  { "{1: 1}", FALSE }, { "01", FALSE }, { "+1", FALSE }, { "1.", FALSE }, { ".5", FALSE }, { "1e", FALSE }, { "-", FALSE },
  { "0x10", FALSE }, { "NaN", FALSE }, { "Infinity", FALSE }, { "nul", FALSE }, { "nulls", FALSE }, { "[]]", FALSE },
  { "[}", FALSE }, { "{]", FALSE }, { "// c\n1", FALSE }, { "[1 /* c */]", FALSE }, { "\"", FALSE }, { "\"\\", FALSE },
  { "\"\\x\"", FALSE }, { "\"\\u12\"", FALSE }, { "\"\\u0000\"", FALSE }, { "\"\\ud800\"", FALSE },
  { "\"\\ud800\\u0041\"", FALSE }, { "\"\\udc00\"", FALSE }, { "\"\n\"", FALSE }, { "\"\xff\"", FALSE },
  { "\"\xed\xa0\x80\"", FALSE }, { "{\"a\": 1, \"a\": 2}", FALSE }, { "{\"a\": 1, \"\\u0061\": 2}", FALSE },
  { "{} {}", FALSE }, { "\xef\xbb\xbf{}", FALSE },
};

GST_START_TEST (test_json_document)
{
  g_autoptr (GError) error = NULL;
  const gchar *text = documents[__i__].text;
  JsonNode *node = gemma_json_parse_data (text, strlen (text), "file.json", 8, &error);

  fail_unless ((node != NULL) == documents[__i__].valid, "%s: %s", text, error ? error->message : "accepted");
  fail_unless ((node == NULL) == (error != NULL));
  if (error)
    fail_unless (g_error_matches (error, GEMMA_ERROR, GEMMA_ERROR_INVALID)
        && g_str_has_prefix (error->message, "file.json: "), "%s", error->message);
  g_clear_pointer (&node, json_node_unref);
}
GST_END_TEST;

GST_START_TEST (test_json_depth)
{
  static const gchar text[] = "[[{\"a\": [1]}]]";

  fail_unless (gemma_json_check (text, strlen (text), "f", 4, NULL));
  fail_if (gemma_json_check (text, strlen (text), "f", 3, NULL));
}
GST_END_TEST;

static Suite *
readers_good_inputs_suite (void)
{
  Suite *suite = suite_create ("readers_good_inputs");
  TCase *tcase = tcase_create ("all");

  suite_add_tcase (suite, tcase);
  tcase_add_test (tcase, test_gguf_values);
  tcase_add_test (tcase, test_safetensors_values);
  tcase_add_test (tcase, test_unaligned_safetensors);
  tcase_add_test (tcase, test_values_that_are_rounded);
  tcase_add_test (tcase, test_find_and_shapes);
  tcase_add_test (tcase, test_names);
  tcase_add_test (tcase, test_other_names_stay);
  tcase_add_test (tcase, test_metadata);
  tcase_add_test (tcase, test_config_of_both_formats);
  tcase_add_test (tcase, test_config_without_mmproj);
  tcase_add_test (tcase, test_config_of_sparse_gguf);
  tcase_add_test (tcase, test_config_of_alignment);
  tcase_add_test (tcase, test_sparsity_of_zero);
  tcase_add_test (tcase, test_config_in_other_words);
  tcase_add_test (tcase, test_config_of_text_alone);
  tcase_add_test (tcase, test_config_of_gemma3);
  tcase_add_test (tcase, test_config_of_another_gemma3);
  tcase_add_test (tcase, test_config_of_t5gemma2);
  tcase_add_test (tcase, test_config_of_bad_t5gemma2);
  tcase_add_test (tcase, test_names_of_t5gemma2);
  tcase_add_test (tcase, test_names_of_siglip);
  tcase_add_loop_test (tcase, test_json_document, 0, G_N_ELEMENTS (documents));
  tcase_add_test (tcase, test_json_depth);
  return suite;
}

GST_CHECK_MAIN (readers_good_inputs);
