/* timestep: sines and cosines of t times a row of frequencies. R rows.
 *
 * Angles reach thousands of turns, where one f32 rounding is already a wrong digit; so the angle is
 * formed and brought into [-pi,pi] in f64, and only the polynomials are f32.
 */
#include "ops/timestep.h"

#include "cpu/simd/vec.h"

enum { ROWS = 32 }; /* a task takes: 32 KiB of result at dim 256 */

typedef double vd __attribute__((vector_size(VF_N * 8))); /* VF_N doubles: two registers */

/* x - 2 pi round(x / 2 pi). Adding and taking away 1.5 * 2^52 rounds to an integer while |x| <
 * 2^51; beyond, and for what is no number, the result is NaN, as sin and cos of infinity are. */
VEC_INLINE vf turn_back(vd x) {
    const vd magic = (vd){0} + 6755399441055744.0;
    const vd n = (x * 0.15915494309189533577 + magic) - magic;
    /* 2 pi in two parts: n times the first is exact for n < 2^28 */
    const vd r = (x - n * 6.28318500518798828125) - n * 3.0199159819567529884e-7;
    return __builtin_convertvector(r, vf);
}

/* sin r and cos r for |r| <= pi: halved into [-pi/2,pi/2] by symmetry, then Taylor's polynomials to
 * r^11 and r^12, whose next terms are below 6e-8 there. */
VEC_INLINE void sin_cos(vf r, vf *sine, vf *cosine) {
    const vf pi = vf_set(3.14159265f), half_pi = vf_set(1.57079633f);
    const vi beyond = vf_abs(r) > half_pi;
    const vf sign = (vf)((vi)r & vi_set((int32_t)0x80000000));
    const vf mirrored = (vf)((vi)pi | (vi)sign) - r; /* sin(pi - r) = sin r, cos(pi - r) = -cos r */
    const vf a = vf_select(beyond, mirrored, r), s = a * a;
    vf p = vf_set(-2.50521084e-8f);
    p = p * s + 2.75573192e-6f;
    p = p * s - 1.98412698e-4f;
    p = p * s + 8.33333333e-3f;
    p = p * s - 1.66666667e-1f;
    *sine = a + a * s * p;
    vf q = vf_set(2.08767570e-9f);
    q = q * s - 2.75573192e-7f;
    q = q * s + 2.48015873e-5f;
    q = q * s - 1.38888889e-3f;
    q = q * s + 4.16666667e-2f;
    q = q * s - 0.5f;
    q = q * s + 1.0f;
    *cosine = vf_select(beyond, -q, q);
}

VEC_INLINE vd vd_load_part(const double *p, int n) {
    vd x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
}

static void timestep_task(void *context, int64_t index, int lane) {
    (void)lane;
    const reel_call *c = context;
    const reel_timestep_attr *attr = c->attr;
    const float *t = c->in[0].data;       /* [R] */
    const double *frequency = c->scratch; /* [half] */
    const int64_t half = attr->dim / 2, sines = attr->flip_sin_to_cos ? half : 0;
    const int64_t R = reel_tensor_count(&c->in[0]);
    const int64_t end = (index + 1) * ROWS < R ? (index + 1) * ROWS : R;
    for (int64_t r = index * ROWS; r < end; r++) {
        float *row = (float *)c->out[0].data + r * attr->dim;
        const vd level = (vd){0} + (double)t[r];
        for (int64_t k = 0; k < half; k += VF_N) {
            const int n = half - k < VF_N ? (int)(half - k) : VF_N;
            vf sine, cosine;
            sin_cos(turn_back(level * vd_load_part(frequency + k, n)), &sine, &cosine);
            if (n == VF_N) {
                vf_store(row + sines + k, sine);
                vf_store(row + half - sines + k, cosine);
            } else {
                vf_store_part(row + sines + k, sine, n);
                vf_store_part(row + half - sines + k, cosine, n);
            }
        }
        if (attr->dim % 2) row[attr->dim - 1] = 0;
    }
}

static int64_t timestep_scratch(const reel_call *c, int n_lanes) {
    (void)n_lanes;
    const reel_timestep_attr *attr = c->attr;
    return attr->dim / 2 * (int64_t)sizeof(double);
}

static void timestep_run(const reel_call *c) {
    const reel_timestep_attr *attr = c->attr;
    reel_call copy = *c;
    double *frequency = c->scratch;
    for (int64_t k = 0; k < attr->dim / 2; k++)
        frequency[k] = (double)attr->scale * reel_timestep_frequency(attr, k);
    reel_parallel_for(c->threads, (reel_tensor_count(&c->in[0]) + ROWS - 1) / ROWS, timestep_task,
                      &copy);
}

void REEL_ISA_NAME(reel_cpu_register_timestep)(reel_kernel_table *table);
void REEL_ISA_NAME(reel_cpu_register_timestep)(reel_kernel_table *table) {
    static const reel_kernel kernel = {
        .name = "timestep." REEL_ISA_TEXT, .scratch = timestep_scratch, .run = timestep_run};
    reel_kernel_table_add(table, &reel_op_timestep, &kernel);
}
