/* Optimiser steps and the norm of all gradients: passes over memory, in place. */
#include "ops/optim.h"

#include <math.h>

#include "cpu/simd/vec.h"

enum {
    CHUNK = 1 << 14, /* elements of a task */
    RUN = 2048,      /* squares summed in f32 */
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t n_chunks(const reel_tensor *x) {
    return (reel_tensor_count(x) + CHUNK - 1) / CHUNK;
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

/* ---- square_sum: the chunks of all operands are one list ---- */

VEC_INLINE double squares(const reel_tensor *x, int64_t from, int64_t to, bool bf16) {
    enum { WIDE = 4 };
    double total = 0;
    for (int64_t at = from; at < to; at += RUN) {
        const int64_t end = least(to, at + RUN);
        vf sum[WIDE] = {{0}};
        int64_t i = at;
        for (; i + WIDE * VF_N <= end; i += WIDE * VF_N)
            for (int k = 0; k < WIDE; k++) {
                const vf one = vec_load(x->data, i + k * VF_N, bf16);
                sum[k] += one * one;
            }
        for (; i < end; i += VF_N) {
            const vf one = vec_load_part(x->data, i, bf16, (int)least(VF_N, end - i));
            sum[0] += one * one;
        }
        total += (double)vf_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    return total;
}

static void square_sum_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    int k = 1;
    int64_t chunk = index;
    for (; chunk >= n_chunks(&c->in[k]); k++)
        chunk -= n_chunks(&c->in[k]);
    const reel_tensor *x = &c->in[k];
    const int64_t from = chunk * CHUNK, to = least(from + CHUNK, reel_tensor_count(x));
    double *part = c->scratch;
    part[index] = x->dtype == REEL_BF16 ? squares(x, from, to, true) : squares(x, from, to, false);
}

static int64_t n_parts(const reel_call *c) {
    int64_t n = 0;
    for (int k = 1; k < c->n_in; k++)
        n += n_chunks(&c->in[k]);
    return n;
}

static int64_t square_sum_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    return (int64_t)sizeof(double) * n_parts(c);
}

static void square_sum_run(const reel_call *c) {
    reel_call copy = *c;
    const int64_t n = n_parts(c);
    reel_parallel_for(c->threads, n, square_sum_task, &copy);
    double sum = c->present[0] ? (double)*(const float *)c->in[0].data : 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((const double *)c->scratch)[i];
    *(float *)c->out[0].data = (float)sum;
}

/* ---- what the steps share ---- */

static float clip_of(const reel_call *c, int i) {
    return c->present[i] ? ((const float *)c->in[i].data)[1] : 1;
}

/* Writes n elements where there is a place for them. */
VEC_INLINE void store_if(const reel_tensor *y, int64_t i, vf x, int n) {
    if (y->data) vec_store_part(y->data, i, y->dtype == REEL_BF16, x, n);
}

static void for_chunks(const reel_call *c, reel_task *task) {
    reel_call copy = *c;
    reel_parallel_for(c->threads, n_chunks(&c->in[0]), task, &copy);
}

/* ---- adamw ---- */

static void adamw_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const float *hyper = c->in[4].data, clip = clip_of(c, 5);
    const float lr = hyper[0], b1 = hyper[1], b2 = hyper[2], eps = hyper[3], decay = hyper[4];
    const float a1 = 1 - b1, a2 = 1 - b2, s1 = 1 / hyper[5], s2 = 1 / hyper[6];
    const bool skip = isnan(clip), bf16 = c->in[3].dtype == REEL_BF16;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    for (int64_t i = from; i < to; i += VF_N) {
        const int n = (int)least(VF_N, to - i);
        vf w = vec_load_part(c->in[0].data, i, false, n);
        vf m = vec_load_part(c->in[1].data, i, false, n);
        vf v = vec_load_part(c->in[2].data, i, false, n);
        if (!skip) {
            const vf g = clip * vec_load_part(c->in[3].data, i, bf16, n);
            m = b1 * m + a1 * g;
            v = b2 * v + a2 * g * g;
            w -= lr * (s1 * m / (vf_sqrt(s2 * v) + eps) + decay * w);
        }
        store_if(&c->out[0], i, w, n);
        store_if(&c->out[1], i, m, n);
        store_if(&c->out[2], i, v, n);
        if (c->n_out > 3) store_if(&c->out[3], i, w, n);
    }
}

static void adamw_run(const reel_call *c) {
    for_chunks(c, adamw_task);
}

/* ---- momentum, normalise, descend ---- */

static void momentum_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const float mu = ((const float *)c->in[2].data)[1], clip = clip_of(c, 3);
    const bool skip = isnan(clip), bf16 = c->in[1].dtype == REEL_BF16;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    for (int64_t i = from; i < to; i += VF_N) {
        const int n = (int)least(VF_N, to - i);
        vf buf = vec_load_part(c->in[0].data, i, false, n), g = {0};
        if (!skip) {
            g = clip * vec_load_part(c->in[1].data, i, bf16, n);
            buf = mu * buf + g;
        }
        store_if(&c->out[0], i, g + mu * buf, n);
        store_if(&c->out[1], i, buf, n);
    }
}

static void momentum_run(const reel_call *c) {
    for_chunks(c, momentum_task);
}

static void normalise_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const float scale = 1 / (sqrtf(*(const float *)c->in[1].data) + 1e-7f);
    const bool bf16 = c->in[0].dtype == REEL_BF16;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    for (int64_t i = from; i < to; i += VF_N) {
        const int n = (int)least(VF_N, to - i);
        store_if(&c->out[0], i, scale * vec_load_part(c->in[0].data, i, bf16, n), n);
    }
}

static void normalise_run(const reel_call *c) {
    for_chunks(c, normalise_task);
}

static void descend_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_optim_attr *attr = c->attr;
    const float *hyper = c->in[2].data;
    const float lr = hyper[0], decay = hyper[2];
    const bool skip = isnan(clip_of(c, 3)), bf16 = c->in[1].dtype == REEL_BF16;
    const int64_t from = index * CHUNK, to = least(from + CHUNK, reel_tensor_count(&c->in[0]));
    for (int64_t i = from; i < to; i += VF_N) {
        const int n = (int)least(VF_N, to - i);
        vf w = vec_load_part(c->in[0].data, i, false, n);
        if (!skip) w -= lr * (attr->scale * vec_load_part(c->in[1].data, i, bf16, n) + decay * w);
        store_if(&c->out[0], i, w, n);
        if (c->n_out > 1) store_if(&c->out[1], i, w, n);
    }
}

static void descend_run(const reel_call *c) {
    for_chunks(c, descend_task);
}

void REEL_ISA_NAME(reel_cpu_register_optim)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_optim)(reel_kernel_table *table) {
    static const reel_kernel square_sum = {.name = "square_sum." REEL_ISA_TEXT,
                                           .refuse = refuse_f16,
                                           .scratch = square_sum_scratch,
                                           .run = square_sum_run};
    static const reel_kernel adamw = {
        .name = "adamw." REEL_ISA_TEXT, .refuse = refuse_f16, .run = adamw_run};
    static const reel_kernel momentum = {
        .name = "momentum." REEL_ISA_TEXT, .refuse = refuse_f16, .run = momentum_run};
    static const reel_kernel normalise = {
        .name = "normalise." REEL_ISA_TEXT, .refuse = refuse_f16, .run = normalise_run};
    static const reel_kernel descend = {
        .name = "descend." REEL_ISA_TEXT, .refuse = refuse_f16, .run = descend_run};
    reel_kernel_table_add(table, &reel_op_square_sum, &square_sum);
    reel_kernel_table_add(table, &reel_op_adamw, &adamw);
    reel_kernel_table_add(table, &reel_op_momentum, &momentum);
    reel_kernel_table_add(table, &reel_op_normalise, &normalise);
    reel_kernel_table_add(table, &reel_op_descend, &descend);
}
