/* Folding patches into channels and back, and nearest upsampling: data moved, in the order in which
 * it is written.
 */
#include "ops/grid.h"

#include "cpu/simd/vec.h"
#include "ops/ops.h"

enum { TASK_ELEMENTS = 1 << 14 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- space_to_depth, depth_to_space ---- */

/* A copy over axes in the order of the destination, axes of one element left out. */
typedef struct fold_job {
    const char *src;
    char *dst;
    int rank;
    int64_t n[REEL_FOLD_AXES], from[REEL_FOLD_AXES], to[REEL_FOLD_AXES]; /* elements */
    int64_t bytes;
    int64_t n_steps, steps_a_task; /* a step: the last two axes */
} fold_job;

static void list_axes(fold_job *j, const reel_call *c) {
    const reel_fold n = reel_fold_of(c);
    const bool fold = c->op == &reel_op_space_to_depth;
    j->rank = 0;
    for (int k = 0; k < REEL_FOLD_AXES; k++) {
        if (n.dim[k] == 1) continue;
        const int64_t to = fold ? n.depth[k] : n.space[k];
        int at = j->rank++;
        for (; at > 0 && j->to[at - 1] < to; at--) {
            j->n[at] = j->n[at - 1];
            j->from[at] = j->from[at - 1];
            j->to[at] = j->to[at - 1];
        }
        j->n[at] = n.dim[k];
        j->from[at] = fold ? n.space[k] : n.depth[k];
        j->to[at] = to;
    }
}

/* Neighbouring axes that are one on both sides become one; two axes at least are left. */
static void join_axes(fold_job *j) {
    int rank = 0;
    for (int k = 0; k < j->rank; k++) {
        const int last = rank - 1;
        if (rank > 0 && j->to[last] == j->n[k] * j->to[k] &&
            j->from[last] == j->n[k] * j->from[k]) {
            j->n[last] *= j->n[k];
            j->from[last] = j->from[k];
            j->to[last] = j->to[k];
            continue;
        }
        j->n[rank] = j->n[k];
        j->from[rank] = j->from[k];
        j->to[rank++] = j->to[k];
    }
    for (; rank < 2; rank++) {
        for (int k = rank; k > 0; k--) {
            j->n[k] = j->n[k - 1];
            j->from[k] = j->from[k - 1];
            j->to[k] = j->to[k - 1];
        }
        j->n[0] = 1;
        j->from[0] = j->to[0] = 0;
        if (rank == 0) j->from[0] = j->to[0] = 1;
    }
    j->rank = rank;
}

VEC_INLINE void copy_plane(const fold_job *j, int64_t src, int64_t dst, int64_t bytes) {
    const int y = j->rank - 2, x = j->rank - 1;
    const char *restrict from = j->src + src * bytes;
    char *restrict to = j->dst + dst * bytes;
    const int64_t from_step = j->from[x] * bytes, to_step = j->to[x] * bytes;
    for (int64_t i = 0; i < j->n[y]; i++) {
        for (int64_t k = 0; k < j->n[x]; k++)
            memcpy(to + k * to_step, from + k * from_step, (size_t)bytes);
        from += j->from[y] * bytes;
        to += j->to[y] * bytes;
    }
}

/* Runs that are contiguous on both sides. */
static void copy_runs(const fold_job *j, int64_t src, int64_t dst) {
    const int y = j->rank - 2, x = j->rank - 1;
    for (int64_t i = 0; i < j->n[y]; i++)
        memcpy(j->dst + (dst + i * j->to[y]) * j->bytes, j->src + (src + i * j->from[y]) * j->bytes,
               (size_t)(j->n[x] * j->bytes));
}

static void fold_task(void *context, int64_t index, int lane) {
    (void)lane;
    const fold_job *j = context;
    const bool runs = j->from[j->rank - 1] == 1 && j->to[j->rank - 1] == 1 && j->n[j->rank - 1] > 8;
    const int64_t end = least((index + 1) * j->steps_a_task, j->n_steps);
    for (int64_t step = index * j->steps_a_task; step < end; step++) {
        int64_t rest = step, src = 0, dst = 0;
        for (int k = j->rank - 3; k >= 0; k--) {
            src += rest % j->n[k] * j->from[k];
            dst += rest % j->n[k] * j->to[k];
            rest /= j->n[k];
        }
        if (runs)
            copy_runs(j, src, dst);
        else if (j->bytes == 2)
            copy_plane(j, src, dst, 2);
        else if (j->bytes == 4)
            copy_plane(j, src, dst, 4);
        else
            copy_plane(j, src, dst, j->bytes);
    }
}

static void fold_run(const reel_call *c) {
    fold_job j = {
        .src = c->in[0].data, .dst = c->out[0].data, .bytes = reel_dtype_bytes(c->in[0].dtype)};
    if (reel_tensor_count(&c->in[0]) == 0) return;
    list_axes(&j, c);
    join_axes(&j);
    j.n_steps = 1;
    for (int k = 0; k < j.rank - 2; k++)
        j.n_steps *= j.n[k];
    j.steps_a_task = TASK_ELEMENTS / (j.n[j.rank - 2] * j.n[j.rank - 1]) + 1;
    reel_parallel_for(c->threads, (j.n_steps + j.steps_a_task - 1) / j.steps_a_task, fold_task, &j);
}

/* ---- upsample ---- */

/* A grid of channels-last rows is [planes][F][H][W][C] with one plane per clip; of channels-first
 * ones with one plane per clip and channel, and C 1. */
typedef struct up_job {
    const reel_call *call;
    const reel_upsample_attr *a;
    int64_t F, H, W, C; /* of the small grid */
    bool bf16, out_bf16;
} up_job;

static up_job up_job_of(const reel_call *c, const reel_shape *small) {
    const reel_upsample_attr *a = c->attr;
    const bool last = a->layout == REEL_GRID_CHANNELS_LAST;
    const int64_t *size = small->dim + (last ? 1 : 2);
    return (up_job){.call = c,
                    .a = a,
                    .F = size[0],
                    .H = size[1],
                    .W = size[2],
                    .C = last ? small->dim[4] : 1,
                    .bf16 = c->in[0].dtype == REEL_BF16,
                    .out_bf16 = c->out[0].dtype == REEL_BF16};
}

VEC_INLINE void repeat(char *to, const char *from, int64_t n, int64_t times, size_t bytes) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < times; k++)
            memcpy(to + (i * times + k) * (int64_t)bytes, from + i * (int64_t)bytes, bytes);
}

/* One row of the small grid becomes factor_h rows of factor_w columns, in factor_t frames. */
static void upsample_task(void *context, int64_t index, int lane) {
    (void)lane;
    const up_job *j = context;
    const int32_t *k = j->a->factor;
    const int64_t bytes = j->bf16 ? 2 : 4, row = j->W * j->C * bytes, wide = row * k[2];
    const int64_t h = index % j->H, f = index / j->H; /* f: over planes, too */
    const char *from = (const char *)j->call->in[0].data + index * row;
    char *first = (char *)j->call->out[0].data + (f * k[0] * j->H + h) * k[1] * wide;
    if (j->C > 1)
        repeat(first, from, j->W, k[2], (size_t)(j->C * bytes));
    else if (k[2] == 2 && bytes == 4)
        repeat(first, from, j->W, 2, 4);
    else if (k[2] == 2)
        repeat(first, from, j->W, 2, 2);
    else
        repeat(first, from, j->W, k[2], (size_t)bytes);
    for (int64_t t = 0; t < k[0]; t++)
        for (int64_t i = 0; i < k[1]; i++)
            if (t + i > 0) memcpy(first + (t * j->H * k[1] + i) * wide, first, (size_t)wide);
}

static void upsample_run(const reel_call *c) {
    up_job j = up_job_of(c, &c->in[0].shape);
    const int64_t row = j.W * j.C;
    reel_parallel_for(c->threads, row ? reel_tensor_count(&c->in[0]) / row : 0, upsample_task, &j);
}

/* n elements of to = the sum of those of the block's positions, in the order of the block. */
VEC_INLINE vf sum_block(const up_job *j, int64_t first, int64_t line, int64_t frame, int n) {
    const int32_t *k = j->a->factor;
    vf sum = {0};
    for (int64_t t = 0; t < k[0]; t++)
        for (int64_t h = 0; h < k[1]; h++)
            for (int64_t w = 0; w < k[2]; w++)
                sum += vec_load_part(j->call->in[0].data, first + t * frame + h * line + w * j->C,
                                     j->bf16, n);
    return sum;
}

/* One row of the small grid. */
static void upsample_backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const up_job *j = context;
    const int32_t *k = j->a->factor;
    const int64_t line = j->W * j->C * k[2], frame = j->H * k[1] * line;
    const int64_t h = index % j->H, f = index / j->H, row = index * j->W * j->C;
    const int64_t from = f * k[0] * frame + h * k[1] * line;
    for (int64_t w = 0; w < j->W; w++)
        for (int64_t i = 0; i < j->C; i += VF_N) {
            const int n = (int)least(VF_N, j->C - i);
            vec_store_part(j->call->out[0].data, row + w * j->C + i, j->out_bf16,
                           sum_block(j, from + w * k[2] * j->C + i, line, frame, n), n);
        }
}

static void upsample_backward_run(const reel_call *c) {
    up_job j = up_job_of(c, &c->out[0].shape);
    const int64_t row = j.W * j.C;
    reel_parallel_for(c->threads, row ? reel_tensor_count(&c->out[0]) / row : 0,
                      upsample_backward_task, &j);
}

/* ---- kernels ---- */

static const char *refuse_f16(const reel_call *c) {
    return c->in[0].dtype == REEL_F16 ? "x is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_grid)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_grid)(reel_kernel_table *table) {
    static const reel_kernel fold = {.name = "space_to_depth." REEL_ISA_TEXT, .run = fold_run};
    static const reel_kernel unfold = {.name = "depth_to_space." REEL_ISA_TEXT, .run = fold_run};
    static const reel_kernel up = {
        .name = "upsample." REEL_ISA_TEXT, .refuse = refuse_f16, .run = upsample_run};
    static const reel_kernel down = {.name = "upsample_backward." REEL_ISA_TEXT,
                                     .refuse = refuse_f16,
                                     .run = upsample_backward_run};
    reel_kernel_table_add(table, &reel_op_space_to_depth, &fold);
    reel_kernel_table_add(table, &reel_op_depth_to_space, &unfold);
    reel_kernel_table_add(table, &reel_op_upsample, &up);
    reel_kernel_table_add(table, &reel_op_upsample_backward, &down);
}
