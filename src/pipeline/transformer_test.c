/* The text encoder's and the transformer's turn, and the whole way from ids to pixels against the
 * reference implementation. */
#include "pipeline/transformer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "models/wan/vae.h"
#include "ops/ops.h"
#include "support/golden.h"
#include "support/op_check.h"
#include "tensor/tolerance.h"

enum { PROMPTS = 2, TEXT = 16, STEPS = 6, F = 3, H = 4, W = 6, N = 4 * F * H * W };

typedef struct rig {
    reel_env *env;
    golden g;
    reel_params *transformer, *text_encoder, *vae;
    reel_kernel_table *table;
    reel_t5_config t5;
    reel_wan_dit_config dit;
    reel_text_rows rows;
    int64_t idle_bytes;
    bool gives_sample;
} rig;

static reel_params *part(rig *r, const char *prefix) {
    reel_params *params = NULL;
    assert_int_equal(reel_params_new(r->env, &params), REEL_OK);
    for (int64_t i = 0; i < reel_safetensors_count(r->g.weights); i++) {
        const char *name = reel_safetensors_at(r->g.weights, i)->name;
        reel_tensor t;
        if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
        assert_int_equal(reel_safetensors_get(r->g.weights, name, &t), REEL_OK);
        assert_int_equal(reel_params_set(params, name + strlen(prefix), t.dtype, t.shape, t.data),
                         REEL_OK);
    }
    reel_params_close(params);
    return params;
}

static void open_rig(rig *r, int n_threads) {
    *r = (rig){.env = op_test_env(n_threads)};
    r->idle_bytes = r->env->allocator.bytes;
    golden_open(&r->g, r->env, "tests/golden/wan_pipeline_t2v");
    r->transformer = part(r, "transformer.");
    r->text_encoder = part(r, "text_encoder.");
    r->vae = part(r, "vae.");
    assert_int_equal(reel_cpu_table(r->env, REEL_ISA_AMX, &r->table), REEL_OK);
    r->t5 = (reel_t5_config){.vocab_size = 50,
                             .d_model = 24,
                             .d_kv = 8,
                             .d_ff = 40,
                             .num_heads = 3,
                             .num_layers = 2,
                             .relative_attention_num_buckets = 32,
                             .relative_attention_max_distance = 128,
                             .layer_norm_epsilon = 1e-6};
    r->dit = (reel_wan_dit_config){.patch_size = {1, 2, 2},
                                   .num_attention_heads = 2,
                                   .attention_head_dim = 12,
                                   .in_channels = 4,
                                   .out_channels = 4,
                                   .text_dim = 24,
                                   .freq_dim = 32,
                                   .ffn_dim = 56,
                                   .num_layers = 2,
                                   .cross_attn_norm = true,
                                   .qk_norm = true,
                                   .eps = 1e-6};
}

static void close_rig(rig *r) {
    reel_text_rows_deinit(r->env, &r->rows);
    reel_params_free(&r->transformer);
    reel_params_free(&r->text_encoder);
    reel_params_free(&r->vae);
    reel_kernel_table_free(r->env, &r->table);
    golden_close(&r->g);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    reel_env_free(&r->env);
}

static void must(const rig *r, reel_status status) {
    if (status != REEL_OK) fail_msg("%s", reel_env_message(r->env));
}

static void encode(rig *r) {
    const reel_tensor ids = golden_input(&r->g, "input_ids");
    const reel_tensor mask = golden_input(&r->g, "attention_mask");
    int32_t id[PROMPTS][TEXT];
    const int32_t *const row[PROMPTS] = {id[0], id[1]};
    int64_t n[PROMPTS] = {0};
    for (int i = 0; i < PROMPTS; i++)
        for (int k = 0; k < TEXT; k++) {
            id[i][k] = (int32_t)((const int64_t *)ids.data)[i * TEXT + k];
            n[i] += ((const int64_t *)mask.data)[i * TEXT + k];
        }
    const reel_text_encoder encoder = {
        .config = &r->t5, .params = r->text_encoder, .table = r->table, .compute = REEL_F32};
    must(r, reel_text_rows_encode(r->env, &encoder, PROMPTS, row, n, &r->rows));
}

static void test_text_rows_are_the_reference_without_padding(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 1);
    encode(&r);
    float padded[PROMPTS * TEXT * 24] = {0};
    for (int i = 0; i < PROMPTS; i++) {
        assert_true(r.rows.n[i] > 0 && r.rows.n[i] <= TEXT);
        memcpy(padded + i * TEXT * 24, r.rows.row[i], (size_t)r.rows.n[i] * 24 * sizeof(float));
    }
    golden_expect(&r.g, "prompt_embeds", REEL_F32, padded, PROMPTS * TEXT * 24, 1e-4);
    close_rig(&r);
}

static void test_text_rows_refuse_an_id_outside_the_vocabulary(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 1);
    const int32_t id[2] = {3, 50};
    const int32_t *const row[1] = {id};
    const int64_t n[1] = {2};
    const reel_text_encoder encoder = {
        .config = &r.t5, .params = r.text_encoder, .table = r.table, .compute = REEL_F32};
    assert_int_equal(reel_text_rows_encode(r.env, &encoder, 1, row, n, &r.rows), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "id 50"));
    close_rig(&r);
}

/* ---- the whole way ---- */

typedef struct trace {
    float latents[STEPS][N];
    int n;
} trace;

static reel_status note(void *context, const reel_denoise_step *step) {
    trace *t = context;
    memcpy(t->latents[t->n++], step->x, sizeof t->latents[0]);
    return REEL_OK;
}

static reel_transformer *new_transformer(rig *r, int n_groups, reel_tick *tick, void *context) {
    const reel_transformer_options options = {.config = &r->dit,
                                              .params = r->transformer,
                                              .table = r->table,
                                              .compute = REEL_F32,
                                              .F = F,
                                              .h = H,
                                              .w = W,
                                              .n_groups = n_groups,
                                              .text = &r->rows,
                                              .text_length = TEXT,
                                              .gives_sample = r->gives_sample,
                                              .tick = tick,
                                              .tick_context = context};
    reel_transformer *m = NULL;
    must(r, reel_transformer_new(r->env, &options, &m));
    return m;
}

static void denoise(rig *r, trace *t) {
    reel_canvas canvas;
    must(r, reel_canvas_init(r->env, 4, F, H, W, &canvas));
    reel_denoise_options options = {.sampler = reel_sampler_options_default(REEL_SAMPLER_UNIPC),
                                    .guidance = reel_guidance_default(),
                                    .noise = golden_input(&r->g, "noise").data};
    options.sampler.schedule.shift = 5;
    options.sampler.n_steps = STEPS;
    options.guidance.scale = 4;
    reel_denoise *run = NULL;
    must(r, reel_denoise_new(r->env, &canvas, &options, &run));
    reel_transformer *m = new_transformer(r, 1, NULL, NULL);
    assert_int_equal(reel_transformer_tokens(m), 18);
    must(r, reel_denoise_run(run, reel_transformer_evaluate, m, note, t));
    reel_transformer_free(&m);
    reel_denoise_free(&run);
    reel_canvas_deinit(&canvas);
}

static void decode(rig *r, const float *latents, float *video) {
    reel_wan_vae_config c = reel_wan_vae_config_default();
    c.base_dim = 3;
    c.z_dim = 4;
    memcpy(c.latents_mean, (const float[]){0.2f, -0.1f, 0.4f, -0.5f}, 4 * sizeof(float));
    memcpy(c.latents_std, (const float[]){1.2f, 0.7f, 1.1f, 0.9f}, 4 * sizeof(float));
    float z[N];
    memcpy(z, latents, sizeof z);
    reel_wan_vae_denormalise(&c, z, F * H * W);
    reel_tape *tape = NULL;
    must(r, reel_ops_tape_new(r->env, &tape));
    reel_nn nn = reel_nn_start(tape, r->vae, REEL_F32);
    const reel_var x = reel_tape_input(tape, REEL_F32, REEL_SHAPE(1, 4, F, H, W), "z", z);
    const reel_var out = reel_wan_vae_decode(&nn, &c, x);
    reel_tape_keep(tape, out);
    reel_plan *plan = NULL;
    must(r, reel_plan_new(tape, r->table, NULL, &plan));
    must(r, reel_plan_run(plan, NULL));
    memcpy(video, reel_plan_data(plan, out), 3 * 9 * 32 * 48 * sizeof *video);
    reel_plan_free(&plan);
    reel_tape_free(&tape);
}

static void test_pipeline_reproduces_the_reference_from_ids_to_pixels(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 2);
    encode(&r);
    static trace t;
    t.n = 0;
    denoise(&r, &t);
    assert_int_equal(t.n, STEPS);
    golden_expect(&r.g, "latents_steps", REEL_F32, t.latents, STEPS * N, 1e-4);
    static float video[3 * 9 * 32 * 48];
    decode(&r, t.latents[STEPS - 1], video);
    golden_expect(&r.g, "video", REEL_F32, video, 3 * 9 * 32 * 48, 1e-4);
    close_rig(&r);
}

/* ---- the transformer by itself ---- */

static void query(reel_denoise_query *q, const float *x, const int32_t *group, int n_groups,
                  const double *timestep, bool guided) {
    *q = (reel_denoise_query){
        .x = x, .group = group, .n_groups = n_groups, .timestep = timestep, .guided = guided};
}

/* Gives the rig's transformer what pooled text goes through; second: of its second layer. */
static void pool_text(rig *r, float second) {
    static float first_weight[24 * 24], second_weight[24 * 24], bias[24];
    const char *const name[] = {"linear_1.weight", "linear_1.bias", "linear_2.weight",
                                "linear_2.bias"};
    float *const data[] = {first_weight, bias, second_weight, bias};
    for (int i = 0; i < 24 * 24; i++) {
        first_weight[i] = 0.1f * (float)(i % 7 - 3);
        second_weight[i] = second * (float)(i % 5 - 2);
    }
    for (int i = 0; i < 4; i++) {
        char full[64];
        snprintf(full, sizeof full, "condition_embedder.pooled_embedder.%s", name[i]);
        must(r, reel_params_set(r->transformer, full, REEL_F32,
                                i % 2 ? REEL_SHAPE(24) : REEL_SHAPE(24, 24), data[i]));
    }
    r->dit.pooled_text = true;
}

/* Two levels that are equal give what one level gives, and the guided batch what two single ones
 * do. */
static void levels_and_rows_are_independent(bool pooled) {
    rig r;
    open_rig(&r, 1);
    encode(&r);
    if (pooled) pool_text(&r, 1);
    const float *x = golden_input(&r.g, "noise").data;
    int32_t group[F * H * W] = {0};
    const double same[2] = {700, 700}, apart[2] = {700, 0};
    float one[N], both[2][N], two[N], guided[2][N], clean_first[N];
    reel_denoise_query q;
    reel_transformer *m = new_transformer(&r, 1, NULL, NULL);
    query(&q, x, group, 1, same, false);
    must(&r, reel_transformer_evaluate(m, &q, one, NULL));
    query(&q, x, group, 1, same, true);
    must(&r, reel_transformer_evaluate(m, &q, both[0], both[1]));
    reel_transformer_free(&m);
    assert_true(reel_relative_l2(REEL_F32, both[0], one, N) < 1e-6);
    assert_true(reel_relative_l2(REEL_F32, both[1], one, N) > 1e-3);
    for (int i = 0; i < H * W; i++)
        group[i] = 1;
    m = new_transformer(&r, 2, NULL, NULL);
    query(&q, x, group, 2, same, false);
    must(&r, reel_transformer_evaluate(m, &q, two, NULL));
    query(&q, x, group, 2, same, true);
    must(&r, reel_transformer_evaluate(m, &q, guided[0], guided[1]));
    query(&q, x, group, 2, apart, false);
    must(&r, reel_transformer_evaluate(m, &q, clean_first, NULL));
    query(&q, x, group, 1, apart, false);
    assert_int_equal(reel_transformer_evaluate(m, &q, two, NULL), REEL_E_ARG);
    reel_transformer_free(&m);
    assert_true(reel_relative_l2(REEL_F32, two, one, N) < 1e-6);
    for (int i = 0; i < 2; i++)
        assert_true(reel_relative_l2(REEL_F32, guided[i], both[i], N) < 1e-6);
    assert_true(reel_relative_l2(REEL_F32, clean_first, one, N) > 1e-3);
    close_rig(&r);
}

static void test_transformer_levels_and_rows_are_independent(void **state) {
    (void)state;
    levels_and_rows_are_independent(false);
    levels_and_rows_are_independent(true);
}

/* What pooled text adds is nothing while its last layer is zero, and something after. */
static void test_transformer_pooled_text_begins_with_nothing(void **state) {
    (void)state;
    float out[3][N];
    for (int i = 0; i < 3; i++) {
        rig r;
        open_rig(&r, 1);
        encode(&r);
        if (i) pool_text(&r, i == 1 ? 0 : 1);
        const int32_t group[F * H * W] = {0};
        const double t = 700;
        reel_denoise_query q;
        query(&q, golden_input(&r.g, "noise").data, group, 1, &t, false);
        reel_transformer *m = new_transformer(&r, 1, NULL, NULL);
        must(&r, reel_transformer_evaluate(m, &q, out[i], NULL));
        reel_transformer_free(&m);
        close_rig(&r);
    }
    assert_memory_equal(out[1], out[0], sizeof out[0]);
    assert_true(reel_relative_l2(REEL_F32, out[2], out[0], N) > 1e-2);
}

/* A model that gives x0 answers with the velocity that leads there, each position at its level. */
static void test_transformer_of_samples_gives_velocities(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 1);
    encode(&r);
    const float *x = golden_input(&r.g, "noise").data;
    int32_t group[F * H * W] = {0};
    const double level[2] = {0.7, 0.25}, timestep[2] = {700, 250};
    float plain[2][N], turned[2][N], in_place[N];
    for (int i = 0; i < H * W; i++)
        group[i] = 1;
    reel_denoise_query q;
    query(&q, x, group, 2, timestep, true);
    q.sigma = level;
    reel_transformer *m = new_transformer(&r, 2, NULL, NULL);
    must(&r, reel_transformer_evaluate(m, &q, plain[0], plain[1]));
    reel_transformer_free(&m);
    r.gives_sample = true;
    m = new_transformer(&r, 2, NULL, NULL);
    must(&r, reel_transformer_evaluate(m, &q, turned[0], turned[1]));
    memcpy(in_place, x, sizeof in_place);
    q.x = in_place;
    must(&r, reel_transformer_evaluate(m, &q, in_place, plain[1]));
    reel_transformer_free(&m);
    assert_memory_equal(in_place, turned[0], sizeof in_place);
    for (int i = 0; i < N; i++) {
        const double t = level[group[i % (F * H * W)]];
        assert_true(fabs((double)x[i] - t * (double)turned[0][i] - (double)plain[0][i]) < 1e-5);
    }
    close_rig(&r);
}

static reel_status stop_soon(void *context) {
    int *left = context;
    return --*left == 0 ? REEL_E_CANCELLED : REEL_OK;
}

static void test_transformer_stops_between_records(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 1);
    encode(&r);
    int left = 5;
    const int32_t group[F * H * W] = {0};
    const double t = 500;
    float out[N];
    reel_denoise_query q;
    reel_transformer *m = new_transformer(&r, 1, stop_soon, &left);
    query(&q, golden_input(&r.g, "noise").data, group, 1, &t, false);
    assert_int_equal(reel_transformer_evaluate(m, &q, out, NULL), REEL_E_CANCELLED);
    assert_int_equal(left, 0);
    must(&r, reel_transformer_evaluate(m, &q, out, NULL)); /* and can be asked again */
    reel_transformer_free(&m);
    close_rig(&r);
}

static void test_transformer_refuses_what_does_not_fit(void **state) {
    (void)state;
    rig r;
    open_rig(&r, 1);
    encode(&r);
    reel_transformer_options o = {.config = &r.dit,
                                  .params = r.transformer,
                                  .table = r.table,
                                  .compute = REEL_F32,
                                  .F = F,
                                  .h = 5,
                                  .w = W,
                                  .n_groups = 1,
                                  .text = &r.rows,
                                  .text_length = TEXT};
    reel_transformer *m = NULL;
    assert_int_equal(reel_transformer_new(r.env, &o, &m), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "[3,5,6]"));
    reel_env_clear(r.env);
    o.h = H;
    o.text_length = 2;
    assert_int_equal(reel_transformer_new(r.env, &o, &m), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "at most 2 fit"));
    reel_env_clear(r.env);
    o.text_length = TEXT;
    r.dit.in_channels = 3;
    assert_int_equal(reel_transformer_new(r.env, &o, &m), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "gives 4 channels"));
    reel_env_clear(r.env);
    r.dit.in_channels = 12;
    r.dit.image_dim = 28;
    assert_int_equal(reel_transformer_new(r.env, &o, &m), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "rows of an image"));
    close_rig(&r);
}

/* ---- shown a picture ---- */

enum { TEXTS = 512, LONG = 40, NOISE = 4 * 2 * 4 * 6 };

/* The reference's image-conditioned transformer, with its channels and rows handed in as a
 * generation does. out [2,4,2,4,6]: for the prompt, for the negative one. */
static void evaluate_shown(golden *g, reel_params *params, float *out) {
    static const reel_wan_dit_config config = {.patch_size = {1, 2, 2},
                                               .num_attention_heads = 2,
                                               .attention_head_dim = 12,
                                               .in_channels = 12,
                                               .out_channels = 4,
                                               .text_dim = 20,
                                               .freq_dim = 32,
                                               .ffn_dim = 56,
                                               .num_layers = 2,
                                               .image_dim = 28,
                                               .added_kv_proj_dim = 24,
                                               .cross_attn_norm = true,
                                               .qk_norm = true,
                                               .eps = 1e-6};
    reel_kernel_table *table;
    reel_transformer *m = NULL;
    assert_int_equal(reel_cpu_table(g->env, REEL_ISA_AMX, &table), REEL_OK);
    const float *x = golden_input(g, "hidden_states").data;
    float *text = golden_input(g, "encoder_hidden_states").data;
    const reel_text_rows rows = {.n_prompts = 2, .dim = 20, .n = {LONG, LONG}, .row = {text, text}};
    const reel_transformer_options o = {.config = &config,
                                        .params = params,
                                        .table = table,
                                        .compute = REEL_F32,
                                        .F = 2,
                                        .h = 4,
                                        .w = 6,
                                        .n_groups = 1,
                                        .text = &rows,
                                        .text_length = TEXTS,
                                        .condition = x + NOISE,
                                        .image =
                                            golden_input(g, "encoder_hidden_states_image").data,
                                        .n_image_rows = 7};
    if (reel_transformer_new(g->env, &o, &m) != REEL_OK) fail_msg("%s", reel_env_message(g->env));
    const int32_t group[2 * 4 * 6] = {0};
    const double t = 650;
    const reel_denoise_query q = {
        .x = x, .group = group, .n_groups = 1, .timestep = &t, .guided = true};
    if (reel_transformer_evaluate(m, &q, out, out + NOISE) != REEL_OK)
        fail_msg("%s", reel_env_message(g->env));
    reel_transformer_free(&m);
    reel_kernel_table_free(g->env, &table);
}

static void test_transformer_shown_a_picture_is_the_reference(void **state) {
    (void)state;
    golden g;
    reel_env *env = op_test_env(2);
    float out[2 * NOISE];
    golden_open(&g, env, "tests/golden/wan_dit_i2v");
    reel_params *params = golden_params(&g);
    evaluate_shown(&g, params, out);
    golden_expect(&g, "sample", REEL_F32, out, NOISE, 1e-4);
    golden_expect(&g, "sample", REEL_F32, out + NOISE, NOISE, 1e-4);
    reel_params_free(&params);
    golden_close(&g);
    reel_env_free(&env);
}

/* Weights of f16 are used where they lie; what they are cast to is what they are. */
static void test_transformer_of_f16_is_that_of_the_same_numbers(void **state) {
    (void)state;
    golden g;
    reel_env *env = op_test_env(2);
    float narrow[2 * NOISE], wide[2 * NOISE];
    golden_open(&g, env, "tests/golden/wan_dit_i2v");
    reel_params *params = golden_params_as(&g, REEL_F16);
    evaluate_shown(&g, params, narrow);
    for (int i = 0; i < reel_params_count(params); i++) {
        reel_param *p = reel_params_at(params, i);
        const int64_t n = reel_shape_count(&p->shape);
        float *data = reel_alloc(env, n * (int64_t)sizeof *data, "test");
        assert_int_equal(p->dtype, REEL_F16);
        reel_dtype_cast(REEL_F32, data, REEL_F16, p->data, n);
        if (p->owned) reel_free(env, p->data);
        p->data = data;
        p->dtype = REEL_F32;
        p->owned = true;
    }
    evaluate_shown(&g, params, wide);
    assert_memory_equal(narrow, wide, sizeof wide);
    reel_params_free(&params);
    golden_close(&g);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_rows_are_the_reference_without_padding),
        cmocka_unit_test(test_text_rows_refuse_an_id_outside_the_vocabulary),
        cmocka_unit_test(test_pipeline_reproduces_the_reference_from_ids_to_pixels),
        cmocka_unit_test(test_transformer_levels_and_rows_are_independent),
        cmocka_unit_test(test_transformer_pooled_text_begins_with_nothing),
        cmocka_unit_test(test_transformer_of_samples_gives_velocities),
        cmocka_unit_test(test_transformer_stops_between_records),
        cmocka_unit_test(test_transformer_refuses_what_does_not_fit),
        cmocka_unit_test(test_transformer_shown_a_picture_is_the_reference),
        cmocka_unit_test(test_transformer_of_f16_is_that_of_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
