/* softmax and its gradient, row by row. */
#include "ops/softmax.h"

#include <math.h>

#include "cpu/simd/vec.h"

enum {
    CHUNK = 1 << 14, /* elements of a task, unless a row is longer */
    RUN = 2048,      /* terms summed in f32 */
    HELD = 4096,     /* exponentials of a row that are kept on the stack, not taken twice */
};

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t rows_per_task(const reel_call *c) {
    const int64_t C = reel_shape_last(&c->in[0].shape);
    return C < CHUNK ? CHUNK / (C ? C : 1) : 1;
}

static void for_rows(const reel_call *c, reel_task *task) {
    reel_call copy = *c;
    const int64_t per_task = rows_per_task(c);
    reel_parallel_for(c->threads, (reel_shape_rows(&c->in[0].shape) + per_task - 1) / per_task,
                      task, &copy);
}

VEC_INLINE float row_top(const void *x, int64_t at, int64_t C, bool bf16) {
    vf top = vf_set(-INFINITY);
    int64_t i = 0;
    for (; i + VF_N <= C; i += VF_N)
        top = vf_max(vec_load(x, at + i, bf16), top);
    float greatest = vf_greatest(top);
    for (; i < C; i++) {
        const float one = vec_load_part(x, at + i, bf16, 1)[0];
        greatest = one > greatest ? one : greatest;
    }
    return greatest;
}

/* The lanes of x below n, others 0. */
VEC_INLINE vf first_lanes(vf x, int n) {
    float lane[VF_N];
    vf_store(lane, x);
    return vf_load_part(lane, n);
}

VEC_INLINE void softmax_row(const reel_call *c, int64_t r, bool bf16) {
    const int64_t C = reel_shape_last(&c->in[0].shape), at = r * C;
    const void *x = c->in[0].data;
    void *y = c->out[0].data;
    const float top = row_top(x, at, C, bf16);
    float held[HELD];
    const bool hold = C <= HELD;
    double sum = 0;
    for (int64_t from = 0; from < C; from += RUN) {
        const int64_t to = least(C, from + RUN);
        vf part = {0};
        int64_t i = from;
        for (; i + VF_N <= to; i += VF_N) {
            const vf e = vf_exp(vec_load(x, at + i, bf16) - top);
            if (hold) vf_store(held + i, e);
            part += e;
        }
        const int rest = (int)(to - i);
        if (rest) {
            const vf e = vf_exp(vec_load_part(x, at + i, bf16, rest) - top);
            if (hold) vf_store_part(held + i, e, rest);
            part += first_lanes(e, rest);
        }
        sum += (double)vf_sum(part);
    }
    const float scale = (float)(1 / sum);
    for (int64_t i = 0; i < C; i += VF_N) {
        const int n = (int)least(VF_N, C - i);
        const vf e =
            hold ? vf_load_part(held + i, n) : vf_exp(vec_load_part(x, at + i, bf16, n) - top);
        vec_store_part(y, at + i, bf16, e * scale, n);
    }
}

static void softmax_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const int64_t per_task = rows_per_task(c), from = index * per_task;
    const int64_t to = least(from + per_task, reel_shape_rows(&c->in[0].shape));
    for (int64_t r = from; r < to; r++)
        if (c->in[0].dtype == REEL_BF16)
            softmax_row(c, r, true);
        else
            softmax_row(c, r, false);
}

static void softmax_run(const reel_call *c) {
    for_rows(c, softmax_task);
}

/* ---- gradient: dx = y (dy - sum y dy) ---- */

VEC_INLINE void backward_row(const reel_call *c, int64_t r, const bool bf16[3]) {
    const int64_t C = reel_shape_last(&c->in[0].shape), at = r * C;
    const void *y = c->in[0].data, *dy = c->in[1].data;
    double sum = 0;
    for (int64_t from = 0; from < C; from += RUN) {
        const int64_t to = least(C, from + RUN);
        vf part = {0};
        for (int64_t i = from; i < to; i += VF_N) {
            const int n = (int)least(VF_N, to - i);
            part += vec_load_part(y, at + i, bf16[0], n) * vec_load_part(dy, at + i, bf16[1], n);
        }
        sum += (double)vf_sum(part);
    }
    const float dot = (float)sum;
    for (int64_t i = 0; i < C; i += VF_N) {
        const int n = (int)least(VF_N, C - i);
        const vf dx =
            vec_load_part(y, at + i, bf16[0], n) * (vec_load_part(dy, at + i, bf16[1], n) - dot);
        vec_store_part(c->out[0].data, at + i, bf16[2], dx, n);
    }
}

static void softmax_backward_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const int64_t per_task = rows_per_task(c), from = index * per_task;
    const int64_t to = least(from + per_task, reel_shape_rows(&c->in[0].shape));
    const bool bf16[3] = {c->in[0].dtype == REEL_BF16, c->in[1].dtype == REEL_BF16,
                          c->out[0].dtype == REEL_BF16};
    for (int64_t r = from; r < to; r++)
        if (bf16[0] && bf16[1] && bf16[2])
            backward_row(c, r, (const bool[3]){true, true, true});
        else if (!bf16[0] && !bf16[1] && !bf16[2])
            backward_row(c, r, (const bool[3]){false, false, false});
        else
            backward_row(c, r, bf16);
}

static void softmax_backward_run(const reel_call *c) {
    for_rows(c, softmax_backward_task);
}

static const char *refuse_f16(const reel_call *c) {
    for (int i = 0; i < c->n_in; i++)
        if (c->in[i].dtype == REEL_F16) return "an operand is f16";
    return c->out[0].dtype == REEL_F16 ? "the result is f16" : NULL;
}

void REEL_ISA_NAME(reel_cpu_register_softmax)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_softmax)(reel_kernel_table *table) {
    static const reel_kernel forward = {
        .name = "softmax." REEL_ISA_TEXT, .refuse = refuse_f16, .run = softmax_run};
    static const reel_kernel backward = {.name = "softmax_backward." REEL_ISA_TEXT,
                                         .refuse = refuse_f16,
                                         .run = softmax_backward_run};
    reel_kernel_table_add(table, &reel_op_softmax, &forward);
    reel_kernel_table_add(table, &reel_op_softmax_backward, &backward);
}
