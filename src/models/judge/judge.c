#include "models/judge/judge.h"

#include <stdio.h>
#include <string.h>

#include "ops/concat.h"
#include "ops/conv3d.h"
#include "ops/elementwise.h"
#include "ops/grid.h"
#include "ops/layout.h"
#include "ops/linear.h"
#include "ops/loss.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/permute.h"
#include "ops/slice.h"
#include "ops/softmax.h"

/* All grids are channels last: [B,F,H,W,C]. */
enum { FRAMES = 1, CHANNELS = 4, PATCH = 4 };
/* Stages that are looked at: places of 8 x 8 and of 16 x 16 pixels. Small objects are too mixed
 * with what is around them in the coarser one. */
enum { FINE = 1, COARSE = 2 };

static const reel_init one = {REEL_INIT_ONE, 0};
static const reel_init zero = {REEL_INIT_ZERO, 0};
static const reel_init fan_in = {REEL_INIT_FAN_IN, 1};

/* How far the stages' first convolutions step; axes t, h, w. Time shrinks later than space: what
 * moves is told by neighbouring moments. */
static const int32_t stage_stride[REEL_JUDGE_STAGES][3] = {
    {1, 1, 1}, {1, 2, 2}, {2, 2, 2}, {2, 2, 2}};

/* ---- layers ---- */

/* x [B,F,H,W,C] -> [B,f,h,w,O]; kernel Kt x 3 x 3 with zeros around. */
static reel_var conv(reel_nn *nn, const char *name, reel_var x, int64_t O, int32_t Kt,
                     const int32_t stride[3]) {
    const int64_t C = reel_tape_value(nn->tape, x)->shape.dim[CHANNELS];
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(O, C, Kt, 3, 3), fan_in);
    const reel_var b = reel_nn_param(nn, "bias", REEL_SHAPE(O), zero);
    const reel_conv3d_attr attr = {.stride = {stride[0], stride[1], stride[2]},
                                   .pad_lo = {Kt / 2, 1, 1},
                                   .pad_hi = {Kt / 2, 1, 1},
                                   .layout = REEL_GRID_CHANNELS_LAST,
                                   .out_dtype = nn->compute};
    x = reel_cast(nn->tape, x, reel_tape_value(nn->tape, w)->dtype);
    const reel_var y = reel_conv3d(nn->tape, &attr, x, w, b, 0);
    reel_nn_end(nn);
    return y;
}

static reel_var norm_silu(reel_nn *nn, const char *name, reel_var x) {
    const int64_t C = reel_shape_last(&reel_tape_value(nn->tape, x)->shape);
    reel_nn_begin(nn, "%s", name);
    const reel_var w = reel_nn_param(nn, "weight", REEL_SHAPE(C), one);
    const reel_var y = reel_rms_norm(nn->tape, x, w, 1e-6f, nn->compute);
    reel_nn_end(nn);
    return reel_activate(nn->tape, y, REEL_ACT_SILU);
}

/* x [B,F,H,W,C] -> [B,F,H,W,C]: a look at the plane, then one at Kt moments, added to x. */
static reel_var block(reel_nn *nn, reel_var x, int64_t C, int32_t Kt) {
    static const int32_t still[3] = {1, 1, 1};
    reel_var y = norm_silu(nn, "norm1", x);
    y = conv(nn, "conv1", y, C, 1, still);
    y = norm_silu(nn, "norm2", y);
    y = conv(nn, "conv2", y, C, Kt, still);
    return reel_add(nn->tape, x, y);
}

/* x [B,F,H,W,3] -> [B,(F-1)/4,H/4,W/4,C] */
static reel_var stem(reel_nn *nn, reel_var x, int64_t C) {
    const reel_fold_attr fold = {
        .patch = {PATCH, PATCH, PATCH}, .order = REEL_FOLD_THWC, .layout = REEL_GRID_CHANNELS_LAST};
    const int64_t F = reel_tape_value(nn->tape, x)->shape.dim[FRAMES];
    x = reel_cast(nn->tape, x, nn->compute);
    x = reel_slice(nn->tape, x, FRAMES, 1, F - 1);
    return reel_nn_linear(nn, "stem", reel_space_to_depth(nn->tape, &fold, x), C, REEL_ACT_NONE);
}

static bool fits(reel_nn *nn, const reel_judge_config *c, reel_var x) {
    reel_tape *t = nn->tape;
    const reel_status status = reel_judge_config_check(reel_tape_env(t), c);
    const reel_shape s = reel_tape_value(t, x)->shape;
    if (status != REEL_OK)
        reel_tape_fail(t, status, "judge");
    else if (s.rank != 5 || s.dim[1] != c->frames || s.dim[2] != c->height ||
             s.dim[3] != c->width || s.dim[4] != 3)
        reel_tape_fail(t, REEL_E_SHAPE, "judge: x must be [B,%lld,%lld,%lld,3], got %s",
                       (long long)c->frames, (long long)c->height, (long long)c->width,
                       REEL_SHAPE_STR(&s));
    return reel_tape_status(t) == REEL_OK;
}

/* What each of n looks finds: the mean of x [B,F,H,W,C] weighted by a softmax over all places, by a
 * score that is linear in what stands there -> [B,n C]. What an object is does not depend on where
 * it is, which the flattened grid alone would have to learn place by place. */
static reel_var look(reel_nn *nn, const char *name, reel_var x, int64_t n) {
    const reel_shape s = reel_tape_value(nn->tape, x)->shape;
    const int64_t B = s.dim[0], C = reel_shape_last(&s), P = s.dim[1] * s.dim[2] * s.dim[3];
    char norm[REEL_JUDGE_NAME_BYTES];
    snprintf(norm, sizeof norm, "%s_norm", name);
    x = reel_reshape(nn->tape, norm_silu(nn, norm, x), REEL_SHAPE(B, P, C));
    const reel_var score = reel_nn_linear(nn, name, x, n, REEL_ACT_NONE); /* [B,P,n] */
    const reel_var share = reel_softmax(nn->tape, reel_transpose(nn->tape, score, 1, 2));
    const reel_matmul_attr plain = {.out_dtype = nn->compute};
    const reel_var found = reel_matmul(nn->tape, share, x, plain); /* [B,n,C] */
    return reel_reshape(nn->tape, found, REEL_SHAPE(B, n * C));
}

/* How many questions are sought, and how many answers each of them has. */
static int64_t count_sought(const reel_judge_config *c, int64_t *n_answers) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_questions; i++) {
        if (!c->question[i].sought) continue;
        *n_answers = c->question[i].n_answers;
        n++;
    }
    return n;
}

/* Answers the n questions that are sought from two grids: log odds [B,n,n_answers]. What is found
 * where nothing fits is told from what fits by `sought`, each question's own: what was looked for.
 */
static reel_var seek(reel_nn *nn, const reel_judge_config *c, const reel_var grid[2], int64_t n,
                     int64_t n_answers) {
    static const char *const names[] = {"fine", "coarse"};
    reel_tape *t = nn->tape;
    reel_nn_linear_options bare = reel_nn_linear_default(nn), head = bare;
    bare.bias = false;
    head.out_dtype = REEL_F32;
    reel_var found[2];
    reel_nn_begin(nn, "seek");
    for (int k = 0; k < 2; k++) {
        const reel_shape s = reel_tape_value(t, grid[k])->shape;
        found[k] = look(nn, names[k], grid[k], n);
        found[k] = reel_reshape(t, found[k], REEL_SHAPE(s.dim[0], n, reel_shape_last(&s)));
    }
    reel_var x = reel_nn_linear_with(nn, "found", reel_concat(t, found, 2, 2), c->features, &bare);
    x = reel_add(t, x, reel_nn_param(nn, "sought", REEL_SHAPE(n, c->features), zero));
    x = reel_nn_linear_with(nn, "answer", norm_silu(nn, "norm", x), n_answers, &head);
    reel_nn_end(nn);
    return x;
}

/* One linear layer for each question on the features x [B,features], but for what is sought: row k
 * of it is the k-th such question's answer. */
static void answer(reel_nn *nn, const reel_judge_config *c, reel_var x, reel_var sought,
                   reel_judge_output *out) {
    const int64_t B = reel_tape_value(nn->tape, x)->shape.dim[0];
    reel_nn_linear_options head = reel_nn_linear_default(nn);
    head.out_dtype = REEL_F32;
    reel_nn_begin(nn, "heads");
    for (int64_t i = 0, k = 0; i < c->n_questions; i++) {
        const reel_judge_question *q = &c->question[i];
        if (q->sought)
            out->answer[i] = reel_reshape(nn->tape, reel_slice(nn->tape, sought, 1, k++, 1),
                                          REEL_SHAPE(B, q->n_answers));
        else
            out->answer[i] = reel_nn_linear_with(nn, q->name, x, q->n_answers, &head);
    }
    reel_nn_end(nn);
}

reel_judge_output reel_judge(reel_nn *nn, const reel_judge_config *c, reel_var x) {
    reel_judge_output out = {0};
    if (!fits(nn, c, x)) return out;
    reel_tape *t = nn->tape;
    reel_var seen[2] = {0}; /* of the flattened grid, of the looks */
    reel_var grid[2] = {0}, sought = 0;
    int64_t n_answers = 0;
    const int64_t n_sought = count_sought(c, &n_answers);
    x = stem(nn, x, c->channels[0]);
    for (int i = 0; i < REEL_JUDGE_STAGES; i++) {
        reel_nn_begin(nn, "stages.%d", i);
        if (i > 0) x = conv(nn, "down", x, c->channels[i], 3, stage_stride[i]);
        x = block(nn, x, c->channels[i], i > 0 ? 3 : 1);
        reel_nn_end(nn);
        if (i == COARSE && c->looks > 0) seen[1] = look(nn, "look", x, c->looks);
        if (i == FINE) grid[0] = x;
        if (i == COARSE) grid[1] = x;
    }
    if (n_sought > 0) sought = seek(nn, c, grid, n_sought, n_answers);
    x = norm_silu(nn, "norm", x);
    const reel_shape s = reel_tape_value(t, x)->shape;
    const int64_t B = s.dim[0];
    seen[0] = reel_reshape(t, x, REEL_SHAPE(B, B ? reel_shape_count(&s) / B : 0));
    x = reel_concat(t, seen, c->looks > 0 ? 2 : 1, 1);
    x = reel_nn_linear(nn, "pool", x, c->features, REEL_ACT_NONE); /* [B,features] */
    x = norm_silu(nn, "pool_norm", x);
    out.features = reel_cast(t, x, REEL_F32);
    answer(nn, c, x, sought, &out);
    return out;
}

reel_var reel_judge_loss(reel_nn *nn, const reel_judge_config *c, const reel_judge_output *output,
                         const reel_var *truth, float smoothing) {
    reel_var loss = 0;
    for (int64_t q = 0; q < c->n_questions; q++) {
        const reel_var part =
            reel_cross_entropy(nn->tape, output->answer[q], truth[q], -1, smoothing);
        loss = q ? reel_add(nn->tape, loss, part) : part;
    }
    return loss;
}

/* ---- configuration ---- */

reel_judge_config reel_judge_config_default(void) {
    return (reel_judge_config){.frames = 33,
                               .height = 128,
                               .width = 128,
                               .channels = {32, 96, 192, 256},
                               .features = 256,
                               .looks = 16};
}

static reel_status in_range(reel_env *env, const char *field, int64_t value, int64_t least,
                            int64_t most) {
    if (value >= least && value <= most) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "judge: %s must be in %lld..%lld, got %lld", field,
                     (long long)least, (long long)most, (long long)value);
}

/* Letters, digits and underscores, as names of parameters go. */
static bool is_name(const char *name) {
    return name[0] && name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == 0;
}

/* Two questions of one judge. */
static reel_status check_pair(reel_env *env, const reel_judge_question *a,
                              const reel_judge_question *b) {
    if (strcmp(a->name, b->name) == 0)
        return reel_fail(env, REEL_E_ARG, "judge: the question %s is asked twice", a->name);
    if (a->sought && b->sought && a->n_answers != b->n_answers)
        return reel_fail(env, REEL_E_ARG,
                         "judge: what is sought has equally many answers, got %lld of %s and %lld "
                         "of %s",
                         (long long)a->n_answers, a->name, (long long)b->n_answers, b->name);
    return REEL_OK;
}

static reel_status check_questions(reel_env *env, const reel_judge_config *c) {
    reel_status status = in_range(env, "questions", c->n_questions, 1, REEL_JUDGE_QUESTIONS);
    for (int64_t i = 0; i < c->n_questions && status == REEL_OK; i++) {
        status = in_range(env, "answers of a question", c->question[i].n_answers, 2, 1024);
        if (status == REEL_OK && !is_name(c->question[i].name))
            status = reel_fail(env, REEL_E_ARG,
                               "judge: a question's name is of letters, digits and _, got \"%s\"",
                               c->question[i].name);
        for (int64_t k = 0; k < i && status == REEL_OK; k++)
            status = check_pair(env, &c->question[k], &c->question[i]);
    }
    return status;
}

reel_status reel_judge_config_check(reel_env *env, const reel_judge_config *c) {
    reel_status status = in_range(env, "frames", c->frames, 17, 4097);
    if (status == REEL_OK) status = in_range(env, "height", c->height, 32, 4096);
    if (status == REEL_OK) status = in_range(env, "width", c->width, 32, 4096);
    if (status == REEL_OK) status = in_range(env, "features", c->features, 1, 65536);
    if (status == REEL_OK) status = in_range(env, "looks", c->looks, 0, 1024);
    for (int i = 0; i < REEL_JUDGE_STAGES && status == REEL_OK; i++)
        status = in_range(env, "channels", c->channels[i], 1, 4096);
    if (status == REEL_OK && ((c->frames - 1) % 16 || c->height % 32 || c->width % 32))
        status = reel_fail(env, REEL_E_ARG,
                           "judge: sides must be multiples of 32 and frames 1 more than one of 16, "
                           "got %lld x %lld x %lld",
                           (long long)c->width, (long long)c->height, (long long)c->frames);
    return status == REEL_OK ? check_questions(env, c) : status;
}
