/* What the tests of the audio encoder share: the golden files' signal, and how results are compared. */
#pragma once

#include <glib.h>

/** signal() of tests/golden/usm.py, the same bits. (transfer full) */
gfloat *usm_signal (gsize n);

/** Largest difference over the reference's largest magnitude. */
gdouble usm_largest_error (const gfloat *x, const gfloat *reference, gsize n);
