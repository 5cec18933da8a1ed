/* The properties of a language model's element, kept apart so that the transcriber can hand them on. */
#include "lm-base.h"
#include "stream.h"

G_DEFINE_ENUM_TYPE (GstGemmaTask, gst_gemma_task,
    { GEMMA_TASK_TRANSCRIBE, "Write down what is said", "transcribe" },
    { GEMMA_TASK_TRANSLATE, "Translate what is said", "translate" },
    { GEMMA_TASK_TRANSCRIBE_THEN_TRANSLATE, "Write down what is said, then its translation on a line of its own",
        "transcribe-then-translate" },
    { GEMMA_TASK_DESCRIBE, "Describe what is seen", "describe" },
    { GEMMA_TASK_CUSTOM, "Do what the property prompt says", "custom" })

G_DEFINE_ENUM_TYPE (GstGemmaStreaming, gst_gemma_streaming,
    { GEMMA_STREAMING_WHOLE, "Utterances leave whole, when they are over", "whole" },
    { GEMMA_STREAMING_PARTIAL, "Utterances leave whole; while they are heard, messages show what is understood so far",
        "partial" },
    { GEMMA_STREAMING_WORDS, "Words leave while their utterance is heard, as soon as two hypotheses agree on them",
        "words" },
    { GEMMA_STREAMING_AUTO, "Live, words for transcripts and partial for translations; else whole", "auto" })

G_DEFINE_ENUM_TYPE (GstGemmaPadClip, gst_gemma_pad_clip,
    { GEMMA_PAD_CLIP_AUTO, "As the model was trained: published Gemma 3n pads, the embedded model does not", "auto" },
    { GEMMA_PAD_CLIP_NEVER, "Speech has as many soft tokens as it is long", "never" },
    { GEMMA_PAD_CLIP_ALWAYS, "Speech is filled up to as many soft tokens as the longest clip has", "always" })

G_DEFINE_ENUM_TYPE (GstGemmaKvCache, gst_gemma_kv_cache,
    { GEMMA_KV_CACHE_F32, "Exact", "f32" },
    { GEMMA_KV_CACHE_INT8, "8 bits: a quarter of the memory, and seldom another word", "int8" })

void
gemma_lm_settings_init (GemmaLmSettings *s)
{
  *s = (GemmaLmSettings) {
    .task = GEMMA_TASK_TRANSCRIBE, .prompt = NULL, .stop = NULL, .source_language = g_strdup ("en"),
    .target_language = g_strdup ("en"), .submodel = g_strdup ("full"), .max_tokens = 256, .top_p = 1., .max_pictures = 1,
    .segment_silence = 480, .max_segment = 30000, .decode_timeout = 120000, .latency = 8000,
    .hypothesis_interval = 400, .no_speech_threshold = -1.,
  };
}

void
gemma_lm_settings_clear (GemmaLmSettings *s)
{
  g_clear_pointer (&s->prompt, g_free);
  g_clear_pointer (&s->stop, g_free);
  g_clear_pointer (&s->source_language, g_free);
  g_clear_pointer (&s->target_language, g_free);
  g_clear_pointer (&s->submodel, g_free);
  g_clear_pointer (&s->fallback_submodel, g_free);
  g_clear_pointer (&s->translations, g_free);
}

void
gemma_lm_settings_copy (GemmaLmSettings *to, const GemmaLmSettings *from)
{
  *to = *from;
  to->prompt = g_strdup (from->prompt);
  to->stop = g_strdup (from->stop);
  to->source_language = g_strdup (from->source_language);
  to->target_language = g_strdup (from->target_language);
  to->submodel = g_strdup (from->submodel);
  to->fallback_submodel = g_strdup (from->fallback_submodel);
  to->translations = g_strdup (from->translations);
}

const gchar *
gemma_lm_settings_get_language (const GemmaLmSettings *s)
{
  const gchar *language = s->task == GEMMA_TASK_TRANSCRIBE ? s->source_language :
      s->task == GEMMA_TASK_TRANSLATE || s->task == GEMMA_TASK_DESCRIBE ? s->target_language : NULL;

  return language && *language ? language : NULL;
}

static void
install_what (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, GEMMA_LM_PROP_PROMPT, g_param_spec_string ("prompt", "Prompt",
          "The instruction of task custom; it follows the picture and precedes the sound or the text, or has {text} in the "
          "place of the text. A base model, which has no chat template, goes on with it. Of text that is translated: what "
          "precedes it", NULL, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_STOP, g_param_spec_string ("stop", "Stop",
          "Characters that end an answer and are left out of it, a line break for one; base models need them, and "
          "translate lines of text up to a line break by themselves", NULL,
          flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_SOURCE_LANGUAGE, g_param_spec_string ("source-language",
          "Source language", "Language that is spoken, a BCP 47 code (\"es\", \"pt-BR\") or a name", "en", flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_TARGET_LANGUAGE, g_param_spec_string ("target-language",
          "Target language", "Language of translations and descriptions, a BCP 47 code or a name", "en", flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_SUBMODEL, g_param_spec_string ("submodel", "Submodel",
          "Part of a MatFormer model that runs: full, a published part of Gemma 3n E4B (E2B, E1.96B, E2.54B, E2.69B, E2.98B, "
          "E3.18B, E3.39B, E3.59B, E3.79B, and -block variants), or a file with lines of a layer and its FFN width, or skip; "
          "set while playing, it counts from the next token on", "full", flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_FALLBACK_SUBMODEL, g_param_spec_string ("fallback-submodel",
          "Fallback submodel", "Part of a MatFormer model, as of submodel, that runs while a live stream is faster than the "
          "machine (message gemma-load); NULL or empty: none", NULL, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_ACTIVATIONS, g_param_spec_enum ("activations", "Activations",
          "How what the language model computes with quantized weights (Q8_0, Q4_0 ...) is rounded before each product; it counts "
          "from the next answer on", GST_TYPE_GEMMA_ACTIVATIONS, OCL_MATMUL_F32_ACTIVATIONS, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_KV_CACHE, g_param_spec_enum ("kv-cache", "KV cache",
          "How the keys and values of what was read are kept; it counts from the next answer on", GST_TYPE_GEMMA_KV_CACHE,
          GEMMA_KV_CACHE_F32, flags));
}

static void
install_sampling (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, GEMMA_LM_PROP_MAX_TOKENS, g_param_spec_uint ("max-tokens", "Maximum tokens",
          "Tokens of one answer at most; speech is also limited by its length", 1, G_MAXINT, 256, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_TEMPERATURE, g_param_spec_double ("temperature", "Temperature",
          "0 takes the likeliest token; higher values sample more freely", 0., 10., 0., flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_TOP_K, g_param_spec_uint ("top-k", "Top K",
          "Sample among this many of the likeliest tokens (0: all)", 0, G_MAXINT, 0, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_TOP_P, g_param_spec_double ("top-p", "Top P",
          "Sample among the likeliest tokens of this probability together (1: all)", 0., 1., 1., flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_SEED, g_param_spec_uint64 ("seed", "Seed",
          "Seed of the sampling; the same seed gives the same text", 0, G_MAXUINT64, 0, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_CONTEXT_SIZE, g_param_spec_uint ("context-size", "Context size",
          "Tokens of prompt and answer together at most (0: enough for speech and its pictures, at most the model's)", 0, 1 << 20, 0, flags));
}

static void
install_limits (GObjectClass *klass, GParamFlags flags)
{
  g_object_class_install_property (klass, GEMMA_LM_PROP_SEGMENT_SILENCE, g_param_spec_uint ("segment-silence",
          "Segment silence", "A pause this long ends an utterance (ms)", 160, 10000, 480, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_MAX_SEGMENT, g_param_spec_uint ("max-segment",
          "Longest segment", "An utterance is cut, at a pause if there is one, at this length, and a description ends (ms)",
          1000, 30000, 30000, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_DECODE_TIMEOUT, g_param_spec_uint ("decode-timeout",
          "Decoding timeout", "An answer that takes longer is cut, with a warning (ms, 0: never)", 0, G_MAXUINT, 120000,
          flags));
}

void
gemma_lm_settings_install_tasks (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  g_object_class_install_property (klass, GEMMA_LM_PROP_TASK, g_param_spec_enum ("task", "Task",
          "What the model is asked to do; a picture without sound or text is described, unless this is custom",
          GST_TYPE_GEMMA_TASK, GEMMA_TASK_TRANSCRIBE, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_MAX_PICTURES, g_param_spec_uint ("max-pictures",
          "Maximum pictures", "Pictures that what is said in their time takes along, evenly spread and with the newest; the "
          "last one before, where none came meanwhile (each is 256 tokens; 0: none)", 0, 16, 1, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_PAD_CLIP, g_param_spec_enum ("pad-clip", "Pad clip",
          "Whether speech, and each hypothesis about it, is filled up with empty soft tokens (188 of Gemma 3n); it costs "
          "their time with every question", GST_TYPE_GEMMA_PAD_CLIP, GEMMA_PAD_CLIP_AUTO, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_NO_SPEECH_THRESHOLD, g_param_spec_double ("no-speech-threshold",
          "No-speech threshold", "Sound has no words if the model finds this probability or more that it has none: the end of "
          "the answer as its first token; a third of it while an utterance goes on (-1: as the model was trained, 0: only if nothing is likelier)", -1., 1., -1., flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_STREAMING, g_param_spec_enum ("streaming", "Streaming",
          "What is told of a transcript or translation while its utterance is heard",
          GST_TYPE_GEMMA_STREAMING, GEMMA_STREAMING_WHOLE, flags));
  g_object_class_install_property (klass, GEMMA_LM_PROP_HYPOTHESIS_INTERVAL, g_param_spec_uint ("hypothesis-interval",
          "Hypothesis interval", "Streaming, the model is asked again after this much more speech (ms)", 160, 10000, 400,
          flags));
}

void
gemma_lm_settings_install (GObjectClass *klass)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  gemma_model_user_install_properties (klass, GEMMA_LM_PROP_MODEL);
  gemma_model_user_install_weights (klass, GEMMA_LM_PROP_WEIGHTS);
  install_what (klass, flags);
  install_sampling (klass, flags);
  install_limits (klass, flags);
  g_object_class_install_property (klass, GEMMA_LM_PROP_STATS, g_param_spec_boxed ("stats", "Statistics",
          "utterances, hypotheses, hypotheses-dropped, texts, translations, "
          "pictures, pictures-dropped, prompt-tokens, reused-tokens, "
          "tokens, decode-seconds, model-loaded, device, device-bytes, mapped-bytes",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
take_string (gchar **to, const GValue *value)
{
  g_free (*to);
  *to = g_value_dup_string (value);
}

static void
take_text (gchar **to, const GValue *value)
{
  g_free (*to);
  *to = gemma_stream_take_text (value);
}

gboolean
gemma_lm_settings_set (GemmaLmSettings *s, guint id, const GValue *value)
{
  switch (id) {
    case GEMMA_LM_PROP_TASK: s->task = g_value_get_enum (value); return TRUE;
    case GEMMA_LM_PROP_PROMPT: take_text (&s->prompt, value); return TRUE;
    case GEMMA_LM_PROP_STOP: take_text (&s->stop, value); return TRUE;
    case GEMMA_LM_PROP_SOURCE_LANGUAGE: take_text (&s->source_language, value); return TRUE;
    case GEMMA_LM_PROP_TARGET_LANGUAGE: take_text (&s->target_language, value); return TRUE;
    case GEMMA_LM_PROP_SUBMODEL: take_string (&s->submodel, value); return TRUE;
    case GEMMA_LM_PROP_FALLBACK_SUBMODEL: take_string (&s->fallback_submodel, value); return TRUE;
    case GEMMA_LM_PROP_ACTIVATIONS: s->activations = g_value_get_enum (value); return TRUE;
    case GEMMA_LM_PROP_KV_CACHE: s->kv_cache = g_value_get_enum (value); return TRUE;
    case GEMMA_LM_PROP_MAX_TOKENS: s->max_tokens = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_TEMPERATURE: s->temperature = g_value_get_double (value); return TRUE;
    case GEMMA_LM_PROP_TOP_K: s->top_k = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_TOP_P: s->top_p = g_value_get_double (value); return TRUE;
    case GEMMA_LM_PROP_SEED: s->seed = g_value_get_uint64 (value); return TRUE;
    case GEMMA_LM_PROP_CONTEXT_SIZE: s->context_size = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_MAX_PICTURES: s->max_pictures = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_SEGMENT_SILENCE: s->segment_silence = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_MAX_SEGMENT: s->max_segment = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_PAD_CLIP: s->pad_clip = g_value_get_enum (value); return TRUE;
    case GEMMA_LM_PROP_NO_SPEECH_THRESHOLD: s->no_speech_threshold = g_value_get_double (value); return TRUE;
    case GEMMA_LM_PROP_STREAMING: s->streaming = g_value_get_enum (value); return TRUE;
    case GEMMA_LM_PROP_HYPOTHESIS_INTERVAL: s->hypothesis_interval = g_value_get_uint (value); return TRUE;
    case GEMMA_LM_PROP_DECODE_TIMEOUT: s->decode_timeout = g_value_get_uint (value); return TRUE;
    default: return FALSE;
  }
}

gboolean
gemma_lm_settings_get (const GemmaLmSettings *s, guint id, GValue *value)
{
  switch (id) {
    case GEMMA_LM_PROP_TASK: g_value_set_enum (value, s->task); return TRUE;
    case GEMMA_LM_PROP_PROMPT: g_value_set_string (value, s->prompt); return TRUE;
    case GEMMA_LM_PROP_STOP: g_value_set_string (value, s->stop); return TRUE;
    case GEMMA_LM_PROP_SOURCE_LANGUAGE: g_value_set_string (value, s->source_language); return TRUE;
    case GEMMA_LM_PROP_TARGET_LANGUAGE: g_value_set_string (value, s->target_language); return TRUE;
    case GEMMA_LM_PROP_SUBMODEL: g_value_set_string (value, s->submodel); return TRUE;
    case GEMMA_LM_PROP_FALLBACK_SUBMODEL: g_value_set_string (value, s->fallback_submodel); return TRUE;
    case GEMMA_LM_PROP_ACTIVATIONS: g_value_set_enum (value, s->activations); return TRUE;
    case GEMMA_LM_PROP_KV_CACHE: g_value_set_enum (value, s->kv_cache); return TRUE;
    case GEMMA_LM_PROP_MAX_TOKENS: g_value_set_uint (value, s->max_tokens); return TRUE;
    case GEMMA_LM_PROP_TEMPERATURE: g_value_set_double (value, s->temperature); return TRUE;
    case GEMMA_LM_PROP_TOP_K: g_value_set_uint (value, s->top_k); return TRUE;
    case GEMMA_LM_PROP_TOP_P: g_value_set_double (value, s->top_p); return TRUE;
    case GEMMA_LM_PROP_SEED: g_value_set_uint64 (value, s->seed); return TRUE;
    case GEMMA_LM_PROP_CONTEXT_SIZE: g_value_set_uint (value, s->context_size); return TRUE;
    case GEMMA_LM_PROP_MAX_PICTURES: g_value_set_uint (value, s->max_pictures); return TRUE;
    case GEMMA_LM_PROP_SEGMENT_SILENCE: g_value_set_uint (value, s->segment_silence); return TRUE;
    case GEMMA_LM_PROP_MAX_SEGMENT: g_value_set_uint (value, s->max_segment); return TRUE;
    case GEMMA_LM_PROP_PAD_CLIP: g_value_set_enum (value, s->pad_clip); return TRUE;
    case GEMMA_LM_PROP_NO_SPEECH_THRESHOLD: g_value_set_double (value, s->no_speech_threshold); return TRUE;
    case GEMMA_LM_PROP_STREAMING: g_value_set_enum (value, s->streaming); return TRUE;
    case GEMMA_LM_PROP_HYPOTHESIS_INTERVAL: g_value_set_uint (value, s->hypothesis_interval); return TRUE;
    case GEMMA_LM_PROP_DECODE_TIMEOUT: g_value_set_uint (value, s->decode_timeout); return TRUE;
    default: return FALSE;
  }
}
