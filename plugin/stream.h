/* What elements do alike with events, queries and text. */
#pragma once

#include "utterances.h"

G_BEGIN_DECLS

/** Takes the segment of @event; FALSE with an error message unless it is in time. @what: "Sound" */
gboolean gemma_stream_take_segment (GstElement *element, GstEvent *event, GstSegment *segment, const gchar *what);

/**
 * Answers what encoders answer on either pad: CONTEXT, and LATENCY of the source pad as that of @sinkpad's peer and
 * @own more. Everything else goes to gst_pad_query_default(). Without @sinkpad,
 * LATENCY is the caller's to answer.
 */
gboolean gemma_stream_query (GstPad *pad, GstObject *parent, GstQuery *query, GstPad *sinkpad, GstClockTime own);

/**
 * Whether @sinkpad's peer says that it is live. @known: atomic, -1 for not known yet; asked then, and kept if answered.
 * @unanswered: taken to be live until it answers
 */
gboolean gemma_stream_is_live (GstPad *sinkpad, gint *known, gboolean unanswered);

/** In ms; G_MAXUINT, which promises nothing, stays so. */
guint gemma_stream_add_latencies (guint a, guint b);

/** Raises @most, the property max-observed-delay of @object, to @delay; FALSE if it is as much. @lock: guards it */
gboolean gemma_stream_note_delay (gpointer object, GMutex *lock, guint *most, guint delay);

/** @wanted, or where that is no name, the first of @templ's that is free: "audio_0". (transfer full) */
gchar *gemma_stream_make_pad_name (GstElement *element, GstPadTemplate *templ, const gchar *wanted);

/** Takes the source pad @pad from @element; nobody waits until what it is pushing has been taken, which a sink may hold up. */
void gemma_stream_remove_pad (GstElement *element, GstPad *pad);

/** From the audio encoder, serialized: the clip whose tokens came last was no speech. (transfer full) */
GstEvent *gemma_stream_new_dropped (void);
gboolean gemma_stream_is_dropped (GstEvent *event);

/** How loud a soft token's sound is, in metadata of its buffer: GEMMA_SOUND_LEVELS of @levels. FALSE: there are none. */
void gemma_stream_add_levels (GstBuffer *buffer, const guint8 *levels);
gboolean gemma_stream_get_levels (GstBuffer *buffer, guint8 *levels);

/** Text that a property is set to, in UTF-8 whatever character set its bytes are of. (transfer full) (nullable) */
gchar *gemma_stream_take_text (const GValue *value);

/** The text of a buffer, maybe empty. (transfer full) (nullable): it cannot be read */
gchar *gemma_stream_read_text (GstBuffer *buffer);

G_END_DECLS
