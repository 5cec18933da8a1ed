/* What the kernels share. float32 tensors arrive as (mem, offset, stride), see launch.h. */

#define TENSOR(t) global float *t##_mem, ulong t##_offset, int t##_stride
#define ROW(t, r) (t##_mem + t##_offset + (size_t) (r) * (size_t) t##_stride)
#define SINGLE_ITEM __attribute__ ((reqd_work_group_size (1, 1, 1)))

#define GROUP_SIZE 64           /* OCL_GROUP_SIZE */
#define ROW_GROUP __attribute__ ((reqd_work_group_size (GROUP_SIZE, 1, 1)))

float
sum8 (float8 v)
{
  float4 a = v.lo + v.hi;
  float2 b = a.lo + a.hi;

  return b.x + b.y;
}

float
sum16 (float16 v)
{
  return sum8 (v.lo + v.hi);
}

float
max16 (float16 v)
{
  float8 a = fmax (v.lo, v.hi);
  float4 b = fmax (a.lo, a.hi);
  float2 c = fmax (b.lo, b.hi);

  return fmax (c.x, c.y);
}

/* sum of squares, four chains of additions */
float
sum_squares (global const float *x, int n)
{
  float16 a = 0, b = 0;
  float tail = 0;
  int i = 0;

  for (; i + 32 <= n; i += 32) {
    float16 u = vload16 (0, x + i), v = vload16 (0, x + i + 16);

    a = fma (u, u, a);
    b = fma (v, v, b);
  }
  for (; i < n; i++)
    tail = fma (x[i], x[i], tail);
  return sum16 (a + b) + tail;
}

/* The sum of @value over a work-group of GROUP_SIZE, given to all its items. */
float
group_sum (float value, local float *scratch)
{
  int id = get_local_id (0);

  barrier (CLK_LOCAL_MEM_FENCE);
  scratch[id] = value;
  for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
    barrier (CLK_LOCAL_MEM_FENCE);
    if (id < step)
      scratch[id] += scratch[id + step];
  }
  barrier (CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

float
group_max (float value, local float *scratch)
{
  int id = get_local_id (0);

  barrier (CLK_LOCAL_MEM_FENCE);
  scratch[id] = value;
  for (int step = GROUP_SIZE / 2; step > 0; step /= 2) {
    barrier (CLK_LOCAL_MEM_FENCE);
    if (id < step)
      scratch[id] = fmax (scratch[id], scratch[id + step]);
  }
  barrier (CLK_LOCAL_MEM_FENCE);
  return scratch[0];
}

/* A number of about 48 bits: the unevaluated sum of two floats. */
float2
pair_add (float2 pair, float x)
{
  float sum = pair.x + x;
  float part = sum - pair.x;
  float error = (pair.x - (sum - part)) + (x - part) + pair.y;
  float high = sum + error;

  return (float2) (high, error - (high - sum));
}

/* The tanh form of GELU, through one exp: 0.5 (1 + tanh (u)) = 1 / (1 + exp (-2 u)), u = sqrt (2 / pi) (x + 0.044715 x^3). */
#define GELU(x) ((x) / (1.f + exp ((x) * (-1.5957691216f - 0.0713548163f * (x) * (x)))))
