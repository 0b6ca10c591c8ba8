/* norm and its gradient over the last axis: one read of each row from memory. Over axis 1 of a grid
 * see norm_grid.h. */
#include "ops/norm.h"

#include "cpu/simd/norm_row.h"
#include "ops/ops.h"

/* ---- forward over the last axis ---- */

typedef struct forward_job {
    const reel_call *c;
    norm_blocks blocks;
    const float *a, *s; /* [C] weight and bias as f32 */
} forward_job;

VEC_INLINE void forward_rows(const forward_job *job, int64_t from, int64_t to, reel_norm_kind kind,
                             const bool bf16[2]) {
    const reel_norm_attr *attr = job->c->attr;
    const int64_t C = reel_shape_last(&job->c->in[0].shape);
    const void *x = job->c->in[0].data;
    const bool streams = norm_streams(&job->c->out[0], C);
    for (int64_t r = from; r < to; r++) {
        norm_sums sums;
        const norm_row row = norm_row_stats(kind, attr->eps, x, NULL, NULL, r * C, C, bf16, &sums);
        norm_row_apply(row, x, job->c->out[0].data, job->a, job->s, r * C, C, bf16, streams);
    }
    if (streams) vec_stream_end();
}

VEC_INLINE void forward_any(const forward_job *job, int64_t from, int64_t to, reel_norm_kind kind) {
    const bool x = job->c->in[0].dtype == REEL_BF16, y = job->c->out[0].dtype == REEL_BF16;
    if (x && y)
        forward_rows(job, from, to, kind, (const bool[2]){true, true});
    else if (x)
        forward_rows(job, from, to, kind, (const bool[2]){true, false});
    else if (y)
        forward_rows(job, from, to, kind, (const bool[2]){false, true});
    else
        forward_rows(job, from, to, kind, (const bool[2]){false, false});
}

static void forward_task(void *context, int64_t index, int lane) {
    const forward_job *job = context;
    const reel_norm_attr *attr = job->c->attr;
    (void)lane;
    int64_t from, to;
    norm_blocks_range(job->blocks, index, &from, &to);
    if (attr->kind == REEL_NORM_LAYER)
        forward_any(job, from, to, REEL_NORM_LAYER);
    else
        forward_any(job, from, to, (reel_norm_kind)attr->kind);
}

/* a and s [C] at the start of scratch. */
static float *widen_weights(const reel_call *c, const reel_tensor *w, const reel_tensor *b,
                            int64_t C) {
    float *a = c->scratch;
    norm_widen(a, w->data, 0, C, w->dtype == REEL_BF16, w->data ? 0 : 1);
    norm_widen(a + C, b->data, 0, C, b->dtype == REEL_BF16, 0);
    return a;
}

static void forward_run(const reel_call *c) {
    const reel_norm_size n = reel_norm_size_of(&c->in[0].shape, false);
    const float *a = widen_weights(c, &c->in[1], &c->in[2], n.C);
    forward_job job = {c, norm_blocks_of(1, n.n_outer, n.C, 1), a, a + n.C};
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), forward_task, &job);
}

static int64_t forward_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reel_norm_attr *attr = c->attr;
    return 2 * reel_norm_size_of(&c->in[0].shape, attr->channels_first).C * (int64_t)sizeof(float);
}

/* ---- gradient over the last axis ---- */

enum { LEAST_ROWS = 32 }; /* of a block: the partial sums are then 1/16 of the traffic or less */

typedef struct backward_job {
    const reel_call *c;
    norm_blocks blocks;
    const float *a; /* [C] */
    float *partial; /* [blocks, 2, C]: sums of dy xhat, of dy; NULL when nobody wants them */
} backward_job;

VEC_INLINE void backward_rows(const backward_job *job, int64_t index, reel_norm_kind kind,
                              const bool bf16[3]) {
    const reel_norm_attr *attr = job->c->attr;
    const int64_t C = reel_shape_last(&job->c->in[1].shape);
    const void *dy = job->c->in[0].data, *x = job->c->in[1].data;
    void *dx = job->c->out[0].data;
    const bool streams = norm_streams(&job->c->out[0], C);
    int64_t from, to;
    norm_blocks_range(job->blocks, index, &from, &to);
    float *sum = job->partial ? job->partial + index * 2 * C : NULL;
    for (int64_t r = from; r < to; r++) {
        norm_sums sums;
        const norm_row row = norm_row_stats(kind, attr->eps, x, dy, job->a, r * C, C, bf16, &sums);
        const norm_block block = {sum, sum ? sum + C : NULL, r == from};
        if (sum)
            norm_row_backward(row, sums, x, dy, dx, job->a, r * C, C, bf16, streams, &block);
        else
            norm_row_backward(row, sums, x, dy, dx, job->a, r * C, C, bf16, streams, NULL);
    }
    if (streams) vec_stream_end();
}

/* The types of a DiT get loops of their own; others share one with branches. */
VEC_INLINE void backward_any(const backward_job *job, int64_t index, reel_norm_kind kind) {
    const reel_call *c = job->c;
    const bool bf16[3] = {c->in[1].dtype == REEL_BF16, c->in[0].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    if (!bf16[0] && bf16[1] && !bf16[2])
        backward_rows(job, index, kind, (const bool[3]){false, true, false});
    else if (!bf16[0] && !bf16[1] && !bf16[2])
        backward_rows(job, index, kind, (const bool[3]){false, false, false});
    else
        backward_rows(job, index, kind, bf16);
}

static void backward_task(void *context, int64_t index, int lane) {
    const backward_job *job = context;
    const reel_norm_attr *attr = job->c->attr;
    (void)lane;
    if (attr->kind == REEL_NORM_LAYER)
        backward_any(job, index, REEL_NORM_LAYER);
    else
        backward_any(job, index, (reel_norm_kind)attr->kind);
}

static bool wants(const reel_call *c, int i) {
    return c->present[i + 1] && c->out[i].data;
}

static void backward_run(const reel_call *c) {
    const reel_norm_size n = reel_norm_size_of(&c->in[1].shape, false);
    const reel_tensor none = {0};
    float *a = widen_weights(c, &c->in[2], &none, n.C);
    float *partial = wants(c, 1) || wants(c, 2) ? a + 2 * n.C : NULL;
    backward_job job = {c, norm_blocks_of(1, n.n_outer, n.C, LEAST_ROWS), a, partial};
    reel_parallel_for(c->threads, norm_blocks_count(job.blocks), backward_task, &job);
    for (int i = 1; i < 3; i++) {
        if (!wants(c, i)) continue;
        norm_totals t = {partial, c->out[i].data, 2 * n.C, (i - 1) * n.C, n.C, job.blocks};
        reel_parallel_for(c->threads, norm_totals_tasks(&t), norm_totals_task, &t);
    }
}

#include "cpu/simd/norm_grid.h"

static int64_t backward_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reel_norm_attr *attr = c->attr;
    const reel_norm_size n = reel_norm_size_of(&c->in[1].shape, attr->channels_first);
    const int64_t n_blocks = attr->channels_first
                                 ? norm_blocks_count(grid_blocks(n))
                                 : norm_blocks_count(norm_blocks_of(1, n.n_outer, n.C, LEAST_ROWS));
    return 2 * (1 + n_blocks) * n.C * (int64_t)sizeof(float);
}

/* ---- registration ---- */

static void norm_run(const reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    if (attr->channels_first)
        grid_run(c);
    else
        forward_run(c);
}

static void norm_backward_run(const reel_call *c) {
    const reel_norm_attr *attr = c->attr;
    if (attr->channels_first)
        grid_backward_run(c);
    else
        backward_run(c);
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->present[i] && c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_norm)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_norm)(reel_kernel_table *table) {
    static const reel_kernel forward_kernel = {.name = "norm." REEL_ISA_TEXT,
                                               .refuse = refuse_f16,
                                               .scratch = forward_scratch,
                                               .run = norm_run};
    static const reel_kernel backward_kernel = {.name = "norm_backward." REEL_ISA_TEXT,
                                                .refuse = refuse_f16,
                                                .scratch = backward_scratch,
                                                .run = norm_backward_run};
    reel_kernel_table_add(table, &reel_op_norm, &forward_kernel);
    reel_kernel_table_add(table, &reel_op_norm_backward, &backward_kernel);
}
