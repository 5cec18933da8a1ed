/* Launches that are gathered and run by one.
 *
 * A driver wakes its threads for every launch, and where they sleep in between, that takes 10 to 40 us: as long as they
 * need for 1 MB of weights. A batch is one launch of a kernel (kernels/batch.cl) in which threads go from step to step
 * by themselves. Which functions that kernel calls is known when a batch is to run for the first time: they are compiled
 * one by one and linked to it, and the device keeps the program for all batches that need no others.
 */
#include "batch.h"

#include "launch.h"

#include <string.h>

#define MAX_BUFFERS 96          /* N_BUFFERS of batch.cl: with the other arguments below the 1024 bytes that any device takes */
#define MAX_WORDS 96            /* of a step's arguments, as in batch.cl */
#define MAX_STEPS 128           /* other queues of the device wait meanwhile */
#define COUNTER_BYTES 64

/* Step of batch.cl. */
typedef struct
{
  cl_uint function, words, n_words, n_items;
  cl_uint id[3], size[3];
  cl_ulong buffers;
} BatchStep;

/* What one launch runs. */
typedef struct
{
  GArray *steps;                /* of BatchStep, function still unset */
  GPtrArray *kernels;           /* of OclKernel, one for each step */
  GArray *words;                /* of cl_ulong */
  GPtrArray *buffers;           /* of cl_mem, with a reference */
} Part;

struct _OclBatchProgram
{
  cl_program handle;
  GPtrArray *kernels;           /* of OclKernel: those it can call; a function's number is the place here */
};

struct _OclBatch
{
  OclDevice *device;
  GPtrArray *parts;             /* of Part: all but the last are full */
  OclBatchProgram *program;     /* owned by the device */
  cl_kernel kernel;             /* of @program */
};

/* ---- kernels --------------------------------------------------------------------------- */

OclKernel *
ocl_kernel_new (const gchar *program, const gchar *name, const gchar *options)
{
  OclKernel *kernel = g_new0 (OclKernel, 1);

  kernel->program = g_strdup (program);
  kernel->name = g_strdup (name);
  kernel->options = g_strdup (options);
  kernel->key = g_strjoin (" ", program, name, options, NULL);
  kernel->is_step = -1;
  return kernel;
}

void
ocl_kernel_free (OclKernel *kernel)
{
  if (kernel->made)
    clReleaseKernel (kernel->made);
  g_free (kernel->program);
  g_free (kernel->name);
  g_free (kernel->options);
  g_free (kernel->key);
  g_free (kernel);
}

/* ---- life ------------------------------------------------------------------------------ */

static void
release_buffer (gpointer mem)
{
  clReleaseMemObject (mem);
}

static void
part_free (gpointer data)
{
  Part *part = data;

  g_array_unref (part->steps);
  g_ptr_array_unref (part->kernels);
  g_array_unref (part->words);
  g_ptr_array_unref (part->buffers);
  g_free (part);
}

static Part *
part_new (void)
{
  Part *part = g_new (Part, 1);

  part->steps = g_array_new (FALSE, TRUE, sizeof (BatchStep));
  part->kernels = g_ptr_array_new ();
  part->words = g_array_new (FALSE, TRUE, sizeof (cl_ulong));
  part->buffers = g_ptr_array_new_with_free_func (release_buffer);
  return part;
}

OclBatch *
ocl_batch_new (OclDevice *device)
{
  OclBatch *batch = g_new0 (OclBatch, 1);

  batch->device = device;
  batch->parts = g_ptr_array_new_with_free_func (part_free);
  return batch;
}

void
ocl_batch_free (OclBatch *batch)
{
  if (!batch)
    return;
  if (batch->kernel)
    clReleaseKernel (batch->kernel);
  g_ptr_array_unref (batch->parts);
  g_free (batch);
}

/* ---- programs -------------------------------------------------------------------------- */

void
ocl_batch_program_free (OclBatchProgram *program)
{
  if (program->handle)
    clReleaseProgram (program->handle);
  g_ptr_array_unref (program->kernels);
  g_free (program);
}

/* Its function's number, or -1. */
static gint
find_kernel (const GPtrArray *kernels, const OclKernel *kernel)
{
  for (guint i = 0; i < kernels->len; i++)
    if (strcmp (((OclKernel *) kernels->pdata[i])->key, kernel->key) == 0)
      return i;
  return -1;
}

static void
add_kernel (GPtrArray *kernels, const OclKernel *kernel)
{
  if (find_kernel (kernels, kernel) < 0)
    g_ptr_array_add (kernels, ocl_kernel_new (kernel->program, kernel->name, kernel->options));
}

/* What is set for STEPS when the program of @kernel is compiled: other for each program and options. */
static gchar *
prefix_of (const OclKernel *kernel)
{
  g_autofree gchar *both = g_strconcat (kernel->program, " ", kernel->options, NULL);
  g_autofree gchar *sum = g_compute_checksum_for_string (G_CHECKSUM_MD5, both, -1);

  return g_strdup_printf ("step_%.12s", sum);
}

/* The program of @kernels, linked of their own programs and batch.cl. */
static cl_program
link_kernels (OclDevice *device, const GPtrArray *kernels, GError **error)
{
  g_autoptr (GArray) parts = g_array_new (FALSE, TRUE, sizeof (OclProgramPart));
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GString) declarations = g_string_new ("#define DECLARATIONS"), calls = g_string_new ("#define CALLS(words, item)");
  OclProgramPart all = { .name = "batch", .options = "" };

  for (guint i = 0; i < kernels->len; i++) {
    const OclKernel *kernel = kernels->pdata[i];
    gchar *prefix = prefix_of (kernel), *options = g_strdup_printf ("%s -DSTEPS=%s", kernel->options, prefix);
    OclProgramPart part = { .name = kernel->program, .options = options };

    g_string_append_printf (declarations, " void %s_%s (const ulong *, const Item *);", prefix, kernel->name);
    g_string_append_printf (calls, " case %u: %s_%s (words, item); break;", i, prefix, kernel->name);
    g_ptr_array_add (texts, prefix);
    g_ptr_array_add (texts, options);
    if (g_hash_table_add (seen, prefix))
      g_array_append_val (parts, part);
  }
  g_string_append_printf (declarations, "\n%s\n", calls->str);
  all.before = declarations->str;
  g_array_append_val (parts, all);
  return ocl_device_link_program (device, (const OclProgramPart *) parts->data, parts->len, error);
}

/* find_kernel (), remembered: a token has some hundred steps. Programs live as long as the device. */
static gint
number_in (const OclBatchProgram *program, OclKernel *kernel)
{
  if (kernel->numbered_in != program) {
    kernel->numbered_in = program;
    kernel->number = find_kernel (program->kernels, kernel);
  }
  return kernel->number;
}

static gboolean
covers (const OclBatchProgram *program, const OclBatch *batch)
{
  for (guint i = 0; i < batch->parts->len; i++) {
    const Part *part = batch->parts->pdata[i];

    for (guint k = 0; k < part->kernels->len; k++)
      if (number_in (program, part->kernels->pdata[k]) < 0)
        return FALSE;
  }
  return TRUE;
}

static OclBatchProgram *
program_new (const OclBatch *batch, GError **error)
{
  OclBatchProgram *program = g_new0 (OclBatchProgram, 1);

  program->kernels = g_ptr_array_new_with_free_func ((GDestroyNotify) ocl_kernel_free);
  for (guint i = 0; batch->program && i < batch->program->kernels->len; i++)
    add_kernel (program->kernels, batch->program->kernels->pdata[i]);
  for (guint i = 0; i < batch->parts->len; i++) {
    const Part *part = batch->parts->pdata[i];

    for (guint k = 0; k < part->kernels->len; k++)
      add_kernel (program->kernels, part->kernels->pdata[k]);
  }
  program->handle = link_kernels (batch->device, program->kernels, error);
  if (!program->handle)
    g_clear_pointer (&program, ocl_batch_program_free);
  return program;
}

/* One that the device has, or a new one that can do what the last one could, too. */
static OclBatchProgram *
get_program (OclBatch *batch, GError **error)
{
  OclDevice *device = batch->device;
  OclBatchProgram *program = NULL;

  if (batch->program && covers (batch->program, batch))
    return batch->program;
  g_mutex_lock (&device->batch_lock);
  for (guint i = 0; !program && i < device->batch_programs->len; i++)
    if (covers (device->batch_programs->pdata[i], batch))
      program = device->batch_programs->pdata[i];
  if (!program) {
    program = program_new (batch, error);
    if (program)
      g_ptr_array_add (device->batch_programs, program);
  }
  g_mutex_unlock (&device->batch_lock);
  return program;
}

/* Lets the batch's kernel be that of a program which has all functions. */
static gboolean
prepare (OclBatch *batch, OclQueue *queue)
{
  GError *error = NULL;
  cl_int status = CL_SUCCESS;
  OclBatchProgram *program = get_program (batch, &error);

  if (!program) {
    ocl_queue_take_error (queue, error);
    return FALSE;
  }
  if (program == batch->program)
    return TRUE;
  if (batch->kernel)
    clReleaseKernel (batch->kernel);
  batch->program = NULL;
  batch->kernel = clCreateKernel (program->handle, "batch", &status);
  if (!ocl_queue_check (queue, status, "Cannot create the kernel batch"))
    return FALSE;
  batch->program = program;
  return TRUE;
}

/* ---- gathering ------------------------------------------------------------------------- */

gboolean
ocl_batch_takes (OclBatch *batch, OclKernel *kernel)
{
  if (G_UNLIKELY (kernel->is_step < 0)) {
    g_autofree gchar *source = ocl_program_source (kernel->program, NULL);
    g_autofree gchar *definition = g_strdup_printf ("KERNEL (%s,", kernel->name);

    kernel->is_step = source && strstr (source, "\"step.clh\"") && strstr (source, definition);
  }
  return kernel->is_step;
}

/* The number of a buffer of @part, to which it is added; 0 is none. */
static cl_ulong
number_buffer (Part *part, cl_mem mem)
{
  if (!mem)
    return 0;
  for (guint i = 0; i < part->buffers->len; i++)
    if (part->buffers->pdata[i] == mem)
      return i + 1;
  clRetainMemObject (mem);
  g_ptr_array_add (part->buffers, mem);
  return part->buffers->len;
}

/* Appends the arguments, in words of their own each. FALSE if they are too many for the part as it is. */
static gboolean
add_words (Part *part, BatchStep *step, va_list args)
{
  const guint first = part->words->len;

  for (gsize size = va_arg (args, gsize); size > 0; size = va_arg (args, gsize)) {
    gconstpointer value = va_arg (args, gconstpointer);
    const guint at = part->words->len, n = size == OCL_ARG_BUFFER ? 1 : (size + 7) / 8;

    if (at + n - first > MAX_WORDS)
      return FALSE;
    g_array_set_size (part->words, at + n);
    if (size != OCL_ARG_BUFFER) {
      memcpy (&g_array_index (part->words, cl_ulong, at), value, size);
      continue;
    }
    g_array_index (part->words, cl_ulong, at) = number_buffer (part, *(const cl_mem *) value);
    if (part->buffers->len > MAX_BUFFERS || at - first >= 63)
      return FALSE;
    step->buffers |= (cl_ulong) 1 << (at - first);
  }
  step->words = first;
  step->n_words = part->words->len - first;
  return TRUE;
}

static gboolean
add_step (Part *part, OclKernel *kernel, guint n_dims, const gsize *global, va_list args)
{
  const guint n_buffers = part->buffers->len, n_words = part->words->len;
  BatchStep step = { .n_items = 1, .size = { 1, 1, 1 } };

  for (guint i = 0; i < n_dims; i++)
    step.n_items *= step.size[i] = global[i];
  if (part->steps->len < MAX_STEPS && add_words (part, &step, args)) {
    g_array_append_val (part->steps, step);
    g_ptr_array_add (part->kernels, kernel);
    return TRUE;
  }
  g_ptr_array_set_size (part->buffers, n_buffers);
  g_array_set_size (part->words, n_words);
  return FALSE;
}

static void
add_part (OclBatch *batch)
{
  g_ptr_array_add (batch->parts, part_new ());
}

static Part *
last_part (OclBatch *batch)
{
  return batch->parts->pdata[batch->parts->len - 1];
}

void
ocl_batch_add (OclBatch *batch, OclQueue *queue, cl_command_queue handle, OclKernel *kernel, guint n_dims,
    const gsize *global, va_list args)
{
  va_list again;
  gboolean fits;

  if (batch->parts->len == 0)
    add_part (batch);
  va_copy (again, args);
  fits = add_step (last_part (batch), kernel, n_dims, global, args);
  if (!fits) {
    /* What is full runs while the host goes on, unless it needs a program that further steps may change. */
    if (batch->program && covers (batch->program, batch))
      ocl_batch_submit (batch, queue, handle);
    add_part (batch);
    fits = add_step (last_part (batch), kernel, n_dims, global, again);
  }
  va_end (again);
  if (!fits)
    ocl_queue_take_error (queue, g_error_new (OCL_ERROR, OCL_ERROR_FAILED, "%s has too many arguments for a batch", kernel->key));
}

/* ---- running --------------------------------------------------------------------------- */

/* Counters, steps, words: what batch.cl reads and counts in. */
static cl_mem
write_part (OclBatch *batch, Part *part, cl_ulong *steps_at, cl_ulong *words_at, cl_int *status)
{
  g_autoptr (GByteArray) all = g_byte_array_new ();

  for (guint i = 0; i < part->steps->len; i++)
    g_array_index (part->steps, BatchStep, i).function = number_in (batch->program, part->kernels->pdata[i]);
  g_byte_array_set_size (all, 2 * COUNTER_BYTES * part->steps->len);
  memset (all->data, 0, all->len);
  *steps_at = all->len;
  g_byte_array_append (all, (const guint8 *) part->steps->data, part->steps->len * sizeof (BatchStep));
  *words_at = all->len;
  g_byte_array_append (all, (const guint8 *) part->words->data, part->words->len * sizeof (cl_ulong));
  return clCreateBuffer (batch->device->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, all->len, all->data, status);
}

static cl_int
set_arguments (OclBatch *batch, const Part *part, cl_mem mem, cl_ulong steps_at, cl_ulong words_at)
{
  const cl_int n_steps = part->steps->len;
  const struct
  {
    gsize size;
    gconstpointer value;
  } first[] = { { sizeof mem, &mem }, { sizeof n_steps, &n_steps }, { sizeof steps_at, &steps_at }, { sizeof words_at, &words_at } };
  cl_int status = CL_SUCCESS;

  for (guint i = 0; i < G_N_ELEMENTS (first) && status == CL_SUCCESS; i++)
    status = clSetKernelArg (batch->kernel, i, first[i].size, first[i].value);
  for (guint i = 0; i < MAX_BUFFERS && status == CL_SUCCESS; i++) {
    cl_mem buffer = i < part->buffers->len ? part->buffers->pdata[i] : NULL;

    status = clSetKernelArg (batch->kernel, G_N_ELEMENTS (first) + i, sizeof buffer, &buffer);
  }
  return status;
}

static cl_int
run_part (OclBatch *batch, cl_command_queue handle, Part *part)
{
  const gsize global = batch->device->compute_units;
  cl_ulong steps_at, words_at;
  cl_int status = CL_SUCCESS;
  cl_mem mem = write_part (batch, part, &steps_at, &words_at, &status);

  if (!mem)
    return status;
  status = ocl_fault (OCL_FAULT_LAUNCH);
  if (status == CL_SUCCESS)
    status = set_arguments (batch, part, mem, steps_at, words_at);
  /* All launches of a batch's program have one size: they need none of enqueue.c's care. */
  if (status == CL_SUCCESS)
    status = clEnqueueNDRangeKernel (handle, batch->kernel, 1, NULL, &global, ocl_single_item, 0, NULL, NULL);
  clReleaseMemObject (mem);     /* the driver keeps it until then */
  return status;
}

void
ocl_batch_submit (OclBatch *batch, OclQueue *queue, cl_command_queue handle)
{
  gboolean ok = batch->parts->len > 0 && !ocl_queue_failed (queue) && prepare (batch, queue);

  for (guint i = 0; ok && i < batch->parts->len; i++)
    ok = ocl_queue_check (queue, run_part (batch, handle, batch->parts->pdata[i]), "Cannot run a batch");
  g_ptr_array_set_size (batch->parts, 0);
}
