/* Any bytes as the state of an interrupted run: a refusal with a message, or a state from which
 * every sampler goes on to its end. That its numbers are senseless is no failure.
 */
#include "fuzz.h"

#include "base/env.h"
#include "pipeline/resume.h"

enum { C = 2, F = 1, H = 1, W = 2, N = C * F * H * W, STEPS = 4 };

static reel_status model(void *context, const reel_denoise_query *q, float *cond, float *uncond) {
    (void)context;
    for (int i = 0; i < N; i++)
        cond[i] = 0.5f * q->x[i];
    for (int i = 0; q->guided && i < N; i++)
        uncond[i] = 0.25f * q->x[i];
    return REEL_OK;
}

static reel_denoise *new_run(reel_env *env, reel_sampler_kind kind) {
    reel_denoise_options options = {.sampler = reel_sampler_options_default(kind),
                                    .guidance = reel_guidance_default()};
    options.sampler.schedule.flow = true;
    options.sampler.n_steps = STEPS;
    if (kind == REEL_SAMPLER_UNIPC) options.sampler.order = 3;
    reel_canvas canvas;
    reel_denoise *run = NULL;
    PROMISE(reel_canvas_init(env, C, F, H, W, &canvas) == REEL_OK);
    PROMISE(reel_denoise_new(env, &canvas, &options, &run) == REEL_OK);
    reel_canvas_deinit(&canvas);
    return run;
}

static void try_sampler(reel_env *env, const reel_resume_file *file, reel_sampler_kind kind) {
    reel_denoise *run = new_run(env, kind);
    const reel_status status = reel_resume_restore(file, run);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    reel_env_clear(env);
    if (status == REEL_OK) {
        PROMISE(reel_denoise_done(run) == reel_resume_done(file));
        PROMISE(reel_denoise_run(run, model, NULL, NULL, NULL) == REEL_OK);
        PROMISE(reel_denoise_done(run) == reel_denoise_n(run));
    }
    reel_denoise_free(&run);
}

static void try_text(reel_env *env, const reel_resume_file *file) {
    reel_text_rows rows = {0};
    const reel_status status = reel_resume_text(file, &rows);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    reel_env_clear(env);
    PROMISE((status == REEL_OK) == (rows.n_prompts > 0) && rows.n_prompts <= REEL_MAX_PROMPTS);
    volatile float last; /* so that the rows are read to their ends */
    for (int i = 0; i < rows.n_prompts; i++) {
        PROMISE(rows.n[i] > 0 && rows.dim > 0);
        last = rows.row[i][rows.n[i] * rows.dim - 1];
    }
    (void)last;
    reel_text_rows_deinit(env, &rows);
}

static void try_preview(const reel_resume_file *file) {
    static const float latents[N] = {-1, 0, 1e30f, 3};
    reel_preview_map map;
    uint8_t pixels[3 * H * W];
    if (reel_resume_preview(file, C, &map)) reel_preview_frame(&map, latents, F, H, W, 0, pixels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const reel_sampler_kind kind[] = {REEL_SAMPLER_UNIPC, REEL_SAMPLER_HEUN,
                                             REEL_SAMPLER_DPMPP};
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    reel_env *env = NULL;
    if (reel_env_new(&options, &env) != REEL_OK) return 0;
    reel_resume_file *file = NULL;
    const reel_status status = reel_resume_parse(env, data, (int64_t)size, "{}", -1, &file);
    PROMISE((status == REEL_OK) == (reel_env_message(env)[0] == '\0'));
    PROMISE(status == REEL_OK || !file); /* without a file: it was another run's */
    reel_env_clear(env);
    if (file) {
        PROMISE(reel_resume_seed(file) >= 0 && reel_resume_done(file) >= 0);
        for (size_t k = 0; k < sizeof kind / sizeof *kind; k++)
            try_sampler(env, file, kind[k]);
        try_text(env, file);
        try_preview(file);
    }
    reel_resume_close(&file);
    PROMISE(env->allocator.bytes == 0);
    reel_env_free(&env);
    return 0;
}
