/* Evaluation: the public view of eval/, with the CPU's kernels behind it. */
#include "base/env.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "eval/drift.h"
#include "eval/eval.h"

reel_evaluate_options reel_evaluate_options_default(void) {
    const reel_eval_options o = reel_eval_options_default();
    return (reel_evaluate_options){.prompts = o.prompts,
                                   .steps = o.steps,
                                   .cfg_scale = o.cfg_scale,
                                   .seed = (int64_t)o.seed,
                                   .frames = o.frames,
                                   .height = o.height,
                                   .width = o.width,
                                   .fps = o.fps,
                                   .drift_clips = o.drift_clips,
                                   .drift_seconds = o.drift_s};
}

static bool tell(void *context, const char *part, int64_t done, int64_t total) {
    const reel_evaluate_options *o = context;
    return o->progress && o->progress(o->context, part, done, total);
}

static reel_status write_json(reel_env *env, const reel_scores *report, const char *path) {
    reel_json_out out;
    const char *text;
    int64_t bytes;
    reel_json_out_init(&out, env);
    reel_scores_write(report, &out);
    reel_status status = reel_json_out_text(&out, &text, &bytes);
    if (status == REEL_OK) status = reel_file_write(env, path, text, bytes);
    reel_json_out_deinit(&out);
    return status;
}

static reel_status evaluate(reel_env *env, const reel_eval_options *eval,
                            const reel_evaluate_options *o) {
    reel_scores report;
    reel_scores_init(&report, env);
    const reel_drift_options drift = {
        .clip = o->drift, .n_clips = o->n_drift, .judge = o->judge, .table = eval->table};
    reel_status status =
        o->n_drift ? reel_drift_run(env, &drift, &report) : reel_eval_run(env, eval, &report);
    if (status == REEL_OK && o->line) reel_scores_table(&report, o->line, o->context);
    if (status == REEL_OK && o->json) status = write_json(env, &report, o->json);
    reel_scores_deinit(&report);
    return status;
}

reel_status reel_evaluate(reel_env *env, const reel_evaluate_options *o) {
    const reel_isa isa = o->isa ? reel_isa_parse(o->isa) : REEL_ISA_AMX;
    if (isa == REEL_ISA_COUNT)
        return reel_fail(env, REEL_E_ARG, "level is '%s', wanted one of portable to %s", o->isa,
                         reel_isa_name(REEL_ISA_AMX));
    reel_evaluate_options copy = *o;
    reel_eval_options eval = {.model = o->model,
                              .judge = o->judge,
                              .prompts = o->prompts,
                              .steps = o->steps,
                              .cfg_scale = o->cfg_scale,
                              .seed = (uint64_t)o->seed,
                              .frames = o->frames,
                              .height = o->height,
                              .width = o->width,
                              .fps = o->fps,
                              .text_length = o->text_length,
                              .isa = reel_isa_name(isa),
                              .scratch = o->scratch,
                              .clips = o->clips,
                              .drift_clips = o->drift_clips,
                              .drift_s = o->drift_seconds,
                              .tell = tell,
                              .context = &copy};
    reel_kernel_table *table;
    reel_status status = reel_eval_parts_parse(env, o->only, &eval.parts);
    if (status == REEL_OK) status = reel_cpu_table(env, isa, &table);
    if (status != REEL_OK) return status;
    eval.table = table;
    status = evaluate(env, &eval, o);
    reel_kernel_table_free(env, &table);
    return status;
}
