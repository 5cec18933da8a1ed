/* What gemmalm, gemmasink and gemmatranslate share: sink pads, settings, a queue, and a task in which the model works.
 *
 * Sink pads gather soft tokens into utterances (lm-pad.c) and queue them with the events around them (lm-base.c); the
 * task takes them one by one, looks for the pictures of their time (lm-scene.c), asks the model (lm-decode.c), about
 * speech also while it goes on (lm-stream.c), and hands the results to the subclass, in order.
 */
#pragma once

#include <gst/gst.h>

#include "hypotheses.h"
#include "model-user.h"
#include "models/memory.h"
#include "models/task.h"
#include "pictures.h"
#include "utterances.h"

G_BEGIN_DECLS

typedef struct _GstGemmaLmBase GstGemmaLmBase;

/* ---- sink pads -------------------------------------------------------------------------- */

#define GST_TYPE_GEMMA_LM_PAD (gst_gemma_lm_pad_get_type ())
G_DECLARE_FINAL_TYPE (GstGemmaLmPad, gst_gemma_lm_pad, GST, GEMMA_LM_PAD, GstPad)

typedef enum
{
  GEMMA_LM_PAD_AUDIO,
  GEMMA_LM_PAD_VIDEO,
  GEMMA_LM_PAD_TEXT
} GemmaLmPadKind;

/* What is not the element's belongs to the pad's streaming thread. */
struct _GstGemmaLmPad
{
  GstPad parent;
  GstGemmaLmBase *element;      /* not owned: it owns the pad */
  GemmaLmPadKind kind;
  guint hidden, n_tokens;       /* from the caps */
  GemmaUtterances *utterances;
  GstSegment segment;
  GstClockTime position;        /* end of the last buffer */
  GstClockTime heard_start, heard_end;  /* speech in the last hypothesis that was asked for */
  GstFlowReturn flow;           /* of what was queued for the current input */

  /* Guarded by the element's lock. */
  gboolean eos, active;
  gboolean flushing;            /* a video pad beside others */
  gboolean late;                /* the others waited in vain: they do not wait until it moves */
  GstClockTime reached;         /* running time before which nothing more will come */
};

/* ---- work ----------------------------------------------------------------------------------- */

typedef enum
{
  GEMMA_WORK_SPEECH,            /* rows */
  GEMMA_WORK_IMAGE,             /* pictures: one that nothing is said about */
  GEMMA_WORK_TEXT,              /* text */
  GEMMA_WORK_HEARD,             /* rows: speech that goes on; start as the whole will have it */
  GEMMA_WORK_SILENCE,
  GEMMA_WORK_EVENT              /* event */
} GemmaWorkKind;

typedef struct
{
  GemmaWorkKind kind;
  GstClockTime start, end;
  GstClockTime running_start, running_end;
  gint64 arrived;               /* monotonic */
  gboolean foreign;             /* its times are of another pad's segment than the events */
  gboolean discont, no_duration;        /* of a text's buffer */
  gboolean heavy;               /* in the queue: it takes one of its places */
  GArray *rows, *tokens;        /* gfloat, soft tokens of sound; GemmaSoundToken, the same ones (nullable) */
  guint n_carried, n_kept;      /* as GemmaUtterance has these three */
  gboolean dismissed;
  GPtrArray *pictures;          /* of GemmaPicture, in order of time */
  gchar *text;
  gboolean divisible;           /* a text that is asked in parts if it is too long for the model */
  const GArray *examples;       /* of GemmaExample, which precede the text; not owned */
  GstEvent *event;
  gchar *answer;                /* (nullable): what was told of all of it, speech or text */
} GemmaWork;

GemmaWork *gemma_work_new (GemmaWorkKind kind, GstClockTime start, GstClockTime end);
void gemma_work_free (GemmaWork *work);
/** Forgets the first @n of its carried tokens. */
void gemma_work_skip_carried (GemmaWork *work, guint n);

/* ---- settings --------------------------------------------------------------------------------- */

typedef enum
{
  GEMMA_STREAMING_WHOLE,        /* utterances leave whole */
  GEMMA_STREAMING_PARTIAL,      /* and are shown while they are heard */
  GEMMA_STREAMING_WORDS,        /* words leave while their utterance is heard */
  GEMMA_STREAMING_AUTO          /* live, words of transcripts, partial translations; else whole */
} GemmaStreaming;

typedef enum
{
  GEMMA_PAD_CLIP_AUTO,          /* as the model was trained */
  GEMMA_PAD_CLIP_NEVER,
  GEMMA_PAD_CLIP_ALWAYS
} GemmaPadClip;

typedef enum
{
  GEMMA_KV_CACHE_F32,           /* exact */
  GEMMA_KV_CACHE_INT8
} GemmaKvCacheType;

typedef struct
{
  GemmaTask task;
  GemmaPadClip pad_clip;
  gdouble no_speech_threshold;  /* below 0: the model's own */
  OclMatmulFlags activations;
  GemmaKvCacheType kv_cache;
  gchar *prompt, *stop, *source_language, *target_language, *submodel, *fallback_submodel;
  gchar *translations;          /* (nullable): into which languages answers go on, as a sentence names them; of gemmalm */
  guint max_tokens, context_size, top_k, max_pictures;
  gdouble temperature, top_p;
  guint64 seed;
  guint segment_silence, max_segment, decode_timeout;   /* ms */
  GemmaStreaming streaming;
  guint hypothesis_interval;    /* ms */
  guint latency, lateness;      /* ms; of gemmalm */
} GemmaLmSettings;

void gemma_lm_settings_init (GemmaLmSettings *settings);
void gemma_lm_settings_clear (GemmaLmSettings *settings);
void gemma_lm_settings_copy (GemmaLmSettings *to, const GemmaLmSettings *from);
/** The language of the text that comes out, or NULL. */
const gchar *gemma_lm_settings_get_language (const GemmaLmSettings *settings);

/* Ids 1 .. GEMMA_LM_LAST_PROPERTY; subclasses go on after it. */
enum
{
  GEMMA_LM_PROP_MODEL = 1,
  GEMMA_LM_PROP_WEIGHTS = GEMMA_LM_PROP_MODEL + GEMMA_MODEL_USER_N_PROPERTIES,
  GEMMA_LM_PROP_TASK,
  GEMMA_LM_PROP_PROMPT,
  GEMMA_LM_PROP_STOP,
  GEMMA_LM_PROP_SOURCE_LANGUAGE,
  GEMMA_LM_PROP_TARGET_LANGUAGE,
  GEMMA_LM_PROP_MAX_TOKENS,
  GEMMA_LM_PROP_TEMPERATURE,
  GEMMA_LM_PROP_TOP_K,
  GEMMA_LM_PROP_TOP_P,
  GEMMA_LM_PROP_SEED,
  GEMMA_LM_PROP_CONTEXT_SIZE,
  GEMMA_LM_PROP_SUBMODEL,
  GEMMA_LM_PROP_FALLBACK_SUBMODEL,
  GEMMA_LM_PROP_ACTIVATIONS,
  GEMMA_LM_PROP_KV_CACHE,
  GEMMA_LM_PROP_MAX_PICTURES,
  GEMMA_LM_PROP_SEGMENT_SILENCE,
  GEMMA_LM_PROP_MAX_SEGMENT,
  GEMMA_LM_PROP_DECODE_TIMEOUT,
  GEMMA_LM_PROP_PAD_CLIP,
  GEMMA_LM_PROP_NO_SPEECH_THRESHOLD,
  GEMMA_LM_PROP_STREAMING,
  GEMMA_LM_PROP_HYPOTHESIS_INTERVAL,
  GEMMA_LM_PROP_STATS,
  GEMMA_LM_LAST_PROPERTY = GEMMA_LM_PROP_STATS
};

void gemma_lm_settings_install (GObjectClass *klass);
/** Those that only elements with sound and pictures have; gst_gemma_lm_base_class_add_sink_pads() calls it. */
void gemma_lm_settings_install_tasks (GObjectClass *klass);
/** FALSE: no property of these settings. */
gboolean gemma_lm_settings_set (GemmaLmSettings *settings, guint id, const GValue *value);
gboolean gemma_lm_settings_get (const GemmaLmSettings *settings, guint id, GValue *value);

#define GST_TYPE_GEMMA_TASK (gst_gemma_task_get_type ())
GType gst_gemma_task_get_type (void);
#define GST_TYPE_GEMMA_STREAMING (gst_gemma_streaming_get_type ())
GType gst_gemma_streaming_get_type (void);
#define GST_TYPE_GEMMA_PAD_CLIP (gst_gemma_pad_clip_get_type ())
GType gst_gemma_pad_clip_get_type (void);
#define GST_TYPE_GEMMA_KV_CACHE (gst_gemma_kv_cache_get_type ())
GType gst_gemma_kv_cache_get_type (void);

/* ---- the model at work (lm-decode.c) ------------------------------------------------------------- */

typedef struct
{
  GemmaModel *model;
  GemmaMemory *memory;
  gint context_size, rollback;  /* of its session, as is the next */
  OclMatmulFlags activations;
  GemmaKvCacheType kv_cache;
  GemmaLmSubmodel *submodel;    /* that it runs */
  gchar *next_submodel;         /* chosen for the next answer; NULL: the same */
  gboolean mixed;               /* positions that it holds ran in another one */
  /* What is called between tokens: the choice, if it was set since the last call. (transfer full) (nullable) */
  gchar *(*take_submodel) (gpointer user_data);
  gpointer user_data;
} GemmaDecoding;

typedef struct
{
  guint prompt_tokens, reused_tokens, tokens;   /* reused: of the prompt, not computed again */
  gint64 microseconds;
  gboolean timed_out;
} GemmaDecodeStats;

typedef struct
{
  const GArray *said;           /* (nullable): gint32, ids that the answer begins with */
  gboolean goes_on;             /* said has a whole answer, after which comes another line */
  gboolean aligns;              /* it wants to know where the model looks */
  /**
   * Each token after them. @text: what it added, @all: since @said; @weights: (nullable): of each token of the sound, as
   * gemma_lm_session_align() has it, if the model can tell. FALSE ends the answer.
   */
  gboolean (*token) (gint32 id, const gchar *text, const gchar *all, const gfloat *weights, gpointer user_data);
  gpointer user_data;
} GemmaListener;

void gemma_decoding_clear (GemmaDecoding *decoding);
/**
 * What the model says to @work after what it said already, trimmed. (transfer full)
 * @decoding: made when needed, kept for the next call
 *
 * A submodel that is chosen meanwhile runs from the next token on, or from the next answer on where what is in the cache
 * lacks keys and values that it reads.
 */
gchar *gemma_decode (GemmaDecoding *decoding, const GemmaLmSettings *settings, const GemmaWork *work,
    const GemmaListener *listener, GCancellable *cancellable, GemmaDecodeStats *stats, GError **error);

/* ---- element ---------------------------------------------------------------------------------------- */

#define GST_TYPE_GEMMA_LM_BASE (gst_gemma_lm_base_get_type ())
#define GST_GEMMA_LM_BASE(obj) (G_TYPE_CHECK_INSTANCE_CAST ((obj), GST_TYPE_GEMMA_LM_BASE, GstGemmaLmBase))
#define GST_GEMMA_LM_BASE_CLASS(klass) (G_TYPE_CHECK_CLASS_CAST ((klass), GST_TYPE_GEMMA_LM_BASE, GstGemmaLmBaseClass))
#define GST_GEMMA_LM_BASE_GET_CLASS(obj) \
    (G_TYPE_INSTANCE_GET_CLASS ((obj), GST_TYPE_GEMMA_LM_BASE, GstGemmaLmBaseClass))
GType gst_gemma_lm_base_get_type (void);

typedef struct _GstGemmaLmBaseClass GstGemmaLmBaseClass;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstGemmaLmBase, gst_object_unref)

/* The description of a picture on its own, the task's. */
typedef struct
{
  gchar *text;                  /* held until its end is known; NULL: nothing is */
  GstClockTime start, end;      /* end: as far as is known */
  GstClockTime spacing;         /* between the last two pictures */
  GstClockTime told;            /* where what was handed on ends */
} GemmaDescription;

/* A word of a whole transcript. */
typedef struct
{
  GstClockTime start, end;
  gchar *text;
} GemmaWord;

/* The utterance that is heard (lm-stream.c), the task's. */
typedef struct
{
  GemmaHypotheses *hypotheses;
  GstClockTime start, end;      /* of the speech in the last hypothesis; start is none: no utterance goes on */
  GstClockTime from;            /* start, or before it where what was cut goes on: the words before it were told */
  GstClockTime told;            /* where the words that were told end */
  GstClockTime cut;             /* where the last one was cut; none: it was not, or what follows has begun */
  guint n_skipped;              /* of the carried tokens: nothing of them is asked about any more */
  guint n_words;                /* that were told */
  gboolean words;               /* they leave one by one: as it was when the utterance began */
  guint64 n_dropped;            /* that waited too long; the element's lock */
} GemmaHeard;

/* What is left out so that a live stream is kept up with (lm-load.c), the task's. */
typedef struct
{
  gboolean untranslated;        /* without the translations of hypotheses */
  gint64 translating;           /* how long those of the last one took that had them (us) */
  guint step;                   /* hypotheses are made 2^step times as seldom */
  gboolean reduced;             /* without pictures beside speech, with fallback_submodel */
  guint calm;                   /* answers in a row that took little time */
} GemmaLoad;

struct _GstGemmaLmBaseClass
{
  GstElementClass parent_class;

  /* All are called from the task, in stream order. */
  GstFlowReturn (*text) (GstGemmaLmBase *self, GstClockTime start, GstClockTime end, const gchar *text);
  /** (nullable): what was said in one utterance has been told. */
  GstFlowReturn (*end_texts) (GstGemmaLmBase *self);
  GstFlowReturn (*silence) (GstGemmaLmBase *self, GstClockTime start, GstClockTime end);
  /** (nullable): a hypothesis about @work has been shown, @text; there are settings.translations, and time for them. */
  GstFlowReturn (*hypothesis) (GstGemmaLmBase *self, const GemmaWork *work, const gchar *text, GCancellable *cancellable);
  /** @event: (transfer full): STREAM_START, SEGMENT, TAG, EOS and custom ones of the first pad; no CAPS */
  GstFlowReturn (*event) (GstGemmaLmBase *self, GstEvent *event);

  /** All that is queued passes here, as it comes; the base class's asks the model and calls the functions above. */
  GstFlowReturn (*work) (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable);
  /** (nullable): nothing was queued until wake_at. */
  GstFlowReturn (*wake) (GstGemmaLmBase *self, GCancellable *cancellable);

  /** (nullable): what is known of the stream is out of date. Locked, and the task is not at work. */
  void (*forget) (GstGemmaLmBase *self);
  /** @event: (transfer full): FLUSH_START or FLUSH_STOP, from any thread */
  void (*flush) (GstGemmaLmBase *self, GstEvent *event);
  /** Called where sound or text arrives: may wait. FALSE: flushing */
  gboolean (*admit) (GstGemmaLmBase *self, GstGemmaLmPad *pad);
};

/** Guarded by lock unless noted. */
struct _GstGemmaLmBase
{
  GstElement parent;

  GemmaModelUser user;
  GemmaLmSettings settings;     /* object lock */
  gboolean submodel_set;        /* and the task has not seen it; object lock */

  GMutex lock;
  GCond cond;
  GQueue queue;                 /* of GemmaWork */
  guint n_heavy;                /* works in it that the model must see */
  GstTask *task;
  GRecMutex task_lock;
  gboolean running, busy, flushing;
  GstFlowReturn flow;
  GCancellable *cancellable;    /* of the work in progress */
  GstPad *events_pad;           /* whose events are handed on; not owned, only compared */
  GemmaPictures *pictures;
  gboolean crowded;             /* pictures waited in vain for the sound */
  guint n_moves;                /* how often a video pad has reached a time */
  gboolean live;

  GemmaDecoding decoding;       /* these six: the task's */
  gint64 wake_at;               /* monotonic; 0: never */
  GstSegment segment;           /* of the events that were handed on */
  GemmaDescription description;
  GemmaHeard heard;
  gboolean wants_words;         /* of whole transcripts; set while the task does not run */
  GArray *words;                /* GemmaWord: of the text that is handed on, where they are wanted */
  GemmaLoad load;

  /* Statistics; object lock. */
  guint64 n_utterances, n_hypotheses, n_texts, n_translations, n_prompt_tokens, n_reused_tokens, n_tokens, n_pictures, n_dropped;
  gint64 decode_time;
};

/** For subclasses with sound, pictures and text on request: the pads' templates and the settings that go with them. */
void gst_gemma_lm_base_class_add_sink_pads (GstGemmaLmBaseClass *klass);
/** For lm-pad.c. Queues @work (transfer full), waiting for space. */
GstFlowReturn gst_gemma_lm_base_queue (GstGemmaLmBase *self, GstGemmaLmPad *pad, GemmaWork *work);
void gst_gemma_lm_base_flush_start (GstGemmaLmBase *self, GstEvent *event);
void gst_gemma_lm_base_flush_stop (GstGemmaLmBase *self, GstGemmaLmPad *pad, GstEvent *event);
/** Notes that @pad is at its end; TRUE if all pads are. */
gboolean gst_gemma_lm_base_pad_eos (GstGemmaLmBase *self, GstGemmaLmPad *pad);
/** Whether the sound or picture was live when the latency was last asked for. */
gboolean gst_gemma_lm_base_is_live (GstGemmaLmBase *self);
/** Posts `gemma-partial`: @text may change, @final does not. @language: (nullable): theirs, if it is not the element's */
void gst_gemma_lm_base_post_partial (GstGemmaLmBase *self, GstClockTime start, GstClockTime end, const gchar *text,
    const gchar *final, const gchar *language);
/** Whether a pad of pictures, or else one of anything else, is linked. */
gboolean gst_gemma_lm_base_is_linked (GstGemmaLmBase *self, gboolean pictures);
/** How long an utterance may be now. */
GstClockTime gst_gemma_lm_base_get_longest (GstGemmaLmBase *self);
/** Latency of all sink pads together; FALSE if none answers. */
gboolean gst_gemma_lm_base_query_latency (GstGemmaLmBase *self, gboolean *live, GstClockTime *min, GstClockTime *max);
/**
 * In the task: what the model says to @work, after what @listener says that it said already; NULL with *@flow set
 * (OK: its text is too long, of which a warning tells if it is not divisible). Counted in the statistics.
 * @listener: (nullable): else messages show how the answer grows. (transfer full)
 */
gchar *gst_gemma_lm_base_ask (GstGemmaLmBase *self, const GemmaWork *work, const GemmaListener *listener,
    GCancellable *cancellable, GemmaDecodeStats *stats, GstFlowReturn *flow);
/** In the task: hands on @text, all of an answer, or the time without one if it is empty. */
GstFlowReturn gst_gemma_lm_base_tell (GstGemmaLmBase *self, GstClockTime start, GstClockTime end, const gchar *text);

/* ---- speech that goes on (lm-stream.c) ---------------------------------------------------------- */

/**
 * What is done with speech now: WHOLE, PARTIAL or WORDS.
 * @interval: (out) (optional): how much more sound a hypothesis needs
 */
GemmaStreaming gst_gemma_lm_base_get_streaming (GstGemmaLmBase *self, GstClockTime *interval);
/** Before @newer is queued: live, hypotheses that still wait and that it overtakes go. */
void gst_gemma_lm_base_drop_heard_locked (GstGemmaLmBase *self, const GemmaWork *newer);
/** In the task: whether @work is speech that goes on, or whose words leave one by one. Then, tells what is final. */
gboolean gst_gemma_lm_base_is_heard (GstGemmaLmBase *self, const GemmaWork *work);
GstFlowReturn gst_gemma_lm_base_hear (GstGemmaLmBase *self, GemmaWork *work, GCancellable *cancellable);
/**
 * Around asking about @work as a whole, where its words are wanted: says to whom the model shows where it looks, or NULL; and finds out
 * when its words were said.
 */
GemmaHypotheses *gst_gemma_lm_base_begin_words (GstGemmaLmBase *self, const GemmaWork *work);
void gst_gemma_lm_base_end_words (GstGemmaLmBase *self, const GemmaWork *work);
/** Also with the task stopped. */
void gst_gemma_lm_base_forget_heard (GstGemmaLmBase *self);

/* ---- load (lm-load.c), in the task ------------------------------------------------------------------ */

/** The part of the model that runs now. (transfer full) */
gchar *gst_gemma_lm_base_get_submodel (GstGemmaLmBase *self);
/** A hypothesis took @time (us), and its translations @translating: live, all may take a third of the time together. @interval:
 * between two hypotheses */
void gst_gemma_lm_base_note_hypothesis (GstGemmaLmBase *self, gint64 time, gint64 translating, GstClockTime interval);
/** Live: something waits for the task. */
gboolean gst_gemma_lm_base_is_behind (GstGemmaLmBase *self);
/** What was said of all of @work took @time (us): live, nothing else should be waiting then. */
void gst_gemma_lm_base_note_answer (GstGemmaLmBase *self, const GemmaWork *work, gint64 time);

/* ---- pictures (lm-scene.c) ------------------------------------------------------------------------ */

/** Whether only pictures come in, so that each of them is described. */
gboolean gst_gemma_lm_base_describes (GstGemmaLmBase *self);
/** Notes that nothing before the running time will come from @pad any more. */
void gst_gemma_lm_base_reach (GstGemmaLmBase *self, GstGemmaLmPad *pad, GstClockTime time);
/** Adds @picture (transfer full) to the window, waiting a while for sound that is far behind. */
GstFlowReturn gst_gemma_lm_base_add_picture (GstGemmaLmBase *self, GstGemmaLmPad *pad, GemmaPicture *picture);
/** A flush of a video pad beside others: only its pictures go. */
void gst_gemma_lm_base_flush_video (GstGemmaLmBase *self, GstGemmaLmPad *pad, gboolean flushing);
/** Live, the newest picture replaces those that still wait in the queue. */
void gst_gemma_lm_base_drop_pictures (GstGemmaLmBase *self);

/** From here on: in the task. Gives @work the pictures of its time, for which it waits a while. */
void gst_gemma_lm_base_look (GstGemmaLmBase *self, GemmaWork *work);
/** A picture that is to be described: the description before ends. */
GstFlowReturn gst_gemma_lm_base_begin_description (GstGemmaLmBase *self, GemmaWork *work);
/** @text (transfer full) is its description. */
GstFlowReturn gst_gemma_lm_base_hold_description (GstGemmaLmBase *self, gchar *text);
/** Time without a new picture. */
GstFlowReturn gst_gemma_lm_base_extend_description (GstGemmaLmBase *self, GstClockTime start, GstClockTime end);
/** No picture follows. */
GstFlowReturn gst_gemma_lm_base_end_description (GstGemmaLmBase *self);
/** Also with the task stopped. */
void gst_gemma_lm_base_forget_description (GstGemmaLmBase *self);

/** A pad for @template, which must be one of the base class's. */
GstPad *gst_gemma_lm_pad_new (GstGemmaLmBase *self, GstPadTemplate *templ, const gchar *name, GemmaLmPadKind kind);

G_END_DECLS
