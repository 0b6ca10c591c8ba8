/* Streams against whole clips: the same bytes piece by piece, close with tiles, bounded memory. */
#include "models/wan/vae_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/tape_rig.h"
#include "support/vae_rig.h"
#include "tensor/tolerance.h"

enum { MOST = 17 * 64 * 64 * 3 };

/* The whole clip in one run; count elements into y. */
static void run_whole(vae_rig *r, bool decode, reel_shape shape, const float *x, float *y) {
    const reel_var out = vae_rig_record(r, decode, shape, x);
    reel_tape_keep(r->tape, out);
    reel_plan_free(&r->plan);
    vae_rig_must(r, reel_plan_new(r->tape, r->table, NULL, &r->plan));
    vae_rig_must(r, reel_plan_run(r->plan, NULL));
    memcpy(y, reel_plan_data(r->plan, out),
           (size_t)reel_shape_count(&reel_tape_value(r->tape, out)->shape) * sizeof *y);
}

static reel_wan_vae_stream_options options_of(vae_rig *r, int64_t H, int64_t W) {
    return (reel_wan_vae_stream_options){.params = r->params,
                                         .table = r->table,
                                         .compute = r->compute,
                                         .height = H,
                                         .width = W,
                                         .raw = true};
}

/* Between [z,n] and [n,z]. */
static void swap_axes(const float *x, int64_t rows, int64_t columns, float *y) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            y[k * rows + i] = x[i * columns + k];
}

/* A clip's frames, written in order. */
typedef struct film {
    float *pixels;
    int64_t frame, n_frames, n_calls;
} film;

static reel_status take_frames(void *context, int64_t first, int64_t n, const float *pixels) {
    film *f = context;
    assert_int_equal(first, f->n_frames);
    memcpy(f->pixels + first * f->frame, pixels, (size_t)(n * f->frame) * sizeof *pixels);
    f->n_frames += n;
    f->n_calls++;
    return REEL_OK;
}

static reel_status give_frames(void *context, int64_t first, int64_t n, float *pixels) {
    film *f = context;
    memcpy(pixels, f->pixels + first * f->frame, (size_t)(n * f->frame) * sizeof *pixels);
    f->n_calls++;
    return REEL_OK;
}

/* ---- the whole, piece by piece ---- */

/* single_from: see reel_wan_vae_stream_options. */
static void expect_decoded_alike(vae_rig_kind which, reel_dtype compute, reel_isa isa,
                                 int64_t single_from) {
    static float z[3 * 2 * 3 * 4], flat[3 * 2 * 3 * 4], whole[MOST], pieces[MOST];
    vae_rig r;
    vae_rig_open(&r, which, compute, isa, 2);
    const int64_t fs = reel_wan_vae_factor_s(&r.config), H = 2 * fs, W = 3 * fs;
    tape_rig_fill(z, 3 * 2 * 3 * 4, 5);
    swap_axes(z, 4, 3 * 2 * 3, flat);
    run_whole(&r, true, REEL_SHAPE(1, 3, 2, 3, 4), flat, whole);
    const int64_t count = 9 * H * W * 3;
    for (int64_t i = 0; i < count; i++)
        whole[i] = whole[i] < -1 ? -1 : whole[i] > 1 ? 1 : whole[i];
    reel_wan_vae_stream_options options = options_of(&r, H, W);
    options.single_from = single_from;
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &options, &r.stream));
    for (int clip = 0; clip < 2; clip++) { /* the second one must not see the first */
        film f = {.pixels = pieces, .frame = H * W * 3};
        vae_rig_must(&r, reel_wan_vae_decoder_run(r.stream, z, 3, take_frames, &f));
        assert_int_equal(f.n_frames, 9);
        assert_int_equal(f.n_calls, 3);
        assert_memory_equal(whole, pieces, (size_t)count * sizeof *whole);
    }
    vae_rig_close(&r);
}

static void expect_encoded_alike(vae_rig_kind which, reel_dtype compute, reel_isa isa) {
    static float x[MOST], moments[3 * 2 * 3 * 8], both[3 * 2 * 3 * 8], mean[3 * 2 * 3 * 4],
        logvar[3 * 2 * 3 * 4];
    vae_rig r;
    vae_rig_open(&r, which, compute, isa, 2);
    const int64_t fs = reel_wan_vae_factor_s(&r.config), H = 2 * fs, W = 3 * fs, n = 3 * 2 * 3;
    tape_rig_fill(x, 9 * H * W * 3, 6);
    run_whole(&r, false, REEL_SHAPE(1, 9, H, W, 3), x, moments);
    swap_axes(moments, n, 8, both);
    const reel_wan_vae_stream_options options = options_of(&r, H, W);
    vae_rig_must(&r, reel_wan_vae_encoder_open(r.env, &r.config, &options, &r.stream));
    film f = {.pixels = x, .frame = H * W * 3};
    vae_rig_must(&r, reel_wan_vae_encoder_run(r.stream, give_frames, &f, 3, mean, logvar));
    assert_int_equal(f.n_calls, 3);
    assert_memory_equal(both, mean, sizeof mean);
    assert_memory_equal(both + 4 * n, logvar, sizeof logvar);
    vae_rig_close(&r);
}

static void test_wan_vae_stream_gives_the_bytes_of_the_whole(void **state) {
    (void)state;
    for (int isa = 0; isa <= (int)REEL_ISA_COUNT; isa++)
        for (int k = 0; k < 2 * VAE_RIG_KINDS; k++) {
            const bool reference = isa == (int)REEL_ISA_COUNT; /* slow: once is enough */
            if (reference ? k > 0 : isa > (int)reel_isa_detect()) continue;
            const reel_dtype compute = k < VAE_RIG_KINDS ? REEL_F32 : REEL_BF16;
            expect_decoded_alike((vae_rig_kind)(k % VAE_RIG_KINDS), compute, (reel_isa)isa, 0);
            expect_encoded_alike((vae_rig_kind)(k % VAE_RIG_KINDS), compute, (reel_isa)isa);
        }
}

/* The linear path adds a product of patches: without the networks' last layers it is all there is,
 * and one of its weights moves one pixel, or one latent. */
static void test_wan_vae_linear_path_codes_patches(void **state) {
    (void)state;
    enum { S = 8, P = 4 * S * S * 3, Z = 4 };
    static float x[5 * S * S * 3], y[5 * S * S * 3], moments[2 * 2 * Z], z[2 * Z];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_LINEAR, REEL_F32, REEL_ISA_COUNT, 2);
    for (int i = 0; i < reel_params_count(r.params); i++) {
        const reel_param *p = reel_params_at(r.params, i);
        memset(p->data, 0, (size_t)reel_shape_count(&p->shape) * sizeof(float));
    }
    float *into = reel_params_find(r.params, "linear_encoder.weight")->data; /* [Z,P] */
    float *back = reel_params_find(r.params, "linear_decoder.weight")->data; /* [P,Z] */
    float *mean = reel_params_find(r.params, "linear_decoder.bias")->data;   /* [P] */
    const int64_t at = ((2 * S + 3) * S + 5) * 3 + 1; /* frame 2, row 3, column 5, green */
    into[2 * P + at] = 3;
    back[at * Z + 2] = 0.5f;
    mean[3 * S * S * 3] = 0.25f; /* of the last frame of a patch, the first pixel's red */
    tape_rig_fill(x, 5 * S * S * 3, 8);
    run_whole(&r, false, REEL_SHAPE(1, 5, S, S, 3), x, moments);
    const float *first = x + at % (S * S * 3); /* the first frame stands still */
    const float *third = x + S * S * 3 + at;   /* frame 2 of the patch behind it */
    for (int k = 0; k < 2 * Z; k++) {
        assert_true(fabsf(moments[k] - (k == 2 ? 3 * *first : 0)) < 1e-6f);
        assert_true(fabsf(moments[2 * Z + k] - (k == 2 ? 3 * *third : 0)) < 1e-6f);
    }
    z[2] = 1, z[Z + 2] = -2;
    run_whole(&r, true, REEL_SHAPE(1, 2, 1, 1, Z), z, y);
    for (int64_t i = 0; i < 5 * S * S * 3; i++) {
        const bool corner = i == 0 || i == 4 * S * S * 3; /* the last frame of each patch */
        const float wanted = i == S * S * 3 + at ? -1.0f : corner ? 0.25f : 0;
        assert_true(fabsf(y[i] - wanted) < 1e-6f);
    }
    vae_rig_close(&r);
}

/* A frozen encoder whose last layer is zero is not computed: what would poison it does no harm, and
 * the moments are those of the linear path, to the byte. One that is trained is computed. */
static void test_wan_vae_silent_encoder_is_not_computed(void **state) {
    (void)state;
    enum { S = 8, Z = 4, N = 2 * 2 * Z };
    static float x[5 * S * S * 3], moments[3][N];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_LINEAR, REEL_F32, reel_isa_detect(), 2);
    const reel_shape shape = REEL_SHAPE(1, 5, S, S, 3);
    reel_param *weight = reel_params_find(r.params, "quant_conv.weight"),
               *bias = reel_params_find(r.params, "quant_conv.bias");
    memset(weight->data, 0, (size_t)reel_shape_count(&weight->shape) * sizeof(float));
    memset(bias->data, 0, (size_t)reel_shape_count(&bias->shape) * sizeof(float));
    tape_rig_fill(x, 5 * S * S * 3, 8);
    run_whole(&r, false, shape, x, moments[0]);
    float *const poison = reel_params_find(r.params, "encoder.conv_in.bias")->data;
    poison[0] = NAN;
    run_whole(&r, false, shape, x, moments[1]);
    assert_true(isnan(moments[1][0]));
    weight->frozen = bias->frozen = true;
    run_whole(&r, false, shape, x, moments[2]);
    assert_memory_equal(moments[0], moments[2], sizeof moments[0]);
    ((float *)bias->data)[1] = 0.5f;
    run_whole(&r, false, shape, x, moments[1]);
    assert_true(isnan(moments[1][0]));
    vae_rig_close(&r);
}

/* From 1 element on all of a piece's frames are made one by one, once there are two; from 6400 on
 * those of the largest grids. */
static void test_wan_vae_stream_gives_the_same_bytes_frame_by_frame(void **state) {
    (void)state;
    for (int k = 0; k < 2 * VAE_RIG_KINDS; k++)
        for (int i = 0; i < 2; i++)
            expect_decoded_alike((vae_rig_kind)(k % VAE_RIG_KINDS),
                                 k < VAE_RIG_KINDS ? REEL_F32 : REEL_BF16, reel_isa_detect(),
                                 i ? 6400 : 1);
}

/* Most of what a decoder's piece takes is its largest grids: of one frame instead of four. What is
 * carried from frame to frame lies where it is carried from piece to piece, so it takes nothing. */
static void test_wan_vae_stream_takes_less_frame_by_frame(void **state) {
    (void)state;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_BF16, reel_isa_detect(), 2);
    reel_wan_vae_stream_stats stats[2];
    for (int i = 0; i < 2; i++) {
        reel_wan_vae_stream_options options = options_of(&r, 256, 256);
        options.single_from = i ? 1 : INT64_MAX;
        vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &options, &r.stream));
        stats[i] = reel_wan_vae_stream_get_stats(r.stream);
        reel_wan_vae_stream_close(&r.stream);
    }
    assert_int_equal(stats[0].cache_bytes, stats[1].cache_bytes);
    assert_true(stats[0].flops == stats[1].flops);
    assert_true(stats[1].plan_bytes < stats[0].plan_bytes); /* by how much is the kernels' affair */
    vae_rig_close(&r);
}

static void test_wan_vae_stream_normalises_latents(void **state) {
    (void)state;
    static float x[8 * 8 * 3], raw[2][4 * 4], normal[2][4 * 4];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    tape_rig_fill(x, 8 * 8 * 3, 9);
    for (int pass = 0; pass < 2; pass++) {
        reel_wan_vae_stream_options options = options_of(&r, 8, 8);
        options.raw = pass == 0;
        vae_rig_must(&r, reel_wan_vae_encoder_open(r.env, &r.config, &options, &r.stream));
        vae_rig_must(&r, reel_wan_vae_encoder_push(r.stream, x, pass ? normal[0] : raw[0],
                                                   pass ? normal[1] : raw[1], 4));
        reel_wan_vae_stream_close(&r.stream);
    }
    reel_wan_vae_denormalise(&r.config, normal[0], 4);
    for (int i = 0; i < 16; i++) {
        assert_true(fabsf(normal[0][i] - raw[0][i]) < 1e-5f);
        const float wanted = raw[1][i] - 2 * logf(r.config.latents_std[i / 4]);
        assert_true(fabsf(normal[1][i] - wanted) < 1e-5f);
    }
    vae_rig_close(&r);
}

/* ---- tiles ---- */

/* A slow wave over a clip of n values a row. */
static void smooth(float *x, int64_t rows, int64_t columns) {
    for (int64_t i = 0; i < rows * columns; i++)
        x[i] =
            0.5f * sinf(0.05f * (float)(i / columns)) + 0.3f * cosf(0.01f * (float)(i % columns));
}

/* Closes the branches of residual blocks and of attention, so that a position depends on few others
 * and tiles differ from the whole near their borders only, as they do in a trained VAE. */
static void close_branches(vae_rig *r) {
    for (int i = 0; i < reel_params_count(r->params); i++) {
        reel_param *p = reel_params_at(r->params, i);
        if (strstr(p->name, "conv2.") || strstr(p->name, "proj."))
            memset(p->data, 0, (size_t)reel_shape_count(&p->shape) * sizeof(float));
    }
}

/* Tiled against whole, both ways: 5 frames of 64 x 96, tiles of 40 x 48 every 20 x 24 pixels. */
static void test_wan_vae_tiles_fade_into_the_whole(void **state) {
    (void)state;
    static float x[5 * 64 * 96 * 3], back[2][5 * 64 * 96 * 3], mean[2][4 * 2 * 16 * 24];
    reel_wan_vae_stream_stats stats[2][2];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    close_branches(&r);
    smooth(x, 5 * 64, 96 * 3);
    for (int tiled = 0; tiled < 2; tiled++) {
        reel_wan_vae_stream_options options = options_of(&r, 64, 96);
        if (tiled) {
            options.tile_height = 40, options.stride_height = 20;
            options.tile_width = 48, options.stride_width = 24;
        }
        vae_rig_must(&r, reel_wan_vae_encoder_open(r.env, &r.config, &options, &r.stream));
        stats[tiled][0] = reel_wan_vae_stream_get_stats(r.stream);
        film f = {.pixels = x, .frame = 64 * 96 * 3};
        vae_rig_must(&r, reel_wan_vae_encoder_run(r.stream, give_frames, &f, 2, mean[tiled], NULL));
        reel_wan_vae_stream_close(&r.stream);
        vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &options, &r.stream));
        stats[tiled][1] = reel_wan_vae_stream_get_stats(r.stream);
        f = (film){.pixels = back[tiled], .frame = 64 * 96 * 3};
        vae_rig_must(&r, reel_wan_vae_decoder_run(r.stream, mean[0], 2, take_frames, &f));
        assert_int_equal(f.n_frames, 5);
        reel_wan_vae_stream_close(&r.stream);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stats[0][i].n_tiles, 1);
        assert_int_equal(stats[1][i].n_tiles, 3 * 3);
        assert_true(3 * stats[1][i].cache_bytes < stats[0][i].cache_bytes);
        assert_true(stats[1][i].plan_bytes < stats[0][i].plan_bytes / 2);
        assert_int_equal(stats[1][i].canvas_bytes, i ? 64 * 96 * 3 * 2 : 0);
    }
    /* tiles see borders where the whole sees the picture: close, not equal */
    const double encoded = reel_relative_l2(REEL_F32, mean[1], mean[0], 4 * 2 * 16 * 24);
    const double decoded = reel_relative_l2(REEL_F32, back[1], back[0], 5 * 64 * 96 * 3);
    assert_true(encoded > 0 && encoded < 0.1);
    assert_true(decoded > 0 && decoded < 0.1);
    vae_rig_close(&r);
}

/* Where all tiles agree, fading changes nothing: a decoder whose last layer is only its bias. */
static void test_wan_vae_tiles_add_up_to_one(void **state) {
    (void)state;
    static float z[4 * 2 * 8 * 16], back[5 * 32 * 64 * 3];
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    reel_param *w = reel_params_find(r.params, "decoder.conv_out.weight");
    reel_param *b = reel_params_find(r.params, "decoder.conv_out.bias");
    memset(w->data, 0, (size_t)reel_shape_count(&w->shape) * sizeof(float));
    for (int i = 0; i < 3; i++)
        ((float *)b->data)[i] = 0.5f * (float)i;
    reel_wan_vae_stream_options options = options_of(&r, 32, 64);
    options.tile_height = 16, options.stride_height = 12;
    options.tile_width = 32, options.stride_width = 20;
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &options, &r.stream));
    film f = {.pixels = back, .frame = 32 * 64 * 3};
    vae_rig_must(&r, reel_wan_vae_decoder_run(r.stream, z, 2, take_frames, &f));
    for (int i = 0; i < 5 * 32 * 64 * 3; i++)
        if (!(fabsf(back[i] - 0.5f * (float)(i % 3)) < 2e-3f)) /* f16 canvas, four parts */
            fail_msg("pixel %d is %g", i, (double)back[i]);
    vae_rig_close(&r);
}

/* ---- refusals ---- */

static void test_wan_vae_stream_refuses_sizes_that_do_not_fit(void **state) {
    (void)state;
    float few[64] = {0};
    int64_t n = 0;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    reel_wan_vae_stream_options o = options_of(&r, 30, 64);
    vae_rig_expect_refused(&r, false, &o, "height must be a multiple of 4 in 4..65536, got 30");
    o = options_of(&r, 32, 0);
    vae_rig_expect_refused(&r, false, &o, "width must be a multiple of 4");
    o = options_of(&r, 32, 64), o.tile_width = 16;
    vae_rig_expect_refused(&r, false, &o, "stride_width must be a multiple of 4 in 4..16, got 0");
    o.stride_width = 20;
    vae_rig_expect_refused(&r, false, &o, "stride_width must be a multiple of 4 in 4..16, got 20");
    o.stride_width = 8;
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
    assert_int_equal(reel_wan_vae_decoder_push(r.stream, few, 1, few, &n), REEL_E_ARG);
    reel_env_clear(r.env);
    assert_int_equal(reel_wan_vae_encoder_run(r.stream, give_frames, NULL, 1, few, NULL),
                     REEL_E_ARG);
    reel_env_clear(r.env);
    assert_int_equal(reel_wan_vae_decoder_run(r.stream, few, 0, take_frames, NULL), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "1 to 1048576 latent frames, got 0"));
    vae_rig_close(&r);
}

/* Opens and runs a decoder of two tiles, an encoder and back, while allocations fail. */
static reel_status both_ways(vae_rig *r) {
    static float z[4 * 2 * 2 * 4], mean[4 * 2 * 2 * 4], pixels[5 * 8 * 16 * 3];
    reel_wan_vae_stream_options o = options_of(r, 8, 16);
    o.tile_width = o.stride_width = 8;
    o.tile_height = o.stride_height = 8;
    film f = {.pixels = pixels, .frame = 8 * 16 * 3};
    reel_status status = reel_wan_vae_decoder_open(r->env, &r->config, &o, &r->stream);
    if (status == REEL_OK) status = reel_wan_vae_decoder_run(r->stream, z, 2, take_frames, &f);
    reel_wan_vae_stream_close(&r->stream);
    if (status == REEL_OK) status = reel_wan_vae_encoder_open(r->env, &r->config, &o, &r->stream);
    if (status == REEL_OK)
        status = reel_wan_vae_encoder_run(r->stream, give_frames, &f, 2, mean, NULL);
    reel_wan_vae_stream_close(&r->stream);
    return status;
}

static void test_wan_vae_stream_survives_failing_allocations(void **state) {
    (void)state;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    const int64_t held = r.env->allocator.bytes;
    int k = 1;
    for (;; k++) {
        reel_alloc_fail_at(r.env, k);
        const reel_status status = both_ways(&r);
        reel_alloc_fail_at(r.env, 0);
        if (r.env->allocator.bytes != held) fail_msg("call %d: memory leaks", k);
        if (status == REEL_OK) break;
        assert_int_equal(status, REEL_E_NOMEM);
        reel_env_clear(r.env);
    }
    assert_true(k > 50);
    vae_rig_close(&r);
}

/* A callback's refusal ends the run. */
static reel_status cancel(void *context, int64_t first, int64_t n, const float *pixels) {
    (void)n;
    (void)pixels;
    *(int64_t *)context = first;
    return first ? REEL_E_CANCELLED : REEL_OK;
}

static void test_wan_vae_stream_stops_when_told_to(void **state) {
    (void)state;
    static float z[4 * 4 * 2 * 2];
    int64_t last = -1;
    vae_rig r;
    vae_rig_open(&r, VAE_RIG_PLAIN, REEL_F32, REEL_ISA_AMX, 2);
    const reel_wan_vae_stream_options o = options_of(&r, 8, 8);
    vae_rig_must(&r, reel_wan_vae_decoder_open(r.env, &r.config, &o, &r.stream));
    assert_int_equal(reel_wan_vae_decoder_run(r.stream, z, 4, cancel, &last), REEL_E_CANCELLED);
    assert_int_equal(last, 1);
    vae_rig_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wan_vae_stream_gives_the_bytes_of_the_whole),
        cmocka_unit_test(test_wan_vae_linear_path_codes_patches),
        cmocka_unit_test(test_wan_vae_silent_encoder_is_not_computed),
        cmocka_unit_test(test_wan_vae_stream_gives_the_same_bytes_frame_by_frame),
        cmocka_unit_test(test_wan_vae_stream_takes_less_frame_by_frame),
        cmocka_unit_test(test_wan_vae_stream_normalises_latents),
        cmocka_unit_test(test_wan_vae_tiles_fade_into_the_whole),
        cmocka_unit_test(test_wan_vae_tiles_add_up_to_one),
        cmocka_unit_test(test_wan_vae_stream_refuses_sizes_that_do_not_fit),
        cmocka_unit_test(test_wan_vae_stream_survives_failing_allocations),
        cmocka_unit_test(test_wan_vae_stream_stops_when_told_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
