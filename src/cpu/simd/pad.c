/* pad_backward: the gradient of a replicated border. Every element of dx is the sum of dy over the
 * places that show it: one inside, many at an edge. (pad itself moves data: layout.c.) */
#include "ops/slice.h"

#include "cpu/simd/vec.h"

enum {
    CHUNK = 4096,   /* elements of a row summed at a time: 16 KiB of f32 */
    TASK_ROWS = 16, /* chunks a task takes */
};

/* dx with neighbouring axes joined where neither has a border, so that rows are long; and an axis
 * of 1 in front. */
typedef struct grid {
    const reel_call *c;
    int rank;
    int64_t n[REEL_MAX_RANK + 1], before[REEL_MAX_RANK + 1], after[REEL_MAX_RANK + 1];
    int64_t step[REEL_MAX_RANK + 1]; /* elements between neighbours in dy */
    int64_t n_chunks, n_pieces;      /* chunks in a row, and in all */
} grid;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static grid grid_of(const reel_call *c) {
    const reel_pad_attr *attr = c->attr;
    const reel_shape *dx = &c->out[0].shape;
    grid g = {.c = c, .rank = 1, .n = {1}};
    for (int k = 0; k < dx->rank; k++) {
        const int last = g.rank - 1;
        if (!attr->before[k] && !attr->after[k] && !g.before[last] && !g.after[last]) {
            g.n[last] *= dx->dim[k];
            continue;
        }
        g.n[g.rank] = dx->dim[k];
        g.before[g.rank] = attr->before[k];
        g.after[g.rank++] = attr->after[k];
    }
    int64_t step = 1;
    g.n_pieces = 1;
    for (int k = g.rank - 1; k >= 0; k--) {
        g.step[k] = step;
        step *= g.before[k] + g.n[k] + g.after[k];
        if (k < g.rank - 1) g.n_pieces *= g.n[k];
    }
    g.n_chunks = (g.n[g.rank - 1] + CHUNK - 1) / CHUNK;
    g.n_pieces *= g.n_chunks;
    return g;
}

VEC_INLINE void add(float *sum, const void *dy, int64_t at, bool bf16, int64_t n) {
    int64_t k = 0;
    for (; k + VF_N <= n; k += VF_N)
        vf_store(sum + k, vf_load(sum + k) + vec_load(dy, at + k, bf16));
    const int rest = (int)(n - k);
    if (rest)
        vf_store_part(sum + k, vf_load_part(sum + k, rest) + vec_load_part(dy, at + k, bf16, rest),
                      rest);
}

/* sum[0..n) += the part of a row of dy that shows columns first.. of dx; at: the row in dy. */
static void add_row(const grid *g, float *sum, int64_t at, int64_t first, int64_t n) {
    const void *dy = g->c->in[0].data;
    const bool bf16 = g->c->in[0].dtype == REEL_BF16;
    const int last = g->rank - 1;
    const int64_t inside = at + g->before[last];
    if (first == 0)
        for (int64_t k = 0; k < g->before[last]; k++)
            sum[0] += reel_dtype_load(g->c->in[0].dtype, dy, at + k);
    if (bf16)
        add(sum, dy, inside + first, true, n);
    else
        add(sum, dy, inside + first, false, n);
    if (first + n == g->n[last])
        for (int64_t k = 0; k < g->after[last]; k++)
            sum[n - 1] += reel_dtype_load(g->c->in[0].dtype, dy, inside + g->n[last] + k);
}

/* Adds all rows of dy that show the row of dx at coordinates i[0..last): a product of ranges, in
 * rising order. */
static void gather(const grid *g, const int64_t *i, float *sum, int64_t first, int64_t n) {
    const int last = g->rank - 1;
    int64_t lo[REEL_MAX_RANK + 1], hi[REEL_MAX_RANK + 1], at[REEL_MAX_RANK + 1], row = 0;
    for (int k = 0; k < last; k++) {
        lo[k] = at[k] = i[k] == 0 ? 0 : i[k] + g->before[k];
        hi[k] =
            i[k] == g->n[k] - 1 ? g->before[k] + g->n[k] + g->after[k] : i[k] + g->before[k] + 1;
        row += lo[k] * g->step[k];
    }
    for (int k = 0; k >= 0;) {
        add_row(g, sum, row, first, n);
        for (k = last - 1; k >= 0; k--) {
            row += g->step[k];
            if (++at[k] < hi[k]) break;
            row -= (hi[k] - lo[k]) * g->step[k];
            at[k] = lo[k];
        }
    }
}

static void pad_backward_task(void *context, int64_t index, int lane) {
    const grid *g = context;
    const reel_tensor *dx = &g->c->out[0];
    const int last = g->rank - 1;
    float *sum = (float *)g->c->scratch + (int64_t)lane * CHUNK;
    const int64_t end = least((index + 1) * TASK_ROWS, g->n_pieces);
    for (int64_t piece = index * TASK_ROWS; piece < end; piece++) {
        const int64_t row = piece / g->n_chunks, first = piece % g->n_chunks * CHUNK;
        const int64_t n = least(CHUNK, g->n[last] - first);
        int64_t i[REEL_MAX_RANK + 1], rest = row;
        for (int k = last - 1; k >= 0; k--) {
            i[k] = rest % g->n[k];
            rest /= g->n[k];
        }
        memset(sum, 0, (size_t)n * sizeof *sum);
        gather(g, i, sum, first, n);
        reel_dtype_cast(dx->dtype,
                        (char *)dx->data + (row * g->n[last] + first) * reel_dtype_bytes(dx->dtype),
                        REEL_F32, sum, n);
    }
}

static int64_t pad_backward_scratch(const reel_call *c, int n_lanes) {
    (void)c;
    return (int64_t)n_lanes * CHUNK * (int64_t)sizeof(float);
}

static void pad_backward_run(const reel_call *c) {
    grid g = grid_of(c);
    reel_parallel_for(c->threads, (g.n_pieces + TASK_ROWS - 1) / TASK_ROWS, pad_backward_task, &g);
}

static const char *refuse(const reel_call *c) {
    return c->in[0].dtype == REEL_F16 ? "dy is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_pad)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_pad)(reel_kernel_table *table) {
    static const reel_kernel kernel = {.name = "pad_backward." REEL_ISA_TEXT,
                                       .refuse = refuse,
                                       .scratch = pad_backward_scratch,
                                       .run = pad_backward_run};
    reel_kernel_table_add(table, &reel_op_pad_backward, &kernel);
}
