#include "pipeline/denoise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "support/op_check.h"

enum { C = 2, F = 4, H = 2, W = 3, POSITIONS = F * H * W, N = C * POSITIONS };

typedef struct rig {
    reel_env *env;
    reel_canvas canvas;
    reel_denoise_options options;
    int64_t idle_bytes;
    /* what the model below was asked */
    int n_asked, n_guided;
    double timestep[64][8];
    float seen[64][N];
    float bias; /* what the unconditional output differs by */
    int fail_at;
} rig;

static void open_rig(rig *r, reel_sampler_kind kind, int steps) {
    memset(r, 0, sizeof *r);
    r->env = op_test_env(1);
    r->idle_bytes = r->env->allocator.bytes;
    assert_int_equal(reel_canvas_init(r->env, C, F, H, W, &r->canvas), REEL_OK);
    r->options.sampler = reel_sampler_options_default(kind);
    r->options.sampler.schedule.flow = true;
    r->options.sampler.prediction = REEL_PREDICT_FLOW;
    r->options.sampler.schedule.shift = 3;
    r->options.sampler.n_steps = steps;
    r->options.guidance = reel_guidance_default();
    r->options.seed = 7;
    r->fail_at = -1;
}

static void close_rig(rig *r) {
    reel_canvas_deinit(&r->canvas);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    reel_env_free(&r->env);
}

/* A smooth nonlinear answer that depends on x, the level and the place. */
static reel_status model(void *context, const reel_denoise_query *q, float *cond, float *uncond) {
    rig *r = context;
    if (r->n_asked == r->fail_at) return reel_fail(r->env, REEL_E_IO, "the model broke");
    for (int g = 0; g < q->n_groups; g++)
        r->timestep[r->n_asked][g] = q->timestep[g];
    memcpy(r->seen[r->n_asked], q->x, sizeof r->seen[0]);
    for (int i = 0; i < N; i++) {
        const double t = q->timestep[q->group[i % POSITIONS]] / 1000;
        cond[i] = (float)(0.8 * sin((double)q->x[i] + t) + 0.01 * i - 0.2);
        if (q->guided) uncond[i] = cond[i] - r->bias;
    }
    r->n_asked++;
    r->n_guided += q->guided;
    return REEL_OK;
}

static reel_denoise *begun(rig *r) {
    reel_denoise *d = NULL;
    if (reel_denoise_new(r->env, &r->canvas, &r->options, &d) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
    return d;
}

static void finish(rig *r, reel_denoise *d) {
    if (reel_denoise_run(d, model, r, NULL, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
}

static float known_value(int i) {
    return (float)(0.3 * cos(i));
}

/* Frames [at, at + n) known, starting from a level. */
static void know(rig *r, int at, int n, double level) {
    float latents[N];
    for (int c = 0; c < C; c++)
        for (int i = 0; i < n * H * W; i++)
            latents[c * n * H * W + i] = known_value(c * POSITIONS + at * H * W + i);
    assert_int_equal(reel_canvas_put(&r->canvas, at, n, latents, level), REEL_OK);
}

static const reel_sampler_kind kinds[] = {REEL_SAMPLER_EULER, REEL_SAMPLER_HEUN, REEL_SAMPLER_UNIPC,
                                          REEL_SAMPLER_DPMPP};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* ---- a canvas of noise ---- */

static void test_denoise_noise_is_the_sampler_alone(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        rig r;
        open_rig(&r, kinds[k], 6);
        reel_denoise *d = begun(&r);
        assert_int_equal(reel_denoise_n_groups(d), 1);
        finish(&r, d);

        float x[N], out[N];
        const int32_t group[POSITIONS] = {0};
        reel_sampler *s = NULL;
        assert_int_equal(reel_sampler_new(r.env, &r.options.sampler, N, &s), REEL_OK);
        reel_rng_fill_normal(7, reel_rng_stream("noise"), 0, N, x);
        r.n_asked = 0;
        for (int i = 0; i < reel_sampler_n_evaluations(s); i++) {
            const double t = reel_sampler_timestep(s, i);
            const reel_denoise_query q = {
                .x = x, .group = group, .n_groups = 1, .timestep = &t, .sigma = &t};
            assert_int_equal(model(&r, &q, out, NULL), REEL_OK);
            reel_sampler_step(s, i, out, NULL, NULL, x);
        }
        assert_memory_equal(reel_denoise_latents(d), x, sizeof x);
        reel_sampler_free(&s);
        reel_denoise_free(&d);
        close_rig(&r);
    }
}

static void test_denoise_guidance_acts_in_its_interval_only(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_EULER, 8);
    r.bias = 0.125f;
    r.options.guidance.scale = 3;
    r.options.guidance.from = 0.25;
    r.options.guidance.to = 0.75;
    reel_denoise *d = begun(&r);
    assert_true(reel_denoise_is_guided(d));
    finish(&r, d);
    assert_int_equal(r.n_asked, 8);
    assert_int_equal(r.n_guided, 4);
    float guided[N];
    memcpy(guided, reel_denoise_latents(d), sizeof guided);
    reel_denoise_free(&d);
    r.options.guidance.scale = 1;
    d = begun(&r);
    assert_false(reel_denoise_is_guided(d));
    finish(&r, d);
    assert_true(memcmp(guided, reel_denoise_latents(d), sizeof guided) != 0);
    reel_denoise_free(&d);
    close_rig(&r);
}

static void test_denoise_given_noise_is_where_it_starts(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_EULER, 2);
    float noise[N];
    for (int i = 0; i < N; i++)
        noise[i] = (float)i / N;
    r.options.noise = noise;
    reel_denoise *d = begun(&r);
    assert_memory_equal(reel_denoise_latents(d), noise, sizeof noise);
    reel_denoise_free(&d);
    close_rig(&r);
}

/* ---- known frames ---- */

static void test_denoise_known_frames_come_out_untouched(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        rig r;
        open_rig(&r, kinds[k], 5);
        know(&r, 0, 1, 0);
        know(&r, 3, 1, 0);
        reel_denoise *d = begun(&r);
        assert_int_equal(reel_denoise_n_groups(d), 2);
        finish(&r, d);
        const float *x = reel_denoise_latents(d);
        for (int i = 0; i < N; i++) {
            const int frame = i % POSITIONS / (H * W);
            if (frame == 0 || frame == 3)
                assert_true(x[i] == known_value(i));
            else
                assert_true(x[i] != known_value(i));
        }
        reel_denoise_free(&d);
        close_rig(&r);
    }
}

static void test_denoise_known_frames_are_shown_clean_at_level_zero(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_UNIPC, 5);
    know(&r, 0, 2, 0);
    reel_denoise *d = begun(&r);
    finish(&r, d);
    assert_int_equal(r.n_asked, 5);
    for (int e = 0; e < r.n_asked; e++) {
        assert_true(r.timestep[e][0] > 0); /* released at evaluation 0 */
        assert_true(r.timestep[e][1] == 0);
        for (int i = 0; i < N; i++)
            if (i % POSITIONS < 2 * H * W) assert_true(r.seen[e][i] == known_value(i));
    }
    reel_denoise_free(&d);
    close_rig(&r);
}

static void test_denoise_known_frames_may_be_shown_noisy(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_UNIPC, 8);
    know(&r, 0, 2, 0);
    r.options.known_noise = 0.4;
    reel_denoise *d = begun(&r);
    float noise[N];
    reel_rng_fill_normal(7, reel_rng_stream("noise"), 0, N, noise);
    finish(&r, d);
    int below = 0;
    for (int e = 0; e < r.n_asked; e++) {
        const double level = r.timestep[e][1] / 1000, now = r.timestep[e][0] / 1000;
        assert_true(fabs(level - fmin(now, 0.4)) < 2e-3); /* the schedule's table is rounded */
        below += now < 0.4;
        for (int i = 0; i < N; i++)
            if (i % POSITIONS < 2 * H * W)
                assert_true(fabs((double)r.seen[e][i] - (1 - level) * (double)known_value(i) -
                                 level * (double)noise[i]) < 6e-3);
    }
    assert_true(below > 0 && below < r.n_asked);
    for (int i = 0; i < N; i++)
        if (i % POSITIONS < 2 * H * W) assert_true(reel_denoise_latents(d)[i] == known_value(i));
    assert_non_null(reel_denoise_estimate(d));
    reel_denoise_free(&d);
    r.options.known_noise = 2;
    assert_int_equal(reel_denoise_new(r.env, &r.canvas, &r.options, &d), REEL_E_ARG);
    close_rig(&r);
}

static void test_denoise_all_known_asks_nobody(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_UNIPC, 5);
    know(&r, 0, F, 0);
    reel_denoise *d = begun(&r);
    finish(&r, d);
    assert_int_equal(r.n_asked, 0);
    for (int i = 0; i < N; i++)
        assert_true(reel_denoise_latents(d)[i] == known_value(i));
    reel_denoise_free(&d);
    close_rig(&r);
}

/* ---- edited frames ---- */

/* Everything from one level: the evaluations above it are not computed, and x begins on the line.
 */
static void test_denoise_edit_begins_at_its_level(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        rig r;
        open_rig(&r, kinds[k], 8);
        r.options.sampler.integer_timesteps = false; /* so that t is 1000 s */
        know(&r, 0, F, 0.6);
        reel_denoise *d = begun(&r);
        const int skipped = reel_denoise_done(d);
        assert_true(skipped > 0);
        finish(&r, d);
        assert_int_equal(r.n_asked, reel_denoise_n(d) - skipped);
        const double s = r.timestep[0][0] / 1000;
        assert_true(s <= 0.6 && s > 0.3);
        float noise[N];
        reel_rng_fill_normal(7, reel_rng_stream("noise"), 0, N, noise);
        for (int i = 0; i < N; i++)
            assert_true(fabs((double)r.seen[0][i] -
                             ((1 - s) * (double)known_value(i) + s * (double)noise[i])) < 1e-5);
        for (int i = 0; i < N; i++)
            assert_true(isfinite(reel_denoise_latents(d)[i]));
        reel_denoise_free(&d);
        close_rig(&r);
    }
}

/* A waiting group is shown the same thing until it is let go, and then moves on without a jump. */
static void test_denoise_waiting_frames_join_on_their_line(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        rig r;
        open_rig(&r, kinds[k], 8);
        know(&r, 1, 1, 0.5);
        reel_denoise *d = begun(&r);
        finish(&r, d);
        int joined = 0;
        while (r.timestep[joined][1] != r.timestep[joined][0])
            joined++;
        assert_true(joined > 0 && joined < r.n_asked);
        const double level = r.timestep[joined][1];
        for (int e = 0; e < joined; e++)
            assert_true(fabs(r.timestep[e][1] - level) < 1e-9);
        for (int e = 1; e <= joined; e++)
            for (int i = 0; i < N; i++)
                if (i % POSITIONS / (H * W) == 1)
                    assert_true(fabs((double)r.seen[e][i] - (double)r.seen[0][i]) < 1e-5);
        reel_denoise_free(&d);
        close_rig(&r);
    }
}

static void test_denoise_known_needs_a_flow(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_DDIM, 5);
    r.options.sampler = reel_sampler_options_default(REEL_SAMPLER_DDIM);
    r.options.sampler.n_steps = 5;
    know(&r, 0, 1, 0);
    reel_denoise *d = NULL;
    assert_int_equal(reel_denoise_new(r.env, &r.canvas, &r.options, &d), REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(r.env), "flow"));
    close_rig(&r);
}

/* ---- going on ---- */

/* After every evaluation of every sampler: the memory moved into a fresh run leads to the same
 * bytes. */
static void test_denoise_restored_runs_end_in_the_same_bytes(void **state) {
    (void)state;
    for (int k = 0; k < N_KINDS; k++) {
        rig r;
        open_rig(&r, kinds[k], 6);
        r.options.guidance.scale = 2;
        know(&r, 2, 1, 0);
        know(&r, 3, 1, 0.5);
        reel_denoise *whole = begun(&r);
        finish(&r, whole);
        for (int stop = 1; stop < reel_denoise_n(whole); stop++) {
            reel_denoise *first = begun(&r), *second = begun(&r);
            r.n_asked = 0;
            r.fail_at = stop;
            assert_int_equal(reel_denoise_run(first, model, &r, NULL, NULL), REEL_E_IO);
            reel_env_clear(r.env);
            r.fail_at = -1;
            assert_int_equal(reel_denoise_done(first), stop);
            const reel_denoise_memory from = reel_denoise_get_memory(first);
            const reel_denoise_memory to = reel_denoise_get_memory(second);
            assert_int_equal(from.sampler_bytes, to.sampler_bytes);
            memcpy(to.x, from.x, N * sizeof *to.x);
            memcpy(to.sampler, from.sampler, (size_t)to.sampler_bytes);
            assert_int_equal(reel_denoise_restore(second, stop), REEL_OK);
            r.n_asked = 0;
            finish(&r, second);
            assert_memory_equal(reel_denoise_latents(second), reel_denoise_latents(whole),
                                N * sizeof(float));
            r.n_asked = 0;
            finish(&r, first); /* what failed can be gone on with, too */
            assert_memory_equal(reel_denoise_latents(first), reel_denoise_latents(whole),
                                N * sizeof(float));
            reel_denoise_free(&first);
            reel_denoise_free(&second);
        }
        assert_int_equal(reel_denoise_restore(whole, 99), REEL_E_ARG);
        *(int32_t *)reel_denoise_get_memory(whole).sampler = -1;
        assert_int_equal(reel_denoise_restore(whole, 1), REEL_E_FORMAT);
        reel_denoise_free(&whole);
        close_rig(&r);
    }
}

typedef struct watcher {
    int n_calls, stop_at;
    double last_sigma;
    float x0[N];
} watcher;

static reel_status watch(void *context, const reel_denoise_step *step) {
    watcher *w = context;
    assert_int_equal(step->done, ++w->n_calls);
    assert_true(step->sigma < w->last_sigma);
    w->last_sigma = step->sigma;
    memcpy(w->x0, step->x0, sizeof w->x0);
    return w->n_calls == w->stop_at ? REEL_E_CANCELLED : REEL_OK;
}

static void test_denoise_watcher_sees_every_step_and_can_stop(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_EULER, 4);
    watcher w = {.last_sigma = 2, .stop_at = 3};
    reel_denoise *d = begun(&r);
    assert_int_equal(reel_denoise_run(d, model, &r, watch, &w), REEL_E_CANCELLED);
    assert_int_equal(reel_denoise_done(d), 3);
    assert_int_equal(reel_denoise_run(d, model, &r, watch, &w), REEL_OK);
    assert_int_equal(w.n_calls, 4);
    assert_true(w.last_sigma == 0);
    /* Euler's last step goes all the way to the predicted x_0 */
    for (int i = 0; i < N; i++)
        assert_true(fabs((double)w.x0[i] - (double)reel_denoise_latents(d)[i]) < 1e-6);
    reel_denoise_free(&d);
    close_rig(&r);
}

static void test_denoise_without_memory_leaks_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r, REEL_SAMPLER_UNIPC, 3);
    know(&r, 0, 1, 0);
    for (int k = 1;; k++) {
        const int64_t before = r.env->allocator.bytes;
        reel_denoise *d = NULL;
        reel_alloc_fail_at(r.env, k);
        const reel_status status = reel_denoise_new(r.env, &r.canvas, &r.options, &d);
        reel_alloc_fail_at(r.env, 0);
        if (status == REEL_OK) {
            assert_true(k > 10);
            reel_denoise_free(&d);
            break;
        }
        assert_int_equal(status, REEL_E_NOMEM);
        assert_int_equal(r.env->allocator.bytes, before);
        reel_env_clear(r.env);
    }
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denoise_noise_is_the_sampler_alone),
        cmocka_unit_test(test_denoise_guidance_acts_in_its_interval_only),
        cmocka_unit_test(test_denoise_given_noise_is_where_it_starts),
        cmocka_unit_test(test_denoise_known_frames_come_out_untouched),
        cmocka_unit_test(test_denoise_known_frames_are_shown_clean_at_level_zero),
        cmocka_unit_test(test_denoise_known_frames_may_be_shown_noisy),
        cmocka_unit_test(test_denoise_all_known_asks_nobody),
        cmocka_unit_test(test_denoise_edit_begins_at_its_level),
        cmocka_unit_test(test_denoise_waiting_frames_join_on_their_line),
        cmocka_unit_test(test_denoise_known_needs_a_flow),
        cmocka_unit_test(test_denoise_restored_runs_end_in_the_same_bytes),
        cmocka_unit_test(test_denoise_watcher_sees_every_step_and_can_stop),
        cmocka_unit_test(test_denoise_without_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
