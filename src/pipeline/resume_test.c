#include "pipeline/resume.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/op_check.h"
#include "tensor/safetensors.h"

typedef struct rig {
    reel_env *env;
    reel_canvas canvas;
    reel_denoise *run;
    reel_text_rows text;
    reel_preview_map preview;
    char path[64];
    int64_t idle_bytes;
    char log[512];
} rig;

static reel_status model(void *context, const reel_denoise_query *q, float *cond, float *uncond) {
    (void)uncond;
    const rig *r = context;
    for (int64_t i = 0; i < reel_canvas_elements(&r->canvas); i++)
        cond[i] = 0.5f * q->x[i] - 0.1f;
    return REEL_OK;
}

static reel_status stop_after_three(void *context, const reel_denoise_step *step) {
    (void)context;
    return step->done == 3 ? REEL_E_CANCELLED : REEL_OK;
}

static reel_denoise *new_run(rig *r, int steps) {
    reel_denoise_options options = {.sampler = reel_sampler_options_default(REEL_SAMPLER_UNIPC),
                                    .guidance = reel_guidance_default(),
                                    .seed = 5};
    options.sampler.schedule.flow = true;
    options.sampler.n_steps = steps;
    reel_denoise *run = NULL;
    assert_int_equal(reel_denoise_new(r->env, &r->canvas, &options, &run), REEL_OK);
    return run;
}

static void listen(void *context, reel_log_level level, const char *text) {
    (void)level;
    rig *r = context;
    snprintf(r->log, sizeof r->log, "%s", text);
}

static void open_rig(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    r->env->log = listen;
    r->env->log_context = r;
    r->env->log_max = REEL_LOG_WARN;
    r->idle_bytes = r->env->allocator.bytes;
    snprintf(r->path, sizeof r->path, "/tmp/reel-resume-test-%ld", (long)getpid());
    unlink(r->path);
    assert_int_equal(reel_canvas_init(r->env, 2, 2, 3, 4, &r->canvas), REEL_OK);
    r->run = new_run(r, 6);
    assert_int_equal(reel_denoise_run(r->run, model, r, stop_after_three, NULL), REEL_E_CANCELLED);
    r->text = (reel_text_rows){.n_prompts = 2, .dim = 3, .n = {4, 2}};
    for (int i = 0; i < 2; i++) {
        r->text.row[i] = reel_alloc(r->env, 4 * 3 * sizeof(float), "test");
        for (int k = 0; k < 12; k++)
            r->text.row[i][k] = (float)(10 * i + k);
    }
    r->preview.n_channels = 2;
    for (int k = 0; k < 9; k++)
        r->preview.weight[k] = (float)k;
}

static void close_rig(rig *r) {
    unlink(r->path);
    reel_denoise_free(&r->run);
    reel_text_rows_deinit(r->env, &r->text);
    reel_canvas_deinit(&r->canvas);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    reel_env_free(&r->env);
}

static reel_status save(rig *r) {
    const reel_denoise_memory memory = reel_denoise_get_memory(r->run);
    const reel_resume resume = {.settings = "{\"steps\":6}",
                                .seed = 5,
                                .done = reel_denoise_done(r->run),
                                .text = &r->text,
                                .preview = &r->preview};
    return reel_resume_save(r->env, r->path, &resume, &memory);
}

static void test_resume_gives_back_what_was_saved(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    assert_int_equal(save(&r), REEL_OK);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r.env, r.path, "{\"steps\":6}", -1, &file), REEL_OK);
    assert_non_null(file);
    assert_int_equal(reel_resume_seed(file), 5);
    assert_int_equal(reel_resume_done(file), 3);
    reel_text_rows text;
    assert_int_equal(reel_resume_text(file, &text), REEL_OK);
    assert_int_equal(text.n_prompts, 2);
    assert_int_equal(text.n[1], 2);
    assert_memory_equal(text.row[0], r.text.row[0], 12 * sizeof(float));
    assert_memory_equal(text.row[1], r.text.row[1], 6 * sizeof(float));
    reel_text_rows_deinit(r.env, &text);
    reel_preview_map map;
    assert_true(reel_resume_preview(file, 2, &map));
    assert_memory_equal(map.weight, r.preview.weight, 9 * sizeof(float));
    assert_false(reel_resume_preview(file, 3, &map));
    reel_denoise *second = new_run(&r, 6);
    assert_int_equal(reel_resume_restore(file, second), REEL_OK);
    reel_resume_close(&file);
    assert_int_equal(reel_denoise_run(second, model, &r, NULL, NULL), REEL_OK);
    assert_int_equal(reel_denoise_run(r.run, model, &r, NULL, NULL), REEL_OK);
    assert_memory_equal(reel_denoise_latents(second), reel_denoise_latents(r.run),
                        48 * sizeof(float));
    reel_denoise_free(&second);
    close_rig(&r);
}

static void test_resume_without_a_file_is_no_failure(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r.env, r.path, "{}", -1, &file), REEL_OK);
    assert_null(file);
    close_rig(&r);
}

static void test_resume_leaves_what_belongs_to_another_run(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    assert_int_equal(save(&r), REEL_OK);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r.env, r.path, "{\"steps\":7}", -1, &file), REEL_OK);
    assert_null(file);
    assert_non_null(strstr(r.log, "3 steps of a run with other settings"));
    assert_int_equal(reel_resume_open(r.env, r.path, "{\"steps\":6}", 6, &file), REEL_OK);
    assert_null(file);
    assert_non_null(strstr(r.log, "another seed"));
    assert_int_equal(reel_resume_open(r.env, r.path, "{\"steps\":6}", 5, &file), REEL_OK);
    assert_non_null(file);
    reel_denoise *shorter = new_run(&r, 2); /* cannot be, unless somebody wrote the file by hand */
    assert_int_equal(reel_resume_restore(file, shorter), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r.env), "further than the run is long"));
    reel_denoise_free(&shorter);
    reel_resume_close(&file);
    close_rig(&r);
}

static void test_resume_refuses_a_file_that_is_none(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    static const struct {
        const char *key, *value, *why;
    } bad[] = {{"format", "reel state 0", "does not say so"},
               {"seed", "-5", "settings or seed"},
               {"seed", "9223372036854775808", "settings or seed"}, /* 2^63 */
               {"done", "1e3", "how far"},
               {"done", "-1", "how far"},
               {"settings", NULL, "settings or seed"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reel_metadata pair[] = {{"format", "reel state 2"},
                                {"settings", "{}"},
                                {"seed", "5"},
                                {"done", "1"},
                                {"window", "0"}};
        int n = 0;
        for (int k = 0; k < 4; k++) {
            if (strcmp(pair[k].key, bad[i].key) == 0) pair[k].value = bad[i].value;
            if (pair[k].value) pair[n++] = pair[k];
        }
        assert_int_equal(reel_safetensors_write(r.env, r.path, NULL, 0, pair, n), REEL_OK);
        reel_resume_file *file = NULL;
        assert_int_equal(reel_resume_open(r.env, r.path, "{}", -1, &file), REEL_E_FORMAT);
        if (!strstr(reel_env_message(r.env), bad[i].why) ||
            !strstr(reel_env_message(r.env), "remove it"))
            fail_msg("%s", reel_env_message(r.env));
        assert_int_equal(access(r.path, F_OK), 0);
        reel_env_clear(r.env);
    }
    assert_int_equal(reel_file_write(r.env, r.path, "garbage!garbage!", 16), REEL_OK);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r.env, r.path, "{}", -1, &file), REEL_E_FORMAT);
    close_rig(&r);
}

/* ---- files made by hand ---- */

enum { N_LATENTS = 48, MOST_BYTES = 2048 };

/* The tensors of a sound state of the rig's run, to be spoiled. */
typedef struct hand_made {
    reel_named_tensor tensor[5];
    int n;
    const char *done;
    float numbers[N_LATENTS];
    int64_t memory[MOST_BYTES / 8]; /* the sampler's */
} hand_made;

static void make_sound(rig *r, hand_made *m) {
    const reel_denoise_memory memory = reel_denoise_get_memory(r->run);
    assert_true(memory.n == N_LATENTS && memory.sampler_bytes <= MOST_BYTES);
    *m = (hand_made){.done = "3", .n = 5};
    memcpy(m->memory, memory.sampler, (size_t)memory.sampler_bytes);
    m->tensor[0] = (reel_named_tensor){
        "latents", {.dtype = REEL_F32, .shape = REEL_SHAPE(1, N_LATENTS), .data = m->numbers}};
    m->tensor[1] = (reel_named_tensor){
        "sampler",
        {.dtype = REEL_U8, .shape = REEL_SHAPE(memory.sampler_bytes), .data = m->memory}};
    static const char *const name[] = {"text.0", "text.1", "preview"};
    for (int i = 0; i < 3; i++)
        m->tensor[2 + i] = (reel_named_tensor){
            name[i], {.dtype = REEL_F32, .shape = REEL_SHAPE(3, 3), .data = m->numbers}};
}

/* The state as a file, open; it has to begin like one. */
static reel_resume_file *open_made(rig *r, const hand_made *m) {
    const reel_metadata pair[] = {{"format", "reel state 2"},
                                  {"settings", "{}"},
                                  {"seed", "5"},
                                  {"done", m->done},
                                  {"window", "0"}};
    assert_int_equal(reel_safetensors_write(r->env, r->path, m->tensor, m->n, pair, 5), REEL_OK);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r->env, r->path, "{}", 5, &file), REEL_OK);
    assert_non_null(file);
    return file;
}

static void expect_no_restore(rig *r, const hand_made *m, const char *why) {
    reel_resume_file *file = open_made(r, m);
    reel_denoise *run = new_run(r, 6);
    assert_int_equal(reel_resume_restore(file, run), REEL_E_FORMAT);
    if (!strstr(reel_env_message(r->env), why) || !strstr(reel_env_message(r->env), "remove it"))
        fail_msg("'%s', wanted '%s'", reel_env_message(r->env), why);
    reel_env_clear(r->env);
    reel_denoise_free(&run);
    reel_resume_close(&file);
}

static void test_resume_takes_latents_and_memory_of_this_run_only(void **state) {
    (void)state;
    rig r;
    hand_made m;
    open_rig(&r);
    make_sound(&r, &m);
    m.tensor[0].tensor.shape = REEL_SHAPE(1, N_LATENTS - 1);
    expect_no_restore(&r, &m, "latents");
    make_sound(&r, &m);
    m.tensor[0].tensor.shape = REEL_SHAPE(N_LATENTS); /* one axis */
    expect_no_restore(&r, &m, "latents");
    make_sound(&r, &m);
    m.tensor[0].tensor.dtype = REEL_I32;
    expect_no_restore(&r, &m, "latents");
    make_sound(&r, &m);
    m.tensor[0].name = "latent";
    expect_no_restore(&r, &m, "latents");
    make_sound(&r, &m);
    m.tensor[1].tensor.shape.dim[0]--;
    expect_no_restore(&r, &m, "sampler's memory has another size");
    make_sound(&r, &m);
    m.tensor[1].tensor.dtype = REEL_F32; /* as many bytes */
    m.tensor[1].tensor.shape.dim[0] /= 4;
    expect_no_restore(&r, &m, "sampler's memory has another size");
    make_sound(&r, &m);
    m.done = "7";
    expect_no_restore(&r, &m, "further than the run is long");
    make_sound(&r, &m);
    m.done = "9223372036854775807";
    expect_no_restore(&r, &m, "further than the run is long");
    close_rig(&r);
}

/* The memory begins with two counts, which index its arrays. */
static void test_resume_does_not_believe_the_counts_in_the_memory(void **state) {
    (void)state;
    static const int32_t counts[][2] = {{1 << 30, 1}, {-1, 1}, {2, 1 << 30}, {2, -1}, {2, 3}};
    rig r;
    hand_made m;
    open_rig(&r);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        make_sound(&r, &m);
        memcpy(m.memory, counts[i], sizeof counts[i]);
        expect_no_restore(&r, &m, "that of another run");
    }
    make_sound(&r, &m);
    m.done = "0"; /* nothing done, and outputs in the memory */
    expect_no_restore(&r, &m, "that of another run");
    close_rig(&r);
}

/* How many prompts the rows are taken to be of: 0 when they are refused. */
static int n_prompts_of(rig *r, const hand_made *m) {
    reel_resume_file *file = open_made(r, m);
    reel_text_rows text = {0};
    const reel_status status = reel_resume_text(file, &text);
    assert_int_equal(status, text.n_prompts ? REEL_OK : REEL_E_FORMAT);
    const int n = text.n_prompts;
    reel_env_clear(r->env);
    reel_text_rows_deinit(r->env, &text);
    reel_resume_close(&file);
    return n;
}

static void test_resume_leaves_rows_of_text_that_are_none(void **state) {
    (void)state;
    rig r;
    hand_made m;
    open_rig(&r);
    make_sound(&r, &m);
    assert_int_equal(n_prompts_of(&r, &m), 2);
    m.tensor[3].tensor.shape = REEL_SHAPE(3, 2); /* rows of two lengths */
    assert_int_equal(n_prompts_of(&r, &m), 1);
    m.tensor[3].tensor.shape = REEL_SHAPE(0, 3);
    assert_int_equal(n_prompts_of(&r, &m), 1);
    m.tensor[2].tensor.shape = REEL_SHAPE(0, 3);
    assert_int_equal(n_prompts_of(&r, &m), 0);
    m.tensor[2].tensor.shape = REEL_SHAPE(9);
    assert_int_equal(n_prompts_of(&r, &m), 0);
    m.tensor[2].tensor =
        (reel_tensor){.dtype = REEL_I32, .shape = REEL_SHAPE(3, 3), .data = m.numbers};
    assert_int_equal(n_prompts_of(&r, &m), 0);
    m.tensor[2].name = "text.2";
    assert_int_equal(n_prompts_of(&r, &m), 0);
    close_rig(&r);
}

static void test_resume_takes_a_preview_of_the_models_channels_only(void **state) {
    (void)state;
    static const reel_shape shapes[] = {
        {.rank = 2, .dim = {3, 4}}, {.rank = 2, .dim = {2, 3}}, {.rank = 1, .dim = {9}}};
    rig r;
    hand_made m;
    reel_preview_map map;
    open_rig(&r);
    make_sound(&r, &m);
    reel_resume_file *file = open_made(&r, &m);
    assert_true(reel_resume_preview(file, 2, &map));
    assert_false(reel_resume_preview(file, REEL_PREVIEW_MAX_CHANNELS + 1, &map));
    reel_resume_close(&file);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        m.tensor[4].tensor.shape = shapes[i];
        file = open_made(&r, &m);
        assert_false(reel_resume_preview(file, 2, &map));
        reel_resume_close(&file);
    }
    close_rig(&r);
}

static void test_resume_that_cannot_be_written_keeps_the_older_one(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    assert_int_equal(save(&r), REEL_OK);
    assert_int_equal(reel_denoise_run(r.run, model, &r, NULL, NULL), REEL_OK);
    r.env->faults.io_at = 2;
    assert_int_equal(save(&r), REEL_E_IO);
    r.env->faults.io_at = 0;
    reel_env_clear(r.env);
    reel_resume_file *file = NULL;
    assert_int_equal(reel_resume_open(r.env, r.path, "{\"steps\":6}", 5, &file), REEL_OK);
    assert_int_equal(reel_resume_done(file), 3);
    reel_resume_close(&file);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resume_gives_back_what_was_saved),
        cmocka_unit_test(test_resume_without_a_file_is_no_failure),
        cmocka_unit_test(test_resume_leaves_what_belongs_to_another_run),
        cmocka_unit_test(test_resume_refuses_a_file_that_is_none),
        cmocka_unit_test(test_resume_takes_latents_and_memory_of_this_run_only),
        cmocka_unit_test(test_resume_does_not_believe_the_counts_in_the_memory),
        cmocka_unit_test(test_resume_leaves_rows_of_text_that_are_none),
        cmocka_unit_test(test_resume_takes_a_preview_of_the_models_channels_only),
        cmocka_unit_test(test_resume_that_cannot_be_written_keeps_the_older_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
