#include "faults.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/json_out.h"
#include "cpu/cpu.h"
#include "data/clips.h"
#include "data/latents.h"
#include "media/scenes.h"
#include "media/sheet.h"
#include "media/stereo.h"
#include "media/video_reader.h"
#include "media/video_writer.h"
#include "models/depth/depth.h"
#include "nn/params.h"
#include "ops/linear.h"
#include "ops/reduce.h"
#include "pipeline/film.h"
#include "pipeline/storyboard_plan.h"
#include "support/small_dit.h"
#include "tape/plan.h"
#include "tensor/safetensors_set.h"
#include "text/prompt.h"
#include "text/tokenizer.h"
#include "train/checkpoint.h"
#include "train/report.h"
#include "zoo/adapter.h"
#include "zoo/create.h"

/* ---- base ---- */

static reel_status use_arena(reel_env *env, const fault_place *place) {
    (void)place;
    reel_arena arena;
    reel_arena_init(&arena, env, 256, "fault");
    reel_status status = REEL_OK;
    for (int round = 0; round < 2 && status == REEL_OK; round++) {
        const void *a = reel_arena_alloc(&arena, 100);
        const void *b = reel_arena_calloc(&arena, 100, 8);
        const char *c = reel_arena_printf(&arena, "block %d", round);
        if (!a || !b || !c) status = REEL_E_NOMEM;
        reel_arena_reset(&arena);
    }
    reel_arena_deinit(&arena);
    return status;
}

static reel_status replace_file(reel_env *env, const fault_place *place) {
    static char large[100000];
    memset(large, 'x', sizeof large);
    reel_writer *w = NULL;
    reel_status status = reel_writer_open(env, place->target, &w);
    for (int i = 0; i < 3 && status == REEL_OK; i++)
        status = reel_writer_write(w, large, i % 2 ? (int64_t)sizeof large : 1000);
    if (status == REEL_OK) status = reel_writer_commit(w);
    reel_writer_close(&w);
    return status;
}

static reel_status read_file(reel_env *env, const fault_place *place) {
    char *text = NULL;
    int64_t bytes = 0;
    reel_status status = reel_file_read(env, place->index, 1 << 20, &text, &bytes);
    reel_free(env, text);
    reel_map map = {0};
    if (status == REEL_OK) status = reel_map_open(env, place->file, &map);
    reel_map_close(&map);
    return status;
}

static reel_status read_json(reel_env *env, const fault_place *place) {
    reel_json_doc *doc = NULL;
    reel_status status = reel_json_load(env, place->index, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    reel_json map;
    status = reel_json_object(&root, "weight_map", &map);
    reel_json_free(&doc);
    return status;
}

static reel_status write_json(reel_env *env, const fault_place *place) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_json_out_object_begin(&out);
    for (int i = 0; i < 100; i++) {
        reel_json_out_key(&out, "prompt");
        reel_json_out_string(&out, "a paper boat on a rainy street");
    }
    reel_json_out_end(&out);
    const char *text = NULL;
    int64_t bytes = 0;
    reel_status status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) status = reel_file_write(env, place->target, text, bytes);
    reel_json_out_deinit(&out);
    return status;
}

static void add_index(void *context, int64_t i, int lane) {
    (void)lane;
    int64_t *sum = context;
    sum[i] += i;
}

static reel_status start_threads(reel_env *env, const fault_place *place) {
    (void)place;
    reel_threads *threads = NULL;
    const reel_status status = reel_threads_new(env, 4, &threads);
    /* A pool is made before its environment can carry a message; its users say what failed. */
    if (status != REEL_OK) return reel_fail(env, status, "no pool of 4 threads");
    int64_t sum[16] = {0};
    reel_parallel_for(threads, 16, add_index, sum);
    reel_threads_free(&threads);
    return REEL_OK;
}

/* ---- text ---- */

static reel_status clean_prompt(reel_env *env, const fault_place *place) {
    (void)place;
    static const char prompt[] = "  a &lt;red\u3000ball\u201d  ";
    char *clean = NULL;
    const reel_status status = reel_prompt_clean(env, prompt, sizeof prompt - 1, &clean, NULL);
    reel_free(env, clean);
    return status;
}

/* A model small enough to be opened a hundred times. */
static reel_status tokenize(reel_env *env, const fault_place *place) {
    (void)place;
    if (!REEL_SENTENCEPIECE) return REEL_OK;
    static const char model[] = "tests/fuzz/corpus/tokenizer/map.model";
    reel_tokenizer *t = NULL;
    reel_tokens tokens = {0};
    char *text = NULL;
    reel_status status = reel_tokenizer_open(env, model, &t);
    if (status == REEL_OK) status = reel_tokenizer_encode(t, "a A", 3, NULL, &tokens);
    if (status == REEL_OK) status = reel_tokenizer_decode(t, tokens.id, tokens.n, &text, NULL);
    reel_free(env, text);
    reel_tokens_deinit(env, &tokens);
    reel_tokenizer_close(&t);
    return status;
}

/* ---- tensor ---- */

static float weights[64];

static reel_status write_tensors(reel_env *env, const char *path) {
    const reel_named_tensor tensors[] = {
        {"a", {.dtype = REEL_F32, .shape = REEL_SHAPE(4, 8), .data = weights}},
        {"b", {.dtype = REEL_F32, .shape = REEL_SHAPE(32), .data = weights + 32}}};
    const reel_metadata pair = {"step", "7"};
    return reel_safetensors_write(env, path, tensors, 2, &pair, 1);
}

static reel_status replace_tensors(reel_env *env, const fault_place *place) {
    return write_tensors(env, place->target);
}

static reel_status get_all(reel_env *env, const char *path) {
    reel_safetensors_set *set = NULL;
    reel_status status = reel_safetensors_set_open(env, path, &set);
    for (int64_t i = 0; status == REEL_OK && i < reel_safetensors_set_count(set); i++) {
        reel_tensor t;
        status = reel_safetensors_set_get(set, reel_safetensors_set_at(set, i)->name, &t);
    }
    reel_safetensors_set_close(&set);
    return status;
}

static reel_status read_tensors(reel_env *env, const fault_place *place) {
    return get_all(env, place->file);
}

static reel_status read_unaligned(reel_env *env, const fault_place *place) {
    return get_all(env, place->unaligned);
}

static reel_status read_set(reel_env *env, const fault_place *place) {
    return get_all(env, place->index);
}

/* ---- media ---- */

enum { SIDE = 16 };

/* What FFmpeg allocates is not counted and never fails here: our own steps around it are. */
static reel_status write_clip(reel_env *env, const char *path, reel_video_format format) {
    static const uint8_t pixels[SIDE * SIDE * 3];
    static const float planes[SIDE * SIDE * 3];
    const reel_planes grey = {planes, SIDE * SIDE, -1, 1};
    reel_video_options options = reel_video_options_default();
    options.width = options.height = SIDE;
    options.format = format;
    options.comment = "{}";
    reel_video_writer *w = NULL;
    reel_status status = reel_video_writer_open(env, path, &options, &w);
    if (status == REEL_OK) status = reel_video_writer_push(w, pixels);
    if (status == REEL_OK && format != REEL_VIDEO_PNG)
        status = reel_video_writer_push_planes(w, &grey);
    if (status == REEL_OK) status = reel_video_writer_finish(w);
    reel_video_writer_close(&w);
    return status;
}

#if REEL_FFMPEG
static reel_status replace_mp4(reel_env *env, const fault_place *place) {
    return write_clip(env, place->target, REEL_VIDEO_MP4);
}

static reel_status replace_gif(reel_env *env, const fault_place *place) {
    return write_clip(env, place->target, REEL_VIDEO_GIF);
}

static reel_status replace_png(reel_env *env, const fault_place *place) {
    return write_clip(env, place->target, REEL_VIDEO_PNG);
}

static reel_status replace_sequence(reel_env *env, const fault_place *place) {
    char pattern[160];
    snprintf(pattern, sizeof pattern, "%s/s/%%d.png", place->folder);
    const reel_status status = write_clip(env, pattern, REEL_VIDEO_PNG_SEQUENCE);
    for (int i = 1; status == REEL_OK && i <= 2; i++) {
        snprintf(pattern, sizeof pattern, "%s/s/%d.png", place->folder, i);
        unlink(pattern);
    }
    snprintf(pattern, sizeof pattern, "%s/s", place->folder);
    rmdir(pattern);
    return status;
}

/* A clip read in another size and rate, its frames counted, its cuts found, put on a sheet. */
static reel_status read_clip(reel_env *env, const fault_place *place) {
    uint8_t pixels[24 * 12 * 3];
    reel_reader_options options = reel_reader_options_default();
    options.width = 24;
    options.height = 12;
    options.fps = (reel_rational){48, 1};
    const reel_sheet_options grid = {.columns = 2, .cell_width = 16, .cell_height = 16};
    reel_video_reader *r = NULL;
    reel_scenes *scenes = NULL;
    reel_sheet *sheet = NULL;
    int64_t n = 0;
    bool got = true;
    reel_status status = reel_video_reader_open(env, place->clip, &options, &r);
    if (status == REEL_OK) status = reel_video_reader_count(r, &n);
    if (status == REEL_OK) status = reel_scenes_new(env, 24, 12, &scenes);
    while (status == REEL_OK && got) {
        status = reel_video_reader_next(r, pixels, &got);
        if (status == REEL_OK && got) status = reel_scenes_push(scenes, pixels);
    }
    if (status == REEL_OK) status = reel_sheet_new(env, &grid, &sheet);
    if (status == REEL_OK) status = reel_sheet_add_clip(sheet, place->clip);
    reel_sheet_free(&sheet);
    reel_scenes_free(&scenes);
    reel_video_reader_close(&r);
    return status;
}
#endif

/* ---- tape, with ops and parameters on it ---- */

enum { ROWS = 6, WIDTH = 8 };

static reel_var layer(reel_tape *tape, reel_params *params, const char *name, reel_var x) {
    reel_param *w = reel_params_find(params, name);
    return reel_linear(tape, x, w ? reel_params_record(params, w, tape) : 0, 0, REEL_ACT_GELU_TANH,
                       REEL_F32);
}

/* A step of a two-layer network: parameters, forward with a recomputed scope, backward, plan, two
 * runs, and again on the reset tape. */
static reel_status train_step(reel_env *env, const fault_place *place) {
    (void)place;
    float x[ROWS * WIDTH] = {1, -2, 3};
    reel_params *params = NULL;
    reel_tape *tape = NULL;
    reel_kernel_table *table = NULL;
    reel_plan *plan = NULL;
    const reel_init init = {REEL_INIT_XAVIER, 1.0f};
    reel_status status = reel_params_new(env, &params);
    if (status == REEL_OK)
        status = reel_params_declare(params, "in", REEL_F32, REEL_SHAPE(WIDTH, WIDTH), init);
    if (status == REEL_OK)
        status = reel_params_declare(params, "out", REEL_F32, REEL_SHAPE(WIDTH, WIDTH), init);
    if (status == REEL_OK) status = reel_params_initialise(params, 1);
    if (status == REEL_OK) status = reel_ops_reference_table(env, &table);
    if (status == REEL_OK) status = reel_ops_tape_new(env, &tape);
    for (int round = 0; round < 2 && status == REEL_OK; round++) {
        reel_tape_reset(tape);
        reel_tape_set_training(tape, true);
        reel_params_begin_recording(params);
        const reel_var input = reel_tape_input(tape, REEL_F32, REEL_SHAPE(ROWS, WIDTH), "x", x);
        reel_scope_begin(tape, "block", REEL_RECOMPUTE);
        const reel_var hidden = layer(tape, params, "in", input);
        reel_scope_end(tape);
        const reel_var y = layer(tape, params, "out", hidden);
        reel_tape_backward(tape, reel_dot(tape, y, y));
        status = reel_plan_update(tape, table, NULL, &plan);
        if (status == REEL_OK) status = reel_plan_run(plan, NULL);
    }
    reel_plan_free(&plan);
    reel_tape_free(&tape);
    reel_kernel_table_free(env, &table);
    reel_params_free(&params);
    return status;
}

/* A transformer with nested recompute scopes: recorded twice on one tape, planned for the machine's
 * kernels (which prepare and pack), updated with and without a change, run. */
static reel_status train_transformer(reel_env *env, const fault_place *place) {
    (void)place;
    reel_tape *tape = NULL;
    reel_kernel_table *table = NULL;
    reel_plan *plan = NULL;
    reel_status status = reel_cpu_table(env, REEL_ISA_COUNT, &table);
    if (status == REEL_OK) status = reel_ops_tape_new(env, &tape);
    for (int round = 0; round < 3 && status == REEL_OK; round++) {
        small_dit dit = {
            .n_blocks = round == 2 ? 1 : 2, .recompute = SMALL_DIT_NESTED, .dtype = REEL_BF16};
        reel_tape_reset(tape);
        reel_tape_set_training(tape, true);
        small_dit_record(&dit, tape);
        status = reel_plan_update(tape, table, NULL, &plan);
        if (status == REEL_OK) status = reel_plan_run(plan, NULL);
    }
    reel_plan_free(&plan);
    reel_tape_free(&tape);
    reel_kernel_table_free(env, &table);
    return status;
}

/* The same eagerly: every record takes memory of its own as it is appended. */
static reel_var record_learner(void *context, reel_nn *nn) {
    const reel_var x = reel_tape_input(nn->tape, REEL_F32, REEL_SHAPE(ROWS, WIDTH), "x", context);
    const reel_var y = reel_nn_linear(nn, "layer", x, WIDTH, REEL_ACT_SILU);
    return reel_dot(nn->tape, y, y);
}

/* A learner from its parameters to two steps of two micro-steps, its average, what is exported. */
static reel_status learn(reel_env *env, reel_learner *learner, float *x) {
    reel_program *program = NULL;
    reel_params *params = NULL;
    reel_step_result result;
    reel_status status = reel_learner_declare(learner, record_learner, x);
    if (status == REEL_OK) status = reel_learner_begin(learner, 1);
    if (status == REEL_OK)
        status = reel_program_new(learner, REEL_PROGRAM_TRAIN, record_learner, x, &program);
    for (int i = 0; i < 2 && status == REEL_OK; i++)
        status = reel_program_step(program, 1, NULL, &result);
    if (status == REEL_OK) status = reel_learner_refresh_average(learner);
    if (status == REEL_OK) status = reel_learner_export(learner, "", true, REEL_BF16, &params);
    reel_params_free(&params);
    reel_program_free(&program);
    (void)env;
    return status;
}

/* The same between a recipe that is read and a checkpoint that is written and read. */
static reel_status train_run(reel_env *env, const fault_place *place) {
    static const char text[] = "{\"optimiser\":{\"accumulate\":2}}";
    float x[ROWS * WIDTH] = {1, -2, 3};
    reel_recipe recipe = reel_recipe_default();
    reel_run_state state = {.step = 2};
    reel_learner *learner = NULL;
    reel_kernel_table *table = NULL;
    bool found;
    char path[160];
    reel_status status = reel_recipe_parse(env, text, (int64_t)strlen(text), "recipe", &recipe);
    const reel_learner_options options = reel_recipe_learner(&recipe);
    if (status == REEL_OK) status = reel_ops_reference_table(env, &table);
    if (status == REEL_OK) status = reel_learner_new(env, table, &options, &learner);
    if (status == REEL_OK) status = learn(env, learner, x);
    if (status == REEL_OK)
        status = reel_checkpoint_write(env, place->folder, "toy", learner, &recipe, &state);
    if (status == REEL_OK)
        status = reel_checkpoint_read(env, place->folder, "toy", learner, &recipe, &state, &found);
    if (status == REEL_OK) status = reel_report_write(env, place->folder, "toy");
    reel_learner_free(&learner);
    reel_kernel_table_free(env, &table);
    snprintf(path, sizeof path, "%s/checkpoint-0000000002.safetensors", place->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/report.html", place->folder);
    unlink(path);
    return status;
}

static reel_status run_eagerly(reel_env *env, const fault_place *place) {
    (void)place;
    reel_tape *tape = NULL;
    reel_kernel_table *table = NULL;
    reel_status status = reel_cpu_table(env, REEL_ISA_COUNT, &table);
    if (status == REEL_OK) status = reel_ops_tape_new(env, &tape);
    if (status == REEL_OK) {
        small_dit dit = {.n_blocks = 1, .recompute = SMALL_DIT_BLOCKS};
        reel_tape_set_training(tape, true);
        reel_tape_set_eager(tape, table);
        small_dit_record(&dit, tape);
        status = reel_tape_status(tape);
    }
    reel_tape_free(&tape);
    reel_kernel_table_free(env, &table);
    return status;
}

/* The smallest model there can be: this scenario is run once for each of its calls. */
static reel_blueprint one_block(void) {
    reel_blueprint b = {.has[REEL_COMPONENT_TRANSFORMER] = true,
                        .scheduler = reel_scheduler_config_default(),
                        .index.pipeline = "WanPipeline"};
    b.config[REEL_COMPONENT_TRANSFORMER].transformer =
        (reel_wan_dit_config){.patch_size = {1, 1, 1},
                              .num_attention_heads = 1,
                              .attention_head_dim = 6,
                              .in_channels = 1,
                              .out_channels = 1,
                              .text_dim = 2,
                              .freq_dim = 2,
                              .ffn_dim = 2,
                              .num_layers = 1,
                              .eps = 1e-6};
    return b;
}

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *walk) {
    (void)about;
    (void)type;
    (void)walk;
    return remove(path);
}

/* A model folder made; when something fails half-way, nothing of it may be left, but for a whole
 * folder whose name could not be made durable. */
static reel_status make_model(reel_env *env, const fault_place *place) {
    char path[96];
    snprintf(path, sizeof path, "%s/model", place->folder);
    const reel_blueprint blueprint = one_block();
    const reel_create_options options = {.dtype = REEL_F32, .tokenizer = place->target};
    const reel_status status = reel_folder_create(env, path, &blueprint, &options);
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return status;
}

/* A model opened and its weights converted. */
static reel_status open_model(reel_env *env, const fault_place *place) {
    (void)place;
    reel_folder *folder = NULL;
    reel_component *component = NULL;
    reel_status status =
        reel_folder_open(env, "tests/golden/wan22_dit_ti2v/weights.safetensors", &folder);
    if (status == REEL_OK)
        status = reel_folder_component(folder, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_BF16,
                                       &component);
    reel_component_close(&component);
    reel_folder_close(&folder);
    return status;
}

/* An adapter written, read and added to a weight. */
static reel_status use_adapter(reel_env *env, const fault_place *place) {
    float a[2] = {1, 2}, b[2] = {3, 4}, w[4] = {0};
    const reel_adapter_pair pair = {
        "blocks.0.attn1.to_q", {REEL_F32, REEL_SHAPE(1, 2), a}, {REEL_F32, REEL_SHAPE(2, 1), b}};
    reel_component part = {.env = env, .config.kind = REEL_COMPONENT_TRANSFORMER};
    reel_adapter *adapter = NULL;
    reel_status status = reel_params_new(env, &part.params);
    if (status == REEL_OK)
        status = reel_params_set(part.params, "blocks.0.attn1.to_q.weight", REEL_F32,
                                 REEL_SHAPE(2, 2), w);
    if (status == REEL_OK)
        status =
            reel_adapter_write(env, place->target, &pair, 1, &(reel_adapter_about){1, 1, "flow"});
    if (status == REEL_OK) status = reel_adapter_open(env, place->target, &part, &adapter);
    if (status == REEL_OK) status = reel_adapter_apply(adapter, 1, &part);
    if (adapter) reel_adapter_close(&adapter);
    reel_params_free(&part.params);
    return status;
}

#if REEL_FFMPEG
/* Latents of nothing: what goes wrong around them is looked at. */
static reel_status encode_nothing(void *context, const uint8_t *rgb, const reel_bucket *size,
                                  reel_bf16 *latent) {
    (void)context;
    (void)rgb;
    memset(latent, 0, (size_t)(size->frames * (size->height / 8) * (size->width / 8)) * 2);
    return REEL_OK;
}

static reel_status use_source(reel_env *env, const char *folder, reel_clips *clips,
                              const reel_bucket *bucket) {
    const reel_latents_encoder e = {NULL, encode_nothing, 1, 1, 8};
    reel_source source;
    reel_latents *latents = NULL;
    reel_status status = reel_clips_source(clips, false, -1, &source);
    if (status == REEL_OK)
        status = reel_latents_open(env, folder, "k", &source, bucket, 1, &e, &latents);
    if (status == REEL_OK) status = reel_latents_advance(latents, 10, NULL, NULL);
    if (latents) reel_latents_close(&latents);
    return status;
}

/* A clip of one's own, looked at, decoded and encoded. */
static reel_status use_clips(reel_env *env, const fault_place *place) {
    char sights[128], latents[128];
    snprintf(sights, sizeof sights, "%s/seen.jsonl", place->folder);
    snprintf(latents, sizeof latents, "%s/latents", place->folder);
    const char *path = place->clip;
    const reel_bucket bucket = {16, 16, 2, 1};
    const reel_clips_options options = {.path = &path,
                                        .n_paths = 1,
                                        .fps = 24,
                                        .bucket = &bucket,
                                        .n_buckets = 1,
                                        .sights = sights};
    reel_clips *clips = NULL;
    reel_status status = reel_clips_open(env, &options, &clips);
    if (status == REEL_OK) status = use_source(env, latents, clips, &bucket);
    if (clips) reel_clips_close(&clips);
    unlink(sights);
    nftw(latents, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return status;
}
#endif

/* ---- depth ---- */

static reel_status forget(void *context, int64_t first, int64_t n, const float *nearness) {
    (void)context;
    (void)first;
    (void)n;
    (void)nearness;
    return REEL_OK;
}

/* A head of random weights, saved. */
static reel_status save_depth(reel_env *env, const char *folder) {
    const reel_depth_config config = {
        .z_dim = 1, .factor_t = 1, .factor_s = 4, .channels = 2, .blocks = 1, .mid = 1};
    reel_tape *tape = NULL;
    reel_params *params = NULL;
    reel_status status = reel_ops_tape_new(env, &tape);
    if (status == REEL_OK) status = reel_params_new(env, &params);
    if (status == REEL_OK) {
        reel_nn nn = reel_nn_start(tape, params, REEL_F32);
        const reel_shape shape = REEL_SHAPE(1, 1, 1, 1, 1);
        reel_depth(&nn, &config, reel_tape_input(tape, REEL_F32, shape, "x", NULL));
        reel_params_close(params);
        status = reel_tape_status(tape);
    }
    if (status == REEL_OK) status = reel_params_initialise(params, 1);
    if (status == REEL_OK) status = reel_depth_save(env, folder, &config, params);
    reel_params_free(&params);
    reel_tape_free(&tape);
    return status;
}

/* The same opened, and two latents looked at. */
static reel_status look_for_depth(reel_env *env, const fault_place *place) {
    static const float latents[2] = {1, -1};
    reel_depth_model *model = NULL;
    reel_kernel_table *table = NULL;
    char folder[96];
    snprintf(folder, sizeof folder, "%s/depth", place->folder);
    reel_status status = save_depth(env, folder);
    if (status == REEL_OK) status = reel_ops_reference_table(env, &table);
    if (status == REEL_OK) status = reel_depth_open(env, table, folder, &model);
    if (status == REEL_OK) status = reel_depth_run(model, latents, 2, 1, 1, forget, NULL);
    reel_depth_close(&model);
    reel_kernel_table_free(env, &table);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return status;
}

/* ---- films ---- */

/* A script read in one of its forms, and planned. */
static reel_status read_script(reel_env *env, const char *text) {
    reel_arena arena;
    reel_story story;
    reel_story_plan plan;
    reel_arena_init(&arena, env, 256, "fault");
    reel_status status =
        reel_story_parse(env, &arena, "script", text, (int64_t)strlen(text), &story);
    if (status == REEL_OK) status = reel_story_plan_make(env, &arena, &story, 8, 4, &plan);
    reel_arena_deinit(&arena);
    return status;
}

static reel_status read_storyboard(reel_env *env, const fault_place *place) {
    (void)place;
    const reel_status status =
        read_script(env, "@a: b\nstyle: c\ntitle: t\nshot: @a\n  at 1: d\n  at 2 image: e\n");
    return status == REEL_OK
               ? read_script(env, "{\"names\":{\"a\":\"b\"},\"shots\":[{\"prompt\":\"@a\"}]}")
               : status;
}

#if REEL_FFMPEG
/* A title fading into a clip, and what a second eye sees of it. */
static reel_status cut_film(reel_env *env, const fault_place *place) {
    static const uint8_t pixels[SIDE * SIDE * 3];
    static const float nearness[SIDE * SIDE];
    uint8_t view[SIDE * SIDE * 3];
    const reel_film_part part = {place->clip, 0, 2};
    const reel_film_scene scene[] = {{.title = "t", .frames = 2},
                                     {.part = &part, .n_parts = 1, .frames = 2, .fade = 1}};
    const reel_film film = {.scene = scene, .n_scenes = 2, .width = SIDE, .height = SIDE, .fps = 8};
    reel_video_options options = reel_video_options_default();
    options.width = options.height = SIDE;
    options.format = REEL_VIDEO_FFV1;
    reel_video_writer *w = NULL;
    reel_status status =
        reel_view_draw(env, pixels, nearness, SIDE, SIDE, (reel_view_shift){1, 0}, view);
    if (status == REEL_OK) status = reel_video_writer_open(env, place->target, &options, &w);
    if (status == REEL_OK) status = reel_film_write(env, &film, w, NULL);
    if (status == REEL_OK) status = reel_video_writer_finish(w);
    reel_video_writer_close(&w);
    return status;
}
#endif

const fault_scenario fault_scenarios[] = {
    {"arena", use_arena},
    {"replace a file", replace_file},
    {"read a file", read_file},
    {"read json", read_json},
    {"write json", write_json},
    {"start threads", start_threads},
    {"clean a prompt", clean_prompt},
    {"tokenize", tokenize},
    {"replace tensors", replace_tensors},
    {"read tensors", read_tensors},
    {"read tensors that are not aligned", read_unaligned},
    {"read a set of shards", read_set},
#if REEL_FFMPEG
    {"replace an mp4", replace_mp4},
    {"replace a gif", replace_gif},
    {"replace a png", replace_png},
    {"replace a sequence of pngs", replace_sequence},
    {"read a clip", read_clip},
    {"clips of one's own", use_clips},
    {"cut a film", cut_film},
#endif
    {"read a storyboard", read_storyboard},
    {"a training step", train_step},
    {"a transformer's training step", train_transformer},
    {"a run of training", train_run},
    {"an eager tape", run_eagerly},
    {"make a model folder", make_model},
    {"open a model", open_model},
    {"use an adapter", use_adapter},
    {"look for depth", look_for_depth},
};
const int n_fault_scenarios = sizeof fault_scenarios / sizeof fault_scenarios[0];

/* ---- the folder ---- */

static reel_status write_unaligned(reel_env *env, const char *path) {
    static const char header[] = "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                                 "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}";
    const uint64_t length = sizeof header - 1;
    unsigned char bytes[8 + sizeof header - 1 + 9] = {0};
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    return reel_file_write(env, path, bytes, sizeof bytes);
}

reel_status fault_place_make(reel_env *env, fault_place *p) {
    static const char index[] =
        "{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\"}}";
    const char *base = getenv("TMPDIR");
    snprintf(p->folder, sizeof p->folder, "%.32s/reel-fault-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(p->folder)) return REEL_E_IO;
    snprintf(p->file, sizeof p->file, "%s/x.safetensors", p->folder);
    snprintf(p->unaligned, sizeof p->unaligned, "%s/u.safetensors", p->folder);
    snprintf(p->index, sizeof p->index, "%s/x.safetensors.index.json", p->folder);
    snprintf(p->target, sizeof p->target, "%s/target", p->folder);
    snprintf(p->clip, sizeof p->clip, "%s/clip.gif", p->folder);
    reel_status status = write_tensors(env, p->file);
    if (status == REEL_OK) status = write_unaligned(env, p->unaligned);
    if (status == REEL_OK) status = reel_file_write(env, p->index, index, sizeof index - 1);
    if (status == REEL_OK) status = reel_file_write(env, p->target, "old", 3);
    if (status == REEL_OK && REEL_FFMPEG) status = write_clip(env, p->clip, REEL_VIDEO_GIF);
    return status;
}

reel_status fault_place_remove(reel_env *env, const fault_place *p) {
    const char *const path[] = {p->file, p->unaligned, p->index, p->target, p->clip};
    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++)
        unlink(path[i]);
    if (rmdir(p->folder) == 0) return REEL_OK;
    return reel_fail(env, REEL_E_IO, "%s: a file was left behind", p->folder);
}
