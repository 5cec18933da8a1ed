#include "debug.h"
#include "gemmaaudioenc.h"
#include "gemmacaptionbin.h"
#include "gemmacea608enc.h"
#include "gemmahlswebvttsink.h"
#include "gemmalm.h"
#include "gemmasink.h"
#include "gemmatranscriber.h"
#include "gemmatranslate.h"
#include "gemmavisionenc.h"

GST_DEBUG_CATEGORY (gst_gemma_debug);

/* PoCL sets this variable, to this, when it looks for devices, which is in the thread that loads a model: a new variable moves
 * the environment away from under getenv() in other threads, as that of liborc when audioresample starts. One that is there
 * already does not. */
static void
settle_environment (void)
{
  g_setenv ("HWLOC_PLUGINS_PATH", "/dev/null", FALSE);
}

/* The registry's scanner runs this, so no device is touched. */
static gboolean
plugin_init (GstPlugin *plugin)
{
  gboolean ok = TRUE;

  settle_environment ();
  GST_DEBUG_CATEGORY_INIT (gst_gemma_debug, "gemma", 0, "Gemma elements");
  ok &= GST_ELEMENT_REGISTER (gemmaaudioenc, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmacaptionbin, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmacea608enc, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmahlswebvttsink, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmalm, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmasink, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmatranscriber, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmatranslate, plugin);
  ok &= GST_ELEMENT_REGISTER (gemmavisionenc, plugin);
  return ok;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, gemma, "Speech and pictures to text with Gemma on OpenCL",
    plugin_init, PACKAGE_VERSION, "LGPL", "gst-gemma", "Unknown package origin")
