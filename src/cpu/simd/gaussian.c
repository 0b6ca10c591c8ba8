/* The loss of a normal distribution, and its gradient.
 *
 * A task takes a fixed number of rows; its sums go to scratch as f64, and one task adds them in
 * order. A row's f32 sums are at most RUN terms long.
 */
#include "ops/gaussian.h"

#include <string.h>

#include "cpu/simd/vec.h"

enum { ELEMENTS = 1 << 14, RUN = 2048 };

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

static int64_t columns(const reel_call *c) {
    return c->in[0].shape.dim[c->in[0].shape.rank - 1];
}
static int64_t rows(const reel_call *c) {
    return reel_tensor_count(&c->in[2]);
}
/* Rows of a task: about ELEMENTS elements. */
static int64_t rows_a_task(const reel_call *c) {
    const int64_t n = columns(c) ? ELEMENTS / columns(c) : ELEMENTS;
    return n > 0 ? n : 1;
}
static int64_t n_tasks(const reel_call *c) {
    return (rows(c) + rows_a_task(c) - 1) / rows_a_task(c);
}

static float weight_at(const reel_call *c, int64_t row) {
    const void *w = c->in[2].data;
    return c->in[2].dtype == REEL_BF16 ? reel_bf16_to_f32(((const reel_bf16 *)w)[row])
                                       : ((const float *)w)[row];
}

VEC_INLINE vf load(const reel_call *c, int operand, int64_t i, int n) {
    const void *from = c->in[operand].data;
    const bool bf16 = c->in[operand].dtype == REEL_BF16;
    return n == VF_N ? vec_load(from, i, bf16) : vec_load_part(from, i, bf16, n);
}

/* The sum of l + s e^-l over [from, to); what is loaded past the end is 0 and adds nothing. */
static double sum_of(const reel_call *c, int64_t from, int64_t to) {
    double total = 0;
    for (int64_t at = from; at < to; at += RUN) {
        const int64_t end = least(to, at + RUN);
        vf sum = {0};
        for (int64_t i = at; i < end; i += VF_N) {
            const int n = (int)least(VF_N, end - i);
            const vf l = load(c, 0, i, n);
            sum += l + load(c, 1, i, n) * vf_exp(-l);
        }
        total += (double)vf_sum(sum);
    }
    return total;
}

static void gaussian_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const int64_t C = columns(c), first = index * rows_a_task(c);
    const int64_t end = least(rows(c), first + rows_a_task(c));
    double total[2] = {0, 0};
    for (int64_t r = first; r < end; r++) {
        const double w = (double)weight_at(c, r);
        total[0] += w * sum_of(c, r * C, (r + 1) * C) / 2;
        total[1] += w * (double)C;
    }
    memcpy((double *)c->scratch + 2 * index, total, sizeof total);
}

static int64_t gaussian_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return 2 * (int64_t)sizeof(double) * n_tasks(c);
}

static void put(const reel_tensor *y, double x) {
    if (y->data) *(float *)y->data = (float)x;
}

static void gaussian_run(const reel_call *c) {
    reel_call call = *c;
    reel_parallel_for(c->threads, n_tasks(c), gaussian_task, &call);
    const double *part = c->scratch;
    double sum = 0, weights = 0;
    for (int64_t i = 0; i < n_tasks(c); i++) {
        sum += part[2 * i];
        weights += part[2 * i + 1];
    }
    put(&c->out[0], weights == 0 ? 0 : sum / weights);
    put(&c->out[1], weights);
}

/* ---- gradient: dl = dL w (1 - s e^-l) / 2 / (C sum w) ---- */

static void backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const int64_t C = columns(c), first = index * rows_a_task(c);
    const int64_t end = least(rows(c), first + rows_a_task(c));
    const float weights = *(const float *)c->in[3].data, dL = *(const float *)c->in[4].data;
    const float g = weights == 0.0f ? 0 : dL / weights / 2;
    const bool bf16 = c->out[0].dtype == REEL_BF16;
    for (int64_t r = first; r < end; r++) {
        const vf scale = vf_set(g * weight_at(c, r));
        for (int64_t i = r * C; i < (r + 1) * C; i += VF_N) {
            const int n = (int)least(VF_N, (r + 1) * C - i);
            const vf dl = scale * (1.0f - load(c, 1, i, n) * vf_exp(-load(c, 0, i, n)));
            if (n == VF_N)
                vec_store(c->out[0].data, i, bf16, dl);
            else
                vec_store_part(c->out[0].data, i, bf16, dl, n);
        }
    }
}

static void backward_run(const reel_call *c) {
    reel_call call = *c;
    reel_parallel_for(c->threads, n_tasks(c), backward_task, &call);
}

void REEL_ISA_NAME(reel_cpu_register_gaussian)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_gaussian)(reel_kernel_table *table) {
    static const reel_kernel gaussian = {.name = "gaussian." REEL_ISA_TEXT,
                                         .refuse = refuse_f16,
                                         .scratch = gaussian_scratch,
                                         .run = gaussian_run};
    static const reel_kernel gaussian_backward = {
        .name = "gaussian_backward." REEL_ISA_TEXT, .refuse = refuse_f16, .run = backward_run};
    reel_kernel_table_add(table, &reel_op_gaussian, &gaussian);
    reel_kernel_table_add(table, &reel_op_gaussian_backward, &gaussian_backward);
}
