/* Training: recipes and folders in, the kernels of this machine underneath. */
#include <string.h>

#include "base/env.h"
#include "cpu/cpu.h"
#include "eval/model.h"
#include "train/depth.h"
#include "train/dit.h"
#include "train/judge.h"
#include "train/pocket.h"
#include "train/text.h"
#include "train/vae.h"
#include "train/vocabulary.h"

reel_train_options reel_train_options_default(void) {
    return (reel_train_options){.kind = "vae"};
}

/* Samples of the model a run has saved: what training itself, which knows no pipeline, cannot make.
 */
static reel_status sample(reel_env *env, const reel_kernel_table *table,
                          const reel_sample_request *request, reel_sample_take *take,
                          void *context) {
    const reel_eval_model_options options = {.folder = request->model,
                                             .table = table,
                                             .size = request->size,
                                             .steps = request->steps,
                                             .cfg_scale = 3};
    reel_eval_model *model = NULL;
    uint8_t *rgb = reel_alloc(env, reel_bucket_bytes(&request->size), "samples");
    reel_status status = rgb ? reel_eval_model_open(env, &options, &model) : REEL_E_NOMEM;
    for (int64_t i = 0; i < request->n && status == REEL_OK; i++) {
        status =
            reel_eval_model_generate(model, request->prompt[i], request->seed + (uint64_t)i, rgb);
        if (status == REEL_OK) status = take(context, i, rgb);
    }
    reel_eval_model_close(&model);
    reel_free(env, rgb);
    return status;
}

static reel_status make_mistake(void *model, const uint8_t *rgb, const char *caption, double t,
                                uint64_t seed, float *error) {
    return reel_eval_model_mistake(model, rgb, caption, t, seed, error);
}

static void close_mistakes(reel_mistakes *mistakes) {
    reel_eval_model *model = mistakes->model;
    reel_eval_model_close(&model);
    *mistakes = (reel_mistakes){0};
}

/* A model whose mistakes are trained on, likewise. */
static reel_status open_mistakes(reel_env *env, const reel_kernel_table *table, const char *folder,
                                 const reel_bucket *size, reel_mistakes *mistakes) {
    const reel_eval_model_options options = {
        .folder = folder, .table = table, .size = *size, .steps = 20, .cfg_scale = 1};
    reel_eval_model *model = NULL;
    reel_status status = reel_eval_model_open(env, &options, &model);
    if (status == REEL_OK && !reel_eval_model_generates(model))
        status = reel_fail(
            env, REEL_E_ARG,
            "vae.mistakes: got %s, which has no transformer; wanted a whole model folder", folder);
    if (status != REEL_OK) {
        reel_eval_model_close(&model);
        return status;
    }
    *mistakes = (reel_mistakes){.model = model,
                                .latents = reel_eval_model_latents(model),
                                .make = make_mistake,
                                .close = close_mistakes};
    return REEL_OK;
}

/* One run, or all of them. run->recipe is the caller's, to be filled. */
static reel_status train(reel_env *env, const reel_kernel_table *table, const reel_train_options *o,
                         reel_run_options *run, reel_recipe *recipe, bool *stopped) {
    const reel_pocket_changes changes = {.set = o->set, .n_set = o->n_set, .steps = o->steps};
    const bool whole = strcmp(o->kind, "pocket") == 0;
    reel_status status = whole ? REEL_OK : reel_recipe_load(env, o->recipe, &changes, recipe);
    if (status == REEL_OK)
        status = reel_run_ceiling(env, table, recipe->optimiser.bf16 ? REEL_BF16 : REEL_F32,
                                  &run->ceiling_flops_per_s);
    if (status != REEL_OK) return status;
    if (whole) return reel_train_pocket(env, table, run, o->recipe, &changes, stopped);
    if (strcmp(o->kind, "vae") == 0) return reel_train_vae(env, table, run, false, stopped);
    if (strcmp(o->kind, "decoder") == 0) return reel_train_vae(env, table, run, true, stopped);
    if (strcmp(o->kind, "dit") == 0) return reel_train_dit(env, table, run, stopped);
    if (strcmp(o->kind, "judge") == 0) return reel_train_judge(env, table, run, stopped);
    if (strcmp(o->kind, "depth") == 0) return reel_train_depth(env, table, run, stopped);
    if (strcmp(o->kind, "text") == 0) return reel_train_text(env, table, run, stopped);
    if (strcmp(o->kind, "tokenizer") == 0) return reel_train_vocabulary(env, run);
    return reel_fail(
        env, REEL_E_ARG,
        "got '%s' to train, wanted vae, decoder, text, dit, judge, depth, tokenizer or pocket",
        o->kind);
}

reel_status reel_train(reel_env *env, const reel_train_options *o, int *stopped) {
    if (!o->out || !o->out[0])
        return reel_fail(env, REEL_E_ARG, "training needs a folder for its run");
    const reel_isa isa = o->isa ? reel_isa_parse(o->isa) : REEL_ISA_AMX;
    if (isa == REEL_ISA_COUNT)
        return reel_fail(env, REEL_E_ARG, "level is '%s', wanted one of portable to %s", o->isa,
                         reel_isa_name(REEL_ISA_AMX));
    reel_kernel_table *table;
    reel_status status = reel_cpu_table(env, isa, &table);
    if (status != REEL_OK) return status;
    reel_recipe recipe = reel_recipe_default();
    reel_run_options run = {.folder = o->out,
                            .recipe = &recipe,
                            .minutes = o->minutes,
                            .profile = o->profile != 0,
                            .sample = sample,
                            .mistakes = open_mistakes,
                            .progress = o->progress,
                            .context = o->context};
    bool stop = false;
    status = train(env, table, o, &run, &recipe, &stop);
    reel_kernel_table_free(env, &table);
    if (stopped) *stopped = stop;
    return status;
}
