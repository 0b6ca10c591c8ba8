/* Training: recipes and folders in, the kernels of this machine underneath. */
#include <string.h>

#include "base/env.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "train/dit.h"
#include "train/judge.h"
#include "train/recipe.h"
#include "train/run.h"
#include "train/vae.h"
#include "train/vocabulary.h"

enum { MOST_RECIPE_BYTES = 1 << 20 };

reel_train_options reel_train_options_default(void) {
    return (reel_train_options){.kind = "vae"};
}

static reel_status read_recipe(reel_env *env, const reel_train_options *o, reel_recipe *recipe) {
    *recipe = reel_recipe_default();
    reel_status status = REEL_OK;
    if (o->recipe) {
        char *text;
        int64_t bytes;
        status = reel_file_read(env, o->recipe, MOST_RECIPE_BYTES, &text, &bytes);
        if (status != REEL_OK) return status;
        status = reel_recipe_parse(env, text, bytes, o->recipe, recipe);
        reel_free(env, text);
    }
    for (int i = 0; i < o->n_set && status == REEL_OK; i++)
        status = reel_recipe_set(env, o->set[i], recipe);
    if (o->steps > 0) recipe->run.steps = o->steps;
    return status;
}

static reel_status train(reel_env *env, const reel_kernel_table *table, const char *kind,
                         const reel_run_options *run, bool *stopped) {
    if (strcmp(kind, "vae") == 0) return reel_train_vae(env, table, run, false, stopped);
    if (strcmp(kind, "decoder") == 0) return reel_train_vae(env, table, run, true, stopped);
    if (strcmp(kind, "dit") == 0) return reel_train_dit(env, table, run, stopped);
    if (strcmp(kind, "judge") == 0) return reel_train_judge(env, table, run, stopped);
    if (strcmp(kind, "tokenizer") == 0) return reel_train_vocabulary(env, run);
    return reel_fail(env, REEL_E_ARG,
                     "got '%s' to train, wanted vae, decoder, dit, judge or tokenizer", kind);
}

reel_status reel_train(reel_env *env, const reel_train_options *o, int *stopped) {
    if (!o->out || !o->out[0])
        return reel_fail(env, REEL_E_ARG, "training needs a folder for its run");
    const reel_isa isa = o->isa ? reel_isa_parse(o->isa) : REEL_ISA_AMX;
    if (isa == REEL_ISA_COUNT)
        return reel_fail(env, REEL_E_ARG, "level is '%s', wanted one of portable to %s", o->isa,
                         reel_isa_name(REEL_ISA_AMX));
    reel_recipe recipe;
    reel_kernel_table *table;
    reel_status status = read_recipe(env, o, &recipe);
    if (status == REEL_OK) status = reel_cpu_table(env, isa, &table);
    if (status != REEL_OK) return status;
    reel_run_options run = {.folder = o->out,
                            .recipe = &recipe,
                            .minutes = o->minutes,
                            .profile = o->profile != 0,
                            .progress = o->progress,
                            .context = o->context};
    const reel_dtype dtype = recipe.optimiser.bf16 ? REEL_BF16 : REEL_F32;
    bool stop = false;
    status = reel_run_ceiling(env, table, dtype, &run.ceiling_flops_per_s);
    if (status == REEL_OK) status = train(env, table, o->kind, &run, &stop);
    reel_kernel_table_free(env, &table);
    if (stopped) *stopped = stop;
    return status;
}
