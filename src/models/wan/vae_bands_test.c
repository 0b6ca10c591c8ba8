/* Bands against whole frames: the same pixels, at any cut, in less memory, as foretold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "models/wan/vae_stream.h"
#include "ops/slice.h"
#include "support/tape_rig.h"
#include "support/vae_rig.h"

/* f latent frames of LONG x SHORT latents, z channels, of which the first generation makes 4 x 4
 * pixels each and the second 8 x 8. A band reaches 8 latents far: of 23 there are cuts with a whole
 * halo, and such where the frame ends within it. */
enum {
    F = 3,
    LONG = 23,
    SHORT = 2,
    Z = VAE_RIG_Z,
    FRAMES = 9,
    MOST = FRAMES * LONG * SHORT * 64 * 3
};

static reel_wan_vae_stream_options options_of(vae_rig *r, int axis, int64_t n_bands) {
    const int64_t fs = reel_wan_vae_factor_s(&r->config);
    return (reel_wan_vae_stream_options){.params = r->params,
                                         .table = r->table,
                                         .compute = r->compute,
                                         .height = fs * (axis ? SHORT : LONG),
                                         .width = fs * (axis ? LONG : SHORT),
                                         .n_bands = n_bands};
}

/* A clip's frames as bytes, and as they came. */
typedef struct film {
    uint8_t bytes[MOST];
    float pixels[MOST];
    int64_t frame, n_frames;
} film;

static reel_status take_frames(void *context, int64_t first, int64_t n, const float *pixels) {
    film *f = context;
    assert_int_equal(first, f->n_frames);
    for (int64_t i = 0; i < n * f->frame; i++) {
        const float level = (pixels[i] + 1) * 127.5f + 0.5f;
        f->bytes[first * f->frame + i] = (uint8_t)(level >= 0 ? level < 255 ? level : 255 : 0);
        f->pixels[first * f->frame + i] = pixels[i];
    }
    f->n_frames += n;
    return REEL_OK;
}

/* Decodes random latents; f is the film to fill. */
static void decode(vae_rig *r, const reel_wan_vae_stream_options *options, film *f) {
    static float z[Z * F * LONG * SHORT];
    tape_rig_fill(z, Z * F * LONG * SHORT, 5);
    f->n_frames = 0;
    f->frame = options->height * options->width * 3;
    vae_rig_must(r, reel_wan_vae_decoder_open(r->env, &r->config, options, &r->stream));
    vae_rig_must(r, reel_wan_vae_decoder_run(r->stream, z, F, take_frames, f));
    assert_int_equal(f->n_frames, FRAMES);
    reel_wan_vae_stream_close(&r->stream);
}

/* ---- the same pixels ---- */

static film whole, cut;

/* single_from: see reel_wan_vae_stream_options. */
static void expect_same_bytes(vae_rig_kind which, reel_dtype compute, int axis,
                              int64_t single_from) {
    vae_rig r;
    vae_rig_open(&r, which, compute, reel_isa_detect(), 2);
    reel_wan_vae_stream_options o = options_of(&r, axis, 1);
    decode(&r, &o, &whole);
    static const int64_t counts[] = {2, 3, 5, LONG};
    for (int i = 0; i < 4; i++) {
        o.n_bands = counts[i];
        o.single_from = single_from;
        decode(&r, &o, &cut);
        assert_memory_equal(whole.bytes, cut.bytes, (size_t)(FRAMES * whole.frame));
        for (int64_t k = 0; k < FRAMES * whole.frame; k++)
            assert_true(fabsf(cut.pixels[k] - ((float)cut.bytes[k] / 127.5f - 1)) < 1e-6f);
    }
    vae_rig_close(&r);
}

static void test_wan_vae_bands_give_the_bytes_of_the_whole(void **state) {
    (void)state;
    for (int k = 0; k < 4 * VAE_RIG_KINDS; k++)
        expect_same_bytes((vae_rig_kind)(k % VAE_RIG_KINDS),
                          k < 2 * VAE_RIG_KINDS ? REEL_F32 : REEL_BF16, k / VAE_RIG_KINDS % 2, 0);
}

/* From 1 element on all frames of a piece are made one by one; from 3000 on those of the largest
 * grids. */
static void test_wan_vae_bands_give_the_same_bytes_frame_by_frame(void **state) {
    (void)state;
    for (int k = 0; k < 2 * VAE_RIG_KINDS; k++)
        expect_same_bytes((vae_rig_kind)(k % VAE_RIG_KINDS), REEL_BF16, 1,
                          k < VAE_RIG_KINDS ? 1 : 3000);
}

/* Not only their bytes: a band of a whole clip's middle against the picture, floats and all. */
static void expect_same_floats(vae_rig_kind which, reel_dtype compute, int axis,
                               const int64_t at[2]) {
    static float z[F * LONG * SHORT * Z];
    vae_rig r;
    vae_rig_open(&r, which, compute, reel_isa_detect(), 2);
    tape_rig_fill(z, F * LONG * SHORT * Z, 7);
    const int64_t h = axis ? SHORT : LONG, w = axis ? LONG : SHORT;
    const reel_wan_vae_band band = {axis, LONG, at[0], at[1]};
    const int64_t fs = reel_wan_vae_factor_s(&r.config);
    int64_t range[2];
    reel_wan_vae_band_range(&r.config, &band, range);
    reel_tape_reset(r.tape);
    reel_nn nn = reel_nn_start(r.tape, r.params, compute);
    const reel_var in = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, F, h, w, Z), "z", z);
    reel_var all = reel_wan_vae_decode_piece(&nn, &r.config, in, REEL_WAN_VAE_FIRST, NULL);
    all = reel_slice(r.tape, all, axis + 2, at[0] * fs, (at[1] - at[0]) * fs);
    const reel_var middle =
        reel_wan_vae_decode_middle(&nn, &r.config, in, REEL_WAN_VAE_FIRST, NULL);
    const reel_wan_vae_band_in parts = {
        reel_slice(r.tape, middle, axis + 2, range[0], range[1] - range[0]),
        reel_slice(r.tape, in, axis + 2, at[0], at[1] - at[0])};
    const reel_var out =
        reel_wan_vae_decode_band(&nn, &r.config, &band, &parts, REEL_WAN_VAE_FIRST, NULL);
    reel_tape_keep(r.tape, all);
    reel_tape_keep(r.tape, out);
    vae_rig_must(&r, reel_plan_new(r.tape, r.table, NULL, &r.plan));
    vae_rig_must(&r, reel_plan_run(r.plan, NULL));
    const reel_shape shape = reel_tape_value(r.tape, all)->shape;
    assert_true(reel_shape_equal(&shape, &reel_tape_value(r.tape, out)->shape));
    assert_memory_equal(reel_plan_data(r.plan, all), reel_plan_data(r.plan, out),
                        (size_t)reel_shape_count(&shape) * sizeof(float));
    vae_rig_close(&r);
}

static void test_wan_vae_a_band_is_a_part_of_the_whole_float_by_float(void **state) {
    (void)state;
    static const int64_t at[][2] = {{0, 8}, {9, 12}, {3, 22}, {22, 23}, {0, LONG}};
    for (int k = 0; k < 4 * VAE_RIG_KINDS; k++)
        for (int i = 0; i < 5; i++)
            expect_same_floats((vae_rig_kind)(k % VAE_RIG_KINDS),
                               k < 2 * VAE_RIG_KINDS ? REEL_F32 : REEL_BF16, k / VAE_RIG_KINDS % 2,
                               at[i]);
}

/* A band reads nothing outside its range, and all of it. */
static void test_wan_vae_bands_reach_as_far_as_they_say(void **state) {
    (void)state;
    const reel_wan_vae_config wan = reel_wan_vae_config_default();
    int64_t range[2];
    reel_wan_vae_band_range(&wan, &(reel_wan_vae_band){1, 104, 52, 104}, range);
    assert_int_equal(range[0], 52 - 13); /* 7 of the last level, 10, 12, 13 */
    assert_int_equal(range[1], 104);
    reel_wan_vae_band_range(&wan, &(reel_wan_vae_band){1, 104, 5, 80}, range);
    assert_int_equal(range[0], 0);
    assert_int_equal(range[1], 93);
}

static void test_wan_vae_bands_give_the_same_bytes_with_any_threads(void **state) {
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        vae_rig r;
        vae_rig_open(&r, VAE_RIG_RESIDUAL, REEL_BF16, reel_isa_detect(), threads);
        const reel_wan_vae_stream_options o = options_of(&r, 1, 3);
        decode(&r, &o, threads == 1 ? &whole : &cut);
        if (threads > 1)
            assert_memory_equal(whole.pixels, cut.pixels,
                                (size_t)(FRAMES * whole.frame) * sizeof(float));
        vae_rig_close(&r);
    }
}

/* ---- memory ---- */

/* What a run holds at its peak beside what there was before it opened. */
static int64_t measured(vae_rig *r, const reel_wan_vae_stream_options *options, int64_t *foretold) {
    static film f;
    const int64_t before = r->env->allocator.bytes;
    vae_rig_must(r, reel_wan_vae_decoder_open(r->env, &r->config, options, &r->stream));
    *foretold = reel_wan_vae_stream_peak(r->stream, F);
    reel_wan_vae_stream_close(&r->stream);
    r->env->allocator.peak_bytes = r->env->allocator.bytes;
    decode(r, options, &f);
    assert_int_equal(r->env->allocator.bytes, before);
    return r->env->allocator.peak_bytes - before;
}

/* Tape and plan themselves are what the prediction leaves out; real frames are so much larger. */
static void test_wan_vae_bands_take_what_they_say(void **state) {
    (void)state;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, reel_isa_detect(), 2);
    int64_t before = 0;
    static const int64_t counts[] = {1, 2, 5};
    for (int i = 0; i < 3; i++) {
        enum { OF_RECORDS = 2 << 20 };
        int64_t foretold;
        const reel_wan_vae_stream_options o = options_of(&r, 1, counts[i]);
        const int64_t bytes = measured(&r, &o, &foretold);
        assert_true(bytes >= foretold && bytes - foretold < OF_RECORDS);
        assert_true(!i || foretold < before);
        before = foretold;
    }
    vae_rig_close(&r);
}

/* Wan 2.1's 81 frames of 832 x 480, planned only: two bands keep below 1300 MiB, for 4% more
 * arithmetic, so that there is room for 140 MiB of weights and the rest of the process in 1536. */
static void test_wan_vae_bands_bring_480p_below_its_limit(void **state) {
    (void)state;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_BF16, reel_isa_detect(), 2);
    r.config = reel_wan_vae_config_default();
    reel_params *params;
    vae_rig_must(&r, reel_params_new(r.env, &params));
    reel_tape_reset(r.tape);
    reel_nn nn = reel_nn_start(r.tape, params, REEL_BF16);
    const reel_var z = reel_tape_input(r.tape, REEL_F32, REEL_SHAPE(1, 1, 2, 2, 16), "z", NULL);
    reel_wan_vae_decode_piece(&nn, &r.config, z, REEL_WAN_VAE_FIRST, NULL);
    reel_params_close(params);
    int64_t peak[3];
    double flops[3];
    for (int i = 0; i < 3; i++) {
        const reel_wan_vae_stream_options o = {.params = params,
                                               .table = r.table,
                                               .compute = REEL_BF16,
                                               .height = 480,
                                               .width = 832,
                                               .n_bands = i + 1};
        vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
        peak[i] = reel_wan_vae_stream_peak(r.stream, 21);
        flops[i] = reel_wan_vae_stream_get_stats(r.stream).flops;
        reel_wan_vae_stream_close(&r.stream);
    }
    assert_true(flops[1] < 1.04 * flops[0] && flops[2] < 1.08 * flops[0]);
    assert_true(peak[0] >> 20 > 2000 && peak[1] >> 20 < 1300 && peak[2] >> 20 < 1100);
    reel_params_free(&params);
    vae_rig_close(&r);
}

/* ---- refusals and callbacks ---- */

static void test_wan_vae_bands_refuse_what_does_not_fit(void **state) {
    (void)state;
    static float few[LONG * SHORT * 16 * 3 * 4];
    int64_t n;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, reel_isa_detect(), 2);
    reel_wan_vae_stream_options o = options_of(&r, 1, LONG + 1);
    vae_rig_expect_refused(&r, false, &o, "n_bands must be in 1..23, got 24");
    o.n_bands = 2;
    vae_rig_expect_refused(&r, true, &o, "bands are a decoder's");
    o.tile_width = o.stride_width = 16;
    vae_rig_expect_refused(&r, false, &o, "not of tiles");
    o = options_of(&r, 1, 2);
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
    assert_int_equal(reel_wan_vae_decoder_push(r.stream, few, 1, few, &n), REEL_E_ARG);
    vae_rig_close(&r);
}

typedef struct watch {
    double last;
    int n_calls, stop_at;
} watch;

static reel_status tick(void *context, double done) {
    watch *w = context;
    assert_true(done > w->last && done <= 1);
    w->last = done;
    return ++w->n_calls == w->stop_at ? REEL_E_CANCELLED : REEL_OK;
}

static void test_wan_vae_bands_say_how_far_they_are(void **state) {
    (void)state;
    enum { PIECES = F + 3 * F };
    static float z[Z * F * LONG * SHORT];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, reel_isa_detect(), 2);
    for (int stop_at = 0; stop_at < PIECES + 1; stop_at++) {
        watch w = {.stop_at = stop_at};
        reel_wan_vae_stream_options o = options_of(&r, 1, 3);
        o.tick = tick;
        o.tick_context = &w;
        whole.n_frames = 0;
        whole.frame = o.height * o.width * 3;
        vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
        const reel_status status = reel_wan_vae_decoder_run(r.stream, z, F, take_frames, &whole);
        assert_int_equal(status, stop_at ? REEL_E_CANCELLED : REEL_OK);
        assert_int_equal(w.n_calls, stop_at ? stop_at : PIECES);
        if (!stop_at) assert_true(fabs(w.last - 1) < 1e-9);
        reel_wan_vae_stream_close(&r.stream);
    }
    vae_rig_close(&r);
}

static void test_wan_vae_bands_refuse_pixels_that_are_no_numbers(void **state) {
    (void)state;
    static float z[Z * F * LONG * SHORT];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, reel_isa_detect(), 2);
    ((float *)reel_params_find(r.params, "decoder.conv_out.bias")->data)[1] = NAN;
    const reel_wan_vae_stream_options o = options_of(&r, 1, 2);
    whole.n_frames = 0;
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
    assert_int_equal(reel_wan_vae_decoder_run(r.stream, z, F, take_frames, &whole), REEL_E_FORMAT);
    assert_int_equal(whole.n_frames, 0);
    vae_rig_close(&r);
}

static void test_wan_vae_bands_survive_failing_allocations(void **state) {
    (void)state;
    static float z[Z * F * LONG * SHORT];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_LINEAR, REEL_F32, reel_isa_detect(), 2);
    const int64_t held = r.env->allocator.bytes;
    reel_wan_vae_stream_options o = options_of(&r, 1, 2);
    o.width = o.height * 2;
    int k = 1;
    for (;; k++) {
        whole.n_frames = 0;
        whole.frame = o.height * o.width * 3;
        reel_alloc_fail_at(r.env, k);
        reel_status status = reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream);
        if (status == REEL_OK)
            status = reel_wan_vae_decoder_run(r.stream, z, 2, take_frames, &whole);
        reel_wan_vae_stream_close(&r.stream);
        reel_alloc_fail_at(r.env, 0);
        if (r.env->allocator.bytes != held) fail_msg("call %d: memory leaks", k);
        if (status == REEL_OK) break;
        assert_int_equal(status, REEL_E_NOMEM);
        reel_env_clear(r.env);
    }
    assert_true(k > 50);
    vae_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wan_vae_bands_give_the_bytes_of_the_whole),
        cmocka_unit_test(test_wan_vae_bands_give_the_same_bytes_frame_by_frame),
        cmocka_unit_test(test_wan_vae_a_band_is_a_part_of_the_whole_float_by_float),
        cmocka_unit_test(test_wan_vae_bands_reach_as_far_as_they_say),
        cmocka_unit_test(test_wan_vae_bands_give_the_same_bytes_with_any_threads),
        cmocka_unit_test(test_wan_vae_bands_take_what_they_say),
        cmocka_unit_test(test_wan_vae_bands_bring_480p_below_its_limit),
        cmocka_unit_test(test_wan_vae_bands_refuse_what_does_not_fit),
        cmocka_unit_test(test_wan_vae_bands_say_how_far_they_are),
        cmocka_unit_test(test_wan_vae_bands_refuse_pixels_that_are_no_numbers),
        cmocka_unit_test(test_wan_vae_bands_survive_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
