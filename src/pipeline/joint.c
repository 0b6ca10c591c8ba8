#include "pipeline/joint.h"

#include <stdlib.h>
#include <string.h>

static const char tag_joint[] = "joint";
enum { N = REEL_JOINT_FRAMES, RADIUS = 2 };
static const float tau = 16; /* of 255: more than a still picture's decoding varies */

/* One side: the error at the joint, and how much of it is still of use where. */
typedef struct side {
    int16_t *error;   /* [H,W,3], in quarters */
    uint8_t *decoded; /* [H,W,3] at the joint */
    float *keep;      /* m [H,W] */
    bool known;
    int64_t k; /* frames away from the joint so far */
} side;

struct reel_joint {
    reel_env *env;
    reel_joint_options o;
    side before, behind;
    float *change, *row; /* [H,W] each */
    uint8_t *made;       /* [H,W,3] */
    uint8_t *held, *raw; /* [N,H,W,3]: a ring, `first` is the oldest of n_held; as made: raw */
    int64_t first, n_held;
};

/* ---- life ---- */

static bool side_init(reel_joint *j, side *s) {
    const int64_t n = j->o.width * j->o.height;
    s->error = reel_alloc(j->env, 3 * n * (int64_t)sizeof *s->error, tag_joint);
    s->decoded = reel_alloc(j->env, 3 * n, tag_joint);
    s->keep = reel_alloc(j->env, n * (int64_t)sizeof *s->keep, tag_joint);
    return s->error && s->decoded && s->keep;
}

static void side_deinit(reel_joint *j, side *s) {
    reel_free(j->env, s->error);
    reel_free(j->env, s->decoded);
    reel_free(j->env, s->keep);
}

reel_status reel_joint_open(reel_env *env, const reel_joint_options *options, reel_joint **joint) {
    reel_joint *j = reel_calloc(env, 1, sizeof *j, tag_joint);
    if (!j) return REEL_E_NOMEM;
    const int64_t n = options->width * options->height;
    j->env = env;
    j->o = *options;
    j->change = reel_alloc(env, n * (int64_t)sizeof *j->change, tag_joint);
    j->row = reel_alloc(env, n * (int64_t)sizeof *j->row, tag_joint);
    j->made = reel_alloc(env, 3 * n, tag_joint);
    bool good = j->change && j->row && j->made && side_init(j, &j->before);
    if (good && options->ends) {
        j->held = reel_alloc(env, N * 3 * n, tag_joint);
        j->raw = reel_alloc(env, N * 3 * n, tag_joint);
        good = j->held && j->raw && side_init(j, &j->behind);
    }
    *joint = j;
    if (good) return REEL_OK;
    reel_joint_close(joint);
    return REEL_E_NOMEM;
}

void reel_joint_close(reel_joint **joint) {
    reel_joint *j = *joint;
    if (!j) return;
    side_deinit(j, &j->before);
    side_deinit(j, &j->behind);
    reel_free(j->env, j->change);
    reel_free(j->env, j->row);
    reel_free(j->env, j->made);
    reel_free(j->env, j->held);
    reel_free(j->env, j->raw);
    reel_free(j->env, j);
    *joint = NULL;
}

/* The error in quarters, of which the first made frame takes three off. */
static void side_set(const reel_joint *j, side *s, const uint8_t *original,
                     const uint8_t *decoded) {
    const int64_t n = j->o.width * j->o.height;
    for (int64_t i = 0; i < 3 * n; i++)
        s->error[i] = (int16_t)(4 * original[i] - decoded[i]);
    memcpy(s->decoded, decoded, (size_t)(3 * n));
    for (int64_t i = 0; i < n; i++)
        s->keep[i] = 1;
    s->known = true;
    s->k = 0;
}

/* ---- a frame ---- */

/* Means along lines of n elements `step` apart, of up to 2 RADIUS + 1 of them. */
static void smooth_line(const float *from, float *to, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = i > RADIUS ? i - RADIUS : 0, b = i + RADIUS < n ? i + RADIUS : n - 1;
        float sum = 0;
        for (int64_t k = a; k <= b; k++)
            sum += from[k * step];
        to[i * step] = sum / (float)(b - a + 1);
    }
}

/* j->change [H,W]: how far a frame is from what was decoded at the joint. */
static void measure_change(reel_joint *j, const side *s, const uint8_t *x) {
    const int64_t w = j->o.width, h = j->o.height;
    for (int64_t i = 0; i < w * h; i++) {
        int sum = 0;
        for (int c = 0; c < 3; c++)
            sum += abs(x[3 * i + c] - s->decoded[3 * i + c]);
        j->change[i] = (float)sum / 3;
    }
    for (int64_t y = 0; y < h; y++)
        smooth_line(j->change + y * w, j->row + y * w, w, 1);
    for (int64_t i = 0; i < w; i++)
        smooth_line(j->row + i, j->change + i, h, w);
}

/* Adds what is left of the error at the side's next frame, made as x, to out. */
static void mend(reel_joint *j, side *s, const uint8_t *x, uint8_t *out) {
    const int64_t n = j->o.ends && j->before.known && j->o.frames < N ? j->o.frames : N;
    if (!s->known || s->k >= n) return;
    if (s->k++ == 0)
        for (int64_t i = 0; i < 3 * j->o.width * j->o.height; i++)
            s->error[i] = (int16_t)(s->error[i] - 3 * x[i]);
    measure_change(j, s, x);
    const float weight = (1 - (float)s->k / (float)(n + 1)) / 4; /* the error is in quarters */
    for (int64_t i = 0; i < j->o.width * j->o.height; i++) {
        const float far = j->change[i] / tau, keep = 1 / (1 + far * far);
        if (keep < s->keep[i]) s->keep[i] = keep;
        for (int c = 0; c < 3; c++) {
            const float y =
                (float)out[3 * i + c] + weight * s->keep[i] * s->error[3 * i + c] + 0.5f;
            out[3 * i + c] = (uint8_t)(y < 0 ? 0 : y > 255 ? 255 : y);
        }
    }
}

void reel_joint_begin(reel_joint *j, const uint8_t *original, const uint8_t *decoded) {
    side_set(j, &j->before, original, decoded);
}

/* Held frame i, from the oldest on, in one of the rings. */
static uint8_t *held_frame(const reel_joint *j, uint8_t *ring, int64_t i) {
    return ring + (j->first + i) % N * 3 * j->o.width * j->o.height;
}

static reel_status let_go(reel_joint *j) {
    const reel_status status = j->o.sink(j->o.context, held_frame(j, j->held, 0));
    j->first++;
    j->n_held--;
    return status;
}

reel_status reel_joint_put(reel_joint *j, const uint8_t *pixels) {
    const size_t bytes = (size_t)(3 * j->o.width * j->o.height);
    memcpy(j->made, pixels, bytes);
    mend(j, &j->before, pixels, j->made);
    if (!j->o.ends) return j->o.sink(j->o.context, j->made);
    const reel_status status = j->n_held == N ? let_go(j) : REEL_OK;
    memcpy(held_frame(j, j->held, j->n_held), j->made, bytes);
    memcpy(held_frame(j, j->raw, j->n_held), pixels, bytes);
    j->n_held++;
    return status;
}

reel_status reel_joint_end(reel_joint *j, const uint8_t *original, const uint8_t *decoded) {
    if (j->o.ends && original && decoded) {
        side_set(j, &j->behind, original, decoded);
        for (int64_t i = j->n_held - 1; i >= 0; i--)
            mend(j, &j->behind, held_frame(j, j->raw, i), held_frame(j, j->held, i));
    }
    reel_status status = REEL_OK;
    while (j->n_held && status == REEL_OK)
        status = let_go(j);
    return status;
}
