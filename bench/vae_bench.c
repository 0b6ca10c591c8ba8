/* Wan's VAE: decoding and encoding at real size piece by piece, and training steps of small ones.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/wan/vae_stream.h"
#include "ops/concat.h"
#include "ops/elementwise.h"
#include "ops/loss.h"

/* A recording of a VAE with its weights. */
typedef struct vae_rig {
    bench *b;
    reel_tape *tape;
    reel_params *params;
    reel_plan *plan;
    reel_nn nn;
    void *x;
    int n_caches;
    void *cache[REEL_WAN_VAE_CACHES];
} vae_rig;

static bool ok(const bench *b, reel_status status) {
    if (status != REEL_OK) printf("vae: %s\n", reel_env_message(b->env));
    return status == REEL_OK;
}

static void print_line(void *context, const char *line) {
    int *left = context;
    if ((*left)-- > 0) printf("    %s\n", line);
}

/* Where the time goes: the plan once more, each record by itself. */
static void print_profile(vae_rig *r) {
    const reel_plan_stats stats = reel_plan_get_stats(r->plan);
    reel_profile_row *rows = calloc((size_t)stats.n_records, sizeof *rows);
    int left = 14;
    if (rows && reel_plan_run(r->plan, rows) == REEL_OK)
        reel_profile_write(rows, stats.n_records, print_line, &left);
    int64_t held = 0;
    for (int i = 0; i < r->n_caches; i++)
        held += r->cache[i] ? 1 : 0;
    printf("    %d records, arena %.1f MiB (%.1f MiB without reuse), %lld caches\n",
           stats.n_records, (double)stats.planned_bytes / 1048576,
           (double)stats.sum_bytes / 1048576, (long long)held);
    free(rows);
}

static void run_plan(void *context) {
    vae_rig *r = context;
    if (reel_plan_run(r->plan, NULL) != REEL_OK) printf("vae: %s\n", reel_env_message(r->b->env));
}

static bool open_rig(vae_rig *r, bench *b) {
    *r = (vae_rig){.b = b};
    return ok(b, reel_ops_tape_new(b->env, &r->tape)) && ok(b, reel_params_new(b->env, &r->params));
}

static void close_rig(vae_rig *r) {
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_params_free(&r->params);
    for (int i = 0; i < r->n_caches; i++)
        free(r->cache[i]);
    free(r->x);
}

static void report(vae_rig *r, const char *kernel, const char *shape, reel_dtype dtype) {
    const bench_row row = {.kernel = kernel,
                           .shape = shape,
                           .dtype = reel_dtype_name(dtype),
                           .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA,
                           .flops = reel_plan_get_stats(r->plan).flops,
                           .time = bench_measure(r->b, run_plan, r)};
    bench_print_row(r->b, &row);
    print_profile(r);
}

/* ---- pieces of Wan 2.1 ---- */

typedef struct piece_case {
    const char *shape;
    bool decode;
    int64_t edge; /* pixels */
    reel_wan_vae_piece piece;
} piece_case;

static const piece_case pieces[] = {
    {"Wan 2.1, 256 x 256, first frame", true, 256, REEL_WAN_VAE_FIRST},
    {"Wan 2.1, 256 x 256, 4 frames more", true, 256, REEL_WAN_VAE_NEXT},
    {"Wan 2.1, 256 x 256, 4 frames more", false, 256, REEL_WAN_VAE_NEXT},
};

static void record_piece(vae_rig *r, const piece_case *c, reel_dtype dtype) {
    const reel_wan_vae_config config = reel_wan_vae_config_default();
    const int64_t F = c->piece == REEL_WAN_VAE_NEXT ? 4 : 1, S = c->edge;
    const reel_shape x = REEL_SHAPE(1, F, S, S, 3), z = REEL_SHAPE(1, 1, S / 8, S / 8, 16);
    reel_wan_vae_caches caches = {0};
    reel_tape_reset(r->tape);
    r->nn = reel_nn_start(r->tape, r->params, dtype);
    const reel_var in = reel_tape_input(r->tape, REEL_F32, c->decode ? z : x, "in", r->x);
    const reel_var out = (c->decode ? reel_wan_vae_decode_piece : reel_wan_vae_encode_piece)(
        &r->nn, &config, in, c->piece, &caches);
    reel_tape_keep(r->tape, out);
    r->n_caches = caches.n;
    for (int i = 0; i < caches.n; i++) {
        const reel_var var = caches.in[i] ? caches.in[i] : caches.out[i];
        if (!var) continue;
        const reel_value *v = reel_tape_value(r->tape, var);
        if (!r->cache[i]) r->cache[i] = bench_random(v->dtype, reel_shape_count(&v->shape), -1, 1);
        reel_wan_vae_cache_bind(r->tape, &caches, i, r->cache[i]);
    }
}

static void run_piece(bench *b, const piece_case *c, reel_dtype dtype) {
    vae_rig r;
    if (b->only && !strstr(c->shape, b->only)) return;
    if (open_rig(&r, b)) {
        r.x = bench_random(REEL_F32, 4 * c->edge * c->edge * 3, -1, 1);
        record_piece(&r, c, dtype);
        bool fine = ok(b, reel_params_initialise(r.params, 1));
        if (fine) record_piece(&r, c, dtype);
        fine = fine && ok(b, reel_plan_new(r.tape, b->table, NULL, &r.plan));
        if (fine) report(&r, c->decode ? "decode" : "encode", c->shape, dtype);
    }
    close_rig(&r);
}

/* ---- memory ---- */

/* What decoding frames of 832 x 480 holds besides the weights: whole, in bands, and in tiles of the
 * full height. Only planned, not run. */
static void print_memory(bench *b, int64_t n_bands, int64_t tile_width, int64_t stride_width) {
    const reel_wan_vae_config config = reel_wan_vae_config_default();
    reel_params *params = NULL;
    reel_wan_vae_stream *stream = NULL;
    const bool tiled = tile_width > 0;
    if (!ok(b, reel_params_new(b->env, &params))) return;
    const reel_wan_vae_stream_options options = {.params = params,
                                                 .table = b->table,
                                                 .compute = REEL_BF16,
                                                 .height = 480,
                                                 .width = 832,
                                                 .n_bands = n_bands,
                                                 .tile_height = tiled ? 480 : 0,
                                                 .stride_height = tiled ? 480 : 0,
                                                 .tile_width = tile_width,
                                                 .stride_width = stride_width};
    if (ok(b, reel_wan_vae_decoder_open(b->env, &config, &options, &stream))) {
        const reel_wan_vae_stream_stats s = reel_wan_vae_stream_get_stats(stream);
        const double mib = 1 << 20, kept = (double)(s.canvas_bytes + s.store_bytes / 4) / mib;
        printf("  832 x 480 in %lld %s: caches %.0f MiB, a piece %.0f MiB, %.1f MiB a frame kept, "
               "%.0f MiB for 81 frames, %.2f TFLOP for 4 frames\n",
               (long long)(tiled ? s.n_tiles : s.n_bands), tiled ? "tiles" : "bands",
               (double)s.cache_bytes / mib, (double)s.plan_bytes / mib, kept,
               (double)reel_wan_vae_stream_peak(stream, 21) / mib,
               s.flops * (double)s.n_tiles * 1e-12);
    }
    reel_wan_vae_stream_close(&stream);
    reel_params_free(&params);
}

/* ---- training ---- */

typedef struct train_case {
    const char *shape;
    int64_t base_dim, blocks, B, F, S;
} train_case;

static const train_case trainings[] = {
    {"64 wide, patch 4, [4,3,9,64,64]", 64, 2, 4, 9, 64},
    {"64 wide, 1 block, patch 4, [8,3,9,64,64]", 64, 1, 8, 9, 64},
    {"96 wide, patch 4, [1,3,17,128,128]", 96, 2, 1, 17, 128},
};

/* What comes of the clip against itself, and the logvar against 0. */
static void record_training(vae_rig *r, const train_case *c, reel_dtype dtype) {
    const reel_wan_vae_config config = {.base_dim = c->base_dim,
                                        .z_dim = 48,
                                        .n_levels = 3,
                                        .dim_mult = {1, 2, 2},
                                        .num_res_blocks = c->blocks,
                                        .temperal_downsample = {true, true},
                                        .is_residual = true,
                                        .in_channels = 48,
                                        .out_channels = 48,
                                        .patch_size = 4};
    reel_wan_vae_config g = config;
    for (int i = 0; i < 48; i++)
        g.latents_std[i] = 1;
    const reel_shape shape = REEL_SHAPE(c->B, c->F, c->S, c->S, 3);
    reel_tape_reset(r->tape);
    reel_tape_set_training(r->tape, true);
    r->nn = reel_nn_start(r->tape, r->params, dtype);
    const reel_var x = reel_tape_input(r->tape, REEL_F32, shape, "x", r->x);
    reel_var h = reel_wan_vae_encode_piece(&r->nn, &g, x, REEL_WAN_VAE_FIRST, NULL);
    reel_var part[2];
    reel_split_evenly(r->tape, h, 4, 2, part);
    h = reel_wan_vae_decode_piece(&r->nn, &g, part[0], REEL_WAN_VAE_FIRST, NULL);
    const reel_var loss =
        reel_add(r->tape, reel_mse(r->tape, h, x, 0),
                 reel_scale(r->tape, reel_dot(r->tape, part[1], part[1]), 1e-3f, 0));
    reel_tape_keep(r->tape, loss);
    reel_tape_backward(r->tape, loss);
}

static void run_training(bench *b, const train_case *c, reel_dtype dtype) {
    vae_rig r;
    if (b->only && !strstr(c->shape, b->only)) return;
    if (open_rig(&r, b)) {
        r.x = bench_random(REEL_F32, c->B * c->F * c->S * c->S * 3, -1, 1);
        record_training(&r, c, dtype);
        bool fine = ok(b, reel_params_initialise(r.params, 1));
        if (fine) record_training(&r, c, dtype);
        fine = fine && ok(b, reel_plan_new(r.tape, b->table, NULL, &r.plan));
        if (fine) report(&r, "forward and backward", c->shape, dtype);
    }
    close_rig(&r);
}

void bench_vae(bench *b) {
    bench_print_head(b, "Wan's VAE, pieces of a clip", NULL);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        run_piece(b, &pieces[i], REEL_BF16);
    printf("memory of Wan 2.1's decoder, bf16, besides 140 MiB of weights:\n");
    for (int64_t n = 1; n <= 4; n++)
        print_memory(b, n, 0, 0);
    print_memory(b, 1, 448, 384);
    print_memory(b, 1, 320, 256);
    bench_print_head(b, "small VAEs, a step of training without the optimiser", NULL);
    for (size_t i = 0; i < sizeof trainings / sizeof *trainings; i++)
        run_training(b, &trainings[i], REEL_BF16);
}
