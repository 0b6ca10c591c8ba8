#include "eval/eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/path.h"
#include "eval/eval_state.h"

static const char tag[] = "eval";
enum { PATH_BYTES = 4096, LEAST_CLIPS = 8 };

static const char *const part_names[] = {"vae",     "judge",  "frechet", "swap",
                                         "physics", "stereo", "tasks"};
enum { N_PARTS = sizeof part_names / sizeof *part_names };

reel_status reel_eval_parts_parse(reel_env *env, const char *text, unsigned *parts) {
    unsigned made = 0;
    if (!text || !text[0]) {
        *parts = REEL_EVAL_ALL;
        return REEL_OK;
    }
    while (*text) {
        const size_t n = strcspn(text, ",");
        int i = 0;
        while (i < N_PARTS && (strlen(part_names[i]) != n || strncmp(part_names[i], text, n) != 0))
            i++;
        if (i == N_PARTS)
            return reel_fail(
                env, REEL_E_ARG,
                "got the part '%.*s', wanted some of vae,judge,frechet,swap,physics,stereo,tasks",
                (int)n, text);
        made |= 1u << i;
        text += n + (text[n] == ',');
    }
    *parts = made;
    return REEL_OK;
}

reel_eval_options reel_eval_options_default(void) {
    return (reel_eval_options){.parts = REEL_EVAL_ALL,
                               .prompts = 500,
                               .steps = 20,
                               .cfg_scale = -1,
                               .seed = 1,
                               .frames = 33,
                               .height = 128,
                               .width = 128,
                               .fps = 8,
                               .drift_clips = 2,
                               .drift_s = 20};
}

/* ---- for the parts ---- */

int64_t reel_eval_fewer(const reel_eval *e) {
    const int64_t n = e->o->prompts / 8;
    return n > LEAST_CLIPS ? n : LEAST_CLIPS;
}

reel_status reel_eval_told(reel_eval *e, const char *part, int64_t done, int64_t total) {
    if (!e->o->tell || !e->o->tell(e->o->context, part, done, total)) return REEL_OK;
    return reel_fail(e->env, REEL_E_CANCELLED, "stopped during %s", part);
}

static reel_status add(reel_eval *e, const char *section, const char *group, const char *name,
                       reel_scores_row row) {
    snprintf(row.section, sizeof row.section, "%s", section);
    snprintf(row.group, sizeof row.group, "%s", group);
    snprintf(row.name, sizeof row.name, "%s", name);
    return reel_scores_add(e->report, &row);
}

reel_status reel_eval_add(reel_eval *e, const char *section, const char *group, const char *name,
                          double value, double reference, int64_t n) {
    return add(e, section, group, name,
               (reel_scores_row){.value = value, .reference = reference, .n = n});
}

reel_status reel_eval_add_share(reel_eval *e, const char *section, const char *group,
                                const char *name, int64_t right, int64_t right_real, int64_t n) {
    return add(e, section, group, name,
               (reel_scores_row){.value = (double)right / (double)n,
                                 .reference =
                                     right_real < 0 ? (double)NAN : (double)right_real / (double)n,
                                 .n = n,
                                 .share = true});
}

/* ---- opening ---- */

static reel_status open_judge(reel_eval *e) {
    char config[PATH_BYTES + 16], *const folder = e->judge_folder;
    const unsigned needed = REEL_EVAL_JUDGE | REEL_EVAL_FRECHET;
    const bool wanted = (e->o->parts & (needed | REEL_EVAL_TASKS)) != 0;
    snprintf(folder, sizeof e->judge_folder, "%s%s", e->o->judge ? e->o->judge : e->o->model,
             e->o->judge ? "" : "/judge");
    snprintf(config, sizeof config, "%s/config.json", folder);
    if (!wanted) return REEL_OK;
    if (!e->o->judge && reel_path_look(config) != REEL_PATH_FILE) {
        if (e->o->parts == REEL_EVAL_ALL || !(e->o->parts & needed)) return REEL_OK;
        return reel_fail(e->env, REEL_E_ARG, "%s: has no judge/; name the folder of one",
                         e->o->model);
    }
    const reel_status status = reel_judge_open(e->env, e->o->table, folder, &e->judge);
    if (status != REEL_OK) return status;
    const reel_judge_config *c = reel_judge_config_of(e->judge);
    e->size = (reel_bucket){c->width, c->height, c->frames, 1};
    /* One that does not seek is as good for all that is not about two objects. */
    const int n = c->n_questions == REEL_QUESTION_COUNT ? REEL_QUESTION_COUNT : REEL_QUESTION_ALL;
    for (int q = 0; q < n; q++)
        if (c->n_questions != n || strcmp(c->question[q].name, reel_question_name(q)) != 0 ||
            c->question[q].n_answers != reel_question_answers(q))
            return reel_fail(e->env, REEL_E_FORMAT, "%s: answers other questions than this world's",
                             folder);
    return REEL_OK;
}

static reel_status open_model(reel_eval *e) {
    const reel_eval_model_options o = {.folder = e->o->model,
                                       .table = e->o->table,
                                       .size = e->size,
                                       .steps = e->o->steps,
                                       .cfg_scale = e->o->cfg_scale,
                                       .text_length = e->o->text_length};
    const reel_status status = reel_eval_model_open(e->env, &o, &e->model);
    if (status != REEL_OK) return status;
    if (!reel_eval_model_generates(e->model) && e->o->parts != REEL_EVAL_ALL &&
        e->o->parts != REEL_EVAL_VAE)
        return reel_fail(e->env, REEL_E_ARG, "%s: an autoencoder alone; only vae can be measured",
                         e->o->model);
    e->made = reel_alloc(e->env, reel_bucket_bytes(&e->size), tag);
    e->real = reel_alloc(e->env, reel_bucket_bytes(&e->size), tag);
    return e->made && e->real ? REEL_OK : REEL_E_NOMEM;
}

static reel_status measure(reel_eval *e) {
    const unsigned parts = e->o->parts;
    const bool generates = reel_eval_model_generates(e->model);
    reel_status status = parts & REEL_EVAL_VAE ? reel_eval_vae(e) : REEL_OK;
    if (status == REEL_OK && generates && parts & REEL_EVAL_SWAP) status = reel_eval_swap(e);
    if (status == REEL_OK && generates && e->judge && parts & (REEL_EVAL_JUDGE | REEL_EVAL_FRECHET))
        status = reel_eval_judged(e);
    if (status == REEL_OK && generates && parts & REEL_EVAL_PHYSICS) status = reel_eval_physics(e);
    if (status == REEL_OK && parts & REEL_EVAL_STEREO) status = reel_eval_stereo(e);
    if (status == REEL_OK && generates && parts & REEL_EVAL_TASKS) status = reel_eval_tasks(e);
    return status;
}

static reel_status check(reel_env *env, const reel_eval_options *o) {
    if (!o->model) return reel_fail(env, REEL_E_ARG, "evaluation needs a model folder");
    if (o->prompts < 1 || o->prompts > 1000000)
        return reel_fail(env, REEL_E_ARG, "prompts must be in 1..1000000, got %lld",
                         (long long)o->prompts);
    if (o->frames < 2 || !(o->fps > 0))
        return reel_fail(env, REEL_E_ARG, "clips must have 2 frames or more and fps above 0");
    return REEL_OK;
}

reel_status reel_eval_run(reel_env *env, const reel_eval_options *options, reel_scores *report) {
    reel_eval e = {.env = env,
                   .o = options,
                   .report = report,
                   .size = {options->width, options->height, options->frames, 1}};
    reel_status status = check(env, options);
    if (status == REEL_OK) status = open_judge(&e);
    e.duration_s = (float)((double)(e.size.frames - 1) / options->fps);
    if (status == REEL_OK) status = open_model(&e);
    if (status == REEL_OK) status = measure(&e);
    reel_free(env, e.made);
    reel_free(env, e.real);
    reel_eval_model_close(&e.model);
    reel_judge_close(&e.judge);
    return status;
}
