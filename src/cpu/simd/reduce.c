/* sum_to, max, broadcast_to, dot.
 *
 * A reduction of up to six axes is one of two loops: the innermost axis is kept, and rows are added
 * up column by column; or it is reduced, and each result is the sum of runs. Sums are taken in f32
 * over at most 256 rows or 2048 elements, and those in f64 or a second level of f32, so that the
 * error grows with the square root of hundreds, not of the length. Pieces, and their order, come
 * from the shape alone.
 */
#include "ops/reduce.h"

#include <math.h>

#include "cpu/simd/broadcast.h"
#include "cpu/simd/vec.h"

enum {
    CHUNK = 1 << 14, /* elements a task reads, at least */
    COLUMNS = 1024,  /* columns a task adds up: 4 KiB of sums */
    ROWS = 256,      /* rows added in f32 before the sum moves up */
    RUN = 2048,      /* elements likewise, of a run */
    N_TASKS = 64,    /* a reduction with fewer results than this is split along its length */
};

typedef enum fold { SUM, MAX } fold;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t ratio_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* A NaN stays: comparisons with it are false, and a new one is asked for by name. */
VEC_INLINE vf fold_vector(fold f, vf a, vf x) {
    return f == SUM ? a + x : vf_select((x > a) | (x != x), x, a);
}
static double fold_one(fold f, double a, double x) {
    return f == SUM ? a + x : x > a || isnan(x) ? x : a;
}
static float start_of(fold f) {
    return f == SUM ? 0 : -INFINITY;
}

/* ---- the view: axes that are kept, axes that are reduced ---- */

typedef struct axes {
    int n;
    int64_t count; /* product of dim */
    int64_t dim[REEL_MAX_RANK], step[REEL_MAX_RANK];
} axes;

static int64_t offset_of(const axes *a, int64_t i) {
    int64_t offset = 0;
    for (int k = 0; k < a->n; k++) {
        const bool last = k + 1 == a->n;
        offset += (last ? i : i % a->dim[k]) * a->step[k];
        if (!last) i /= a->dim[k];
    }
    return offset;
}

typedef struct reduction {
    const reel_call *c;
    float factor;
    bool columns;       /* the innermost axis is kept */
    int64_t inner;      /* its length */
    axes kept, reduced; /* the others */
    int64_t n_out;
    int64_t per_task; /* results of a task: a block of columns, or whole runs */
    int64_t n_blocks; /* tasks side by side */
    int64_t n_splits; /* tasks along the reduction */
} reduction;

static void push(axes *a, int64_t dim, int64_t step) {
    a->dim[a->n] = dim;
    a->step[a->n++] = step;
    a->count *= dim;
}

static reduction reduction_of(const reel_call *c) {
    const reel_shape *x = &c->in[0].shape;
    const broadcast w = broadcast_of(x, &c->out[0].shape, x);
    reduction k = {.c = c,
                   .factor = ((const reel_reduce_attr *)c->attr)->factor,
                   .columns = w.step[0][0] != 0,
                   .inner = w.dim[0],
                   .kept = {.count = 1},
                   .reduced = {.count = 1},
                   .n_out = reel_tensor_count(&c->out[0])};
    for (int i = 1; i < w.rank; i++)
        push(w.step[0][i] ? &k.kept : &k.reduced, w.dim[i], w.step[1][i]);
    int64_t n_tasks, length;
    if (k.columns) {
        k.per_task = least(k.inner, COLUMNS);
        k.n_blocks = k.per_task ? ratio_up(k.inner, k.per_task) : 0;
        n_tasks = k.n_blocks * k.kept.count;
        length = ratio_up(k.reduced.count, ratio_up(CHUNK, most(k.per_task, 1)));
    } else {
        const int64_t each = k.reduced.count * k.inner;
        k.per_task = most(1, CHUNK / most(each, 1));
        n_tasks = k.n_blocks = ratio_up(k.n_out, k.per_task);
        length = ratio_up(each, CHUNK);
    }
    k.n_splits = n_tasks >= N_TASKS ? 1 : least(ratio_up(N_TASKS, most(n_tasks, 1)), length);
    k.n_splits = most(k.n_splits, 1);
    return k;
}

static void put(const reel_tensor *y, int64_t i, double value) {
    if (y->dtype == REEL_BF16)
        ((reel_bf16 *)y->data)[i] = reel_f32_to_bf16((float)value);
    else
        ((float *)y->data)[i] = (float)value;
}

/* ---- the innermost axis is kept: columns ---- */

/* Folds n rows (at offsets from x) of `width` columns into acc. */
VEC_INLINE void fold_rows(const void *x, const int64_t *offset, int n, int64_t width, float *acc,
                          fold f, bool bf16) {
    enum { WIDE = 4 };
    int64_t j = 0;
    for (; j + WIDE * VF_N <= width; j += WIDE * VF_N) {
        vf sum[WIDE];
        for (int k = 0; k < WIDE; k++)
            sum[k] = vf_set(start_of(f));
        for (int r = 0; r < n; r++)
            for (int k = 0; k < WIDE; k++)
                sum[k] = fold_vector(f, sum[k], vec_load(x, offset[r] + j + k * VF_N, bf16));
        for (int k = 0; k < WIDE; k++)
            vf_store(acc + j + k * VF_N, fold_vector(f, vf_load(acc + j + k * VF_N), sum[k]));
    }
    for (; j < width; j += VF_N) {
        const int part = (int)least(VF_N, width - j);
        vf sum = vf_set(start_of(f));
        for (int r = 0; r < n; r++)
            sum = fold_vector(f, sum, vec_load_part(x, offset[r] + j, bf16, part));
        vf_store_part(acc + j, fold_vector(f, vf_load_part(acc + j, part), sum), part);
    }
}

VEC_INLINE void columns_task(const reduction *k, int64_t index, fold f) {
    const reel_call *c = k->c;
    const int64_t split = index % k->n_splits, block = index / k->n_splits % k->n_blocks;
    const int64_t out = index / k->n_splits / k->n_blocks, column = block * k->per_task;
    const int64_t width = least(k->per_task, k->inner - column);
    const int64_t base = offset_of(&k->kept, out) + column;
    const int64_t from = k->reduced.count * split / k->n_splits;
    const int64_t to = k->reduced.count * (split + 1) / k->n_splits;
    float acc[COLUMNS];
    for (int64_t j = 0; j < width; j++)
        acc[j] = start_of(f);
    for (int64_t r = from; r < to; r += ROWS) {
        int64_t offset[ROWS];
        const int n = (int)least(ROWS, to - r);
        for (int i = 0; i < n; i++)
            offset[i] = base + offset_of(&k->reduced, r + i);
        if (c->in[0].dtype == REEL_BF16)
            fold_rows(c->in[0].data, offset, n, width, acc, f, true);
        else
            fold_rows(c->in[0].data, offset, n, width, acc, f, false);
    }
    const int64_t at = out * k->inner + column;
    if (k->n_splits > 1)
        memcpy((float *)c->scratch + split * k->n_out + at, acc, (size_t)width * sizeof *acc);
    else
        for (int64_t j = 0; j < width; j++)
            put(&c->out[0], at + j, (double)(k->factor * acc[j]));
}

/* scratch [n_splits][n_out] f32, folded in order. */
VEC_INLINE void columns_finish(const reduction *k, int64_t index, fold f) {
    const float *part = k->c->scratch;
    const int64_t from = index * COLUMNS, to = least(from + COLUMNS, k->n_out);
    for (int64_t i = from; i < to; i++) {
        double sum = (double)start_of(f);
        for (int64_t s = 0; s < k->n_splits; s++)
            sum = fold_one(f, sum, (double)part[s * k->n_out + i]);
        put(&k->c->out[0], i, (double)k->factor * sum);
    }
}

/* ---- the innermost axis is reduced: runs ---- */

VEC_INLINE double fold_run(const void *x, int64_t from, int64_t n, fold f, bool bf16) {
    enum { WIDE = 4 };
    double total = (double)start_of(f);
    for (int64_t at = 0; at < n; at += RUN) {
        const int64_t end = least(n, at + RUN);
        int64_t i = at;
        vf sum[WIDE];
        for (int k = 0; k < WIDE; k++)
            sum[k] = vf_set(start_of(f));
        for (; i + WIDE * VF_N <= end; i += WIDE * VF_N)
            for (int k = 0; k < WIDE; k++)
                sum[k] = fold_vector(f, sum[k], vec_load(x, from + i + k * VF_N, bf16));
        for (; i + VF_N <= end; i += VF_N)
            sum[0] = fold_vector(f, sum[0], vec_load(x, from + i, bf16));
        const vf all =
            fold_vector(f, fold_vector(f, sum[0], sum[1]), fold_vector(f, sum[2], sum[3]));
        if (f == SUM)
            total += (double)vf_sum(all);
        else
            for (int k = 0; k < VF_N; k++)
                total = fold_one(f, total, (double)all[k]);
        for (; i < end; i++)
            total = fold_one(f, total,
                             bf16 ? (double)reel_bf16_to_f32(((const reel_bf16 *)x)[from + i])
                                  : (double)((const float *)x)[from + i]);
    }
    return total;
}

/* Elements [from,to) of one result's reduction: runs of the innermost axis, the first and the last
 * of which may be cut. */
VEC_INLINE double fold_runs(const reduction *k, int64_t base, int64_t from, int64_t to, fold f,
                            bool bf16) {
    double total = (double)start_of(f);
    for (int64_t i = from; i < to;) {
        const int64_t column = i % k->inner, n = least(k->inner - column, to - i);
        const int64_t at = base + offset_of(&k->reduced, i / k->inner) + column;
        total = fold_one(f, total, fold_run(k->c->in[0].data, at, n, f, bf16));
        i += n;
    }
    return total;
}

VEC_INLINE void runs_task(const reduction *k, int64_t index, fold f) {
    const reel_call *c = k->c;
    const int64_t split = index % k->n_splits, group = index / k->n_splits;
    const int64_t first = group * k->per_task, last = least(first + k->per_task, k->n_out);
    const int64_t length = k->reduced.count * k->inner;
    const int64_t from = length * split / k->n_splits, to = length * (split + 1) / k->n_splits;
    for (int64_t o = first; o < last; o++) {
        const int64_t base = offset_of(&k->kept, o);
        const double value = c->in[0].dtype == REEL_BF16 ? fold_runs(k, base, from, to, f, true)
                                                         : fold_runs(k, base, from, to, f, false);
        if (k->n_splits > 1)
            ((double *)c->scratch)[o * k->n_splits + split] = value;
        else
            put(&c->out[0], o, (double)k->factor * value);
    }
}

/* scratch [n_out][n_splits] f64; few results, or there would be no splits. */
static void runs_finish(const reduction *k, fold f) {
    const double *part = k->c->scratch;
    for (int64_t o = 0; o < k->n_out; o++) {
        double sum = (double)start_of(f);
        for (int64_t s = 0; s < k->n_splits; s++)
            sum = fold_one(f, sum, part[o * k->n_splits + s]);
        put(&k->c->out[0], o, (double)k->factor * sum);
    }
}

/* ---- both ---- */

static void sum_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reduction *k = context;
    if (k->columns)
        columns_task(k, index, SUM);
    else
        runs_task(k, index, SUM);
}
static void max_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reduction *k = context;
    if (k->columns)
        columns_task(k, index, MAX);
    else
        runs_task(k, index, MAX);
}
static void sum_finish_task(void *context, int64_t index, int lane) {
    (void)lane;
    columns_finish(context, index, SUM);
}
static void max_finish_task(void *context, int64_t index, int lane) {
    (void)lane;
    columns_finish(context, index, MAX);
}

static void reduce(const reel_call *c, fold f) {
    reduction k = reduction_of(c);
    if (f == MAX) k.factor = 1;
    const int64_t n = k.n_splits * k.n_blocks * (k.columns ? k.kept.count : 1);
    reel_parallel_for(c->threads, n, f == SUM ? sum_task : max_task, &k);
    if (k.n_splits == 1) return;
    if (k.columns)
        reel_parallel_for(c->threads, ratio_up(k.n_out, COLUMNS),
                          f == SUM ? sum_finish_task : max_finish_task, &k);
    else
        runs_finish(&k, f);
}

static void sum_to_run(const reel_call *c) {
    reduce(c, SUM);
}
static void max_run(const reel_call *c) {
    reduce(c, MAX);
}

static int64_t reduce_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reduction k = reduction_of(c);
    if (k.n_splits == 1) return 0;
    return k.n_splits * k.n_out * (int64_t)(k.columns ? sizeof(float) : sizeof(double));
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

/* ---- broadcast_to ---- */

typedef struct repeat {
    const reel_call *c;
    broadcast walk;
} repeat;

VEC_INLINE void repeat_span(const reel_call *c, int64_t y_at, int64_t x_at, int64_t n, bool moves,
                            float factor) {
    const bool x_bf16 = c->in[0].dtype == REEL_BF16, y_bf16 = c->out[0].dtype == REEL_BF16;
    const void *x = c->in[0].data;
    void *y = c->out[0].data;
    const vf one = factor * vf_set(x_bf16 ? reel_bf16_to_f32(((const reel_bf16 *)x)[x_at])
                                          : ((const float *)x)[x_at]);
    for (int64_t i = 0; i < n; i += VF_N) {
        const int part = (int)least(VF_N, n - i);
        if (part == VF_N)
            vec_store(y, y_at + i, y_bf16, moves ? factor * vec_load(x, x_at + i, x_bf16) : one);
        else
            vec_store_part(y, y_at + i, y_bf16,
                           moves ? factor * vec_load_part(x, x_at + i, x_bf16, part) : one, part);
    }
}

static void broadcast_to_task(void *context, int64_t index, int lane) {
    (void)lane;
    const repeat *k = context;
    const broadcast *w = &k->walk;
    const float factor = ((const reel_reduce_attr *)k->c->attr)->factor;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&k->c->out[0]));
    broadcast_row row = broadcast_row_at(w, from / w->dim[0]);
    int64_t column = from % w->dim[0];
    for (int64_t i = from; i < to; column = 0, broadcast_row_next(w, &row)) {
        const int64_t n = least(w->dim[0] - column, to - i);
        repeat_span(k->c, i, row.offset[0] + column * w->step[0][0], n, w->step[0][0] != 0, factor);
        i += n;
    }
}

static void broadcast_to_run(const reel_call *c) {
    repeat k = {.c = c, .walk = broadcast_of(&c->out[0].shape, &c->in[0].shape, &c->out[0].shape)};
    reel_parallel_for(c->threads, ratio_up(reel_tensor_count(&c->out[0]), CHUNK), broadcast_to_task,
                      &k);
}

/* ---- dot ---- */

/* Runs of 2048 products in f32, their sums in f64. */
VEC_INLINE double dot_span(const reel_call *c, int64_t from, int64_t to, bool x_bf16, bool r_bf16) {
    enum { WIDE = 4 };
    const void *x = c->in[0].data, *r = c->in[1].data;
    double total = 0;
    for (int64_t at = from; at < to; at += RUN) {
        const int64_t end = least(to, at + RUN);
        int64_t i = at;
        vf sum[WIDE] = {{0}};
        for (; i + WIDE * VF_N <= end; i += WIDE * VF_N)
            for (int k = 0; k < WIDE; k++)
                sum[k] += vec_load(x, i + k * VF_N, x_bf16) * vec_load(r, i + k * VF_N, r_bf16);
        for (; i < end; i += VF_N) {
            const int part = (int)least(VF_N, end - i);
            sum[0] += vec_load_part(x, i, x_bf16, part) * vec_load_part(r, i, r_bf16, part);
        }
        total += (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    return total;
}

static void dot_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = ((const repeat *)context)->c;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    const bool x = c->in[0].dtype == REEL_BF16, r = c->in[1].dtype == REEL_BF16;
    double *part = c->scratch;
    if (x && r)
        part[index] = dot_span(c, from, to, true, true);
    else if (!x && !r)
        part[index] = dot_span(c, from, to, false, false);
    else
        part[index] = dot_span(c, from, to, x, r);
}

static int64_t dot_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return (int64_t)sizeof(double) * ratio_up(reel_tensor_count(&c->in[0]), CHUNK);
}

static void dot_run(const reel_call *c) {
    repeat k = {.c = c};
    const int64_t n = ratio_up(reel_tensor_count(&c->in[0]), CHUNK);
    reel_parallel_for(c->threads, n, dot_task, &k);
    double total = 0;
    for (int64_t i = 0; i < n; i++)
        total += ((const double *)c->scratch)[i];
    *(float *)c->out[0].data = (float)total;
}

void REEL_ISA_NAME(reel_cpu_register_reduce)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_reduce)(reel_kernel_table *table) {
    static const reel_kernel sum_to = {.name = "sum_to." REEL_ISA_TEXT,
                                       .refuse = refuse_f16,
                                       .scratch = reduce_scratch,
                                       .run = sum_to_run};
    static const reel_kernel max = {.name = "max." REEL_ISA_TEXT,
                                    .refuse = refuse_f16,
                                    .scratch = reduce_scratch,
                                    .run = max_run};
    static const reel_kernel broadcast_to = {
        .name = "broadcast_to." REEL_ISA_TEXT, .refuse = refuse_f16, .run = broadcast_to_run};
    static const reel_kernel dot = {
        .name = "dot." REEL_ISA_TEXT, .refuse = refuse_f16, .scratch = dot_scratch, .run = dot_run};
    reel_kernel_table_add(table, &reel_op_sum_to, &sum_to);
    reel_kernel_table_add(table, &reel_op_max, &max);
    reel_kernel_table_add(table, &reel_op_broadcast_to, &broadcast_to);
    reel_kernel_table_add(table, &reel_op_dot, &dot);
}
