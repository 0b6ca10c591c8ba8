/* A judge's folder: its configuration as JSON, its weights, and the model that looks at clips. */
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "models/judge/judge.h"
#include "models/small_folder.h"
#include "tape/plan.h"

enum { PATH_BYTES = 4096 };
static const char tag[] = "judge";
static const char class_name[] = "ReelJudge";

/* ---- configuration ---- */

static void put_int(reel_json_out *out, const char *key, int64_t x) {
    reel_json_out_key(out, key);
    reel_json_out_int(out, x);
}

void reel_judge_config_write(reel_json_out *out, const reel_judge_config *c) {
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "_class_name");
    reel_json_out_string(out, class_name);
    put_int(out, "frames", c->frames);
    put_int(out, "height", c->height);
    put_int(out, "width", c->width);
    reel_json_out_key(out, "channels");
    reel_json_out_array_begin(out);
    for (int i = 0; i < REEL_JUDGE_STAGES; i++)
        reel_json_out_int(out, c->channels[i]);
    reel_json_out_end(out);
    put_int(out, "features", c->features);
    put_int(out, "looks", c->looks);
    reel_json_out_key(out, "questions");
    reel_json_out_array_begin(out);
    for (int64_t i = 0; i < c->n_questions; i++) {
        reel_json_out_object_begin(out);
        reel_json_out_key(out, "name");
        reel_json_out_string(out, c->question[i].name);
        put_int(out, "answers", c->question[i].n_answers);
        if (c->question[i].sought) {
            reel_json_out_key(out, "sought");
            reel_json_out_bool(out, true);
        }
        reel_json_out_end(out);
    }
    reel_json_out_end(out);
    reel_json_out_end(out);
}

static reel_status read_channels(const reel_json *root, reel_judge_config *c) {
    reel_json list;
    reel_status status = reel_json_array(root, "channels", &list);
    if (status != REEL_OK) return status;
    if (reel_json_count(&list) != REEL_JUDGE_STAGES)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted %d numbers, got %lld",
                              REEL_JUDGE_STAGES, (long long)reel_json_count(&list));
    for (int i = 0; i < REEL_JUDGE_STAGES && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        status = reel_json_int(&item, NULL, 1, 4096, &c->channels[i]);
    }
    return status;
}

static reel_status read_question(const reel_json *at, reel_judge_question *question) {
    static const char *const keys[] = {"name", "answers", "sought"};
    const char *name;
    reel_status status = reel_json_only(at, keys, 3);
    if (status == REEL_OK) status = reel_json_string(at, "name", &name);
    if (status == REEL_OK) status = reel_json_int(at, "answers", 2, 1024, &question->n_answers);
    if (status == REEL_OK) status = reel_json_bool_or(at, "sought", false, &question->sought);
    if (status != REEL_OK) return status;
    if (strlen(name) >= sizeof question->name)
        return reel_json_fail(at, REEL_E_FORMAT, "name is longer than %d characters",
                              REEL_JUDGE_NAME_BYTES - 1);
    snprintf(question->name, sizeof question->name, "%s", name);
    return REEL_OK;
}

static reel_status read_questions(const reel_json *root, reel_judge_config *c) {
    reel_json list;
    reel_status status = reel_json_array(root, "questions", &list);
    if (status != REEL_OK) return status;
    c->n_questions = reel_json_count(&list);
    if (c->n_questions > REEL_JUDGE_QUESTIONS)
        return reel_json_fail(&list, REEL_E_FORMAT, "wanted at most %d questions, got %lld",
                              REEL_JUDGE_QUESTIONS, (long long)c->n_questions);
    for (int64_t i = 0; i < c->n_questions && status == REEL_OK; i++) {
        const reel_json item = reel_json_item(&list, i);
        status = read_question(&item, &c->question[i]);
    }
    return status;
}

reel_status reel_judge_config_read(const reel_json *root, reel_judge_config *config) {
    static const char *const keys[] = {"_class_name", "frames",   "height", "width",
                                       "channels",    "features", "looks",  "questions"};
    static const char *const classes[] = {class_name};
    reel_judge_config c = {0};
    int word;
    reel_status status = reel_json_only(root, keys, 8);
    if (status == REEL_OK) status = reel_json_choice(root, "_class_name", classes, 1, &word);
    if (status == REEL_OK) status = reel_json_int(root, "frames", 1, 4097, &c.frames);
    if (status == REEL_OK) status = reel_json_int(root, "height", 1, 4096, &c.height);
    if (status == REEL_OK) status = reel_json_int(root, "width", 1, 4096, &c.width);
    if (status == REEL_OK) status = read_channels(root, &c);
    if (status == REEL_OK) status = reel_json_int(root, "features", 1, 65536, &c.features);
    if (status == REEL_OK) status = reel_json_int(root, "looks", 0, 1024, &c.looks);
    if (status == REEL_OK) status = read_questions(root, &c);
    if (status == REEL_OK) status = reel_judge_config_check(reel_json_env(root), &c);
    if (status == REEL_E_ARG) status = REEL_E_FORMAT;
    if (status == REEL_OK) *config = c;
    return status;
}

/* ---- writing ---- */

reel_status reel_judge_save(reel_env *env, const char *folder, const reel_judge_config *config,
                            reel_params *params) {
    reel_json_out out;
    reel_json_out_init(&out, env);
    reel_judge_config_write(&out, config);
    const reel_status status = reel_small_folder_save(env, folder, &out, params);
    reel_json_out_deinit(&out);
    return status;
}

/* ---- a model that looks ---- */

struct reel_judge_model {
    reel_env *env;
    reel_judge_config config;
    reel_safetensors *file;
    reel_params *params; /* in the file's memory */
    float *x;            /* [1,F,H,W,3] */
    reel_tape *tape;
    reel_plan *plan;
    reel_judge_output output;
};

static reel_status read_config(reel_env *env, const char *path, reel_judge_config *config) {
    reel_json_doc *doc;
    reel_status status = reel_json_load(env, path, &doc);
    if (status != REEL_OK) return status;
    const reel_json root = reel_json_root(doc);
    status = reel_judge_config_read(&root, config);
    reel_json_free(&doc);
    return status;
}

static reel_status plan(reel_judge_model *m, const reel_kernel_table *table) {
    const reel_judge_config *c = &m->config;
    m->x = reel_calloc(m->env, c->frames * c->height * c->width * 3, sizeof *m->x, tag);
    if (!m->x) return REEL_E_NOMEM;
    const reel_status status = reel_ops_tape_new(m->env, &m->tape);
    if (status != REEL_OK) return status;
    reel_nn nn = reel_nn_start(m->tape, m->params, REEL_BF16);
    const reel_shape shape = REEL_SHAPE(1, c->frames, c->height, c->width, 3);
    m->output = reel_judge(&nn, c, reel_tape_input(m->tape, REEL_F32, shape, "clip", m->x));
    reel_tape_keep(m->tape, m->output.features);
    for (int64_t i = 0; i < c->n_questions; i++)
        reel_tape_keep(m->tape, m->output.answer[i]);
    return reel_plan_new(m->tape, table, NULL, &m->plan);
}

reel_status reel_judge_open(reel_env *env, const reel_kernel_table *table, const char *folder,
                            reel_judge_model **model) {
    char path[PATH_BYTES];
    reel_judge_model *m = reel_calloc(env, 1, sizeof *m, tag);
    if (!m) return REEL_E_NOMEM;
    m->env = env;
    snprintf(path, sizeof path, "%s/config.json", folder);
    reel_status status = read_config(env, path, &m->config);
    if (status == REEL_OK) status = reel_small_folder_weights(env, folder, &m->file, &m->params);
    if (status == REEL_OK) status = plan(m, table);
    if (status != REEL_OK) {
        reel_judge_close(&m);
        return status;
    }
    *model = m;
    return REEL_OK;
}

void reel_judge_close(reel_judge_model **model) {
    reel_judge_model *m = *model;
    if (!m) return;
    reel_plan_free(&m->plan);
    reel_tape_free(&m->tape);
    reel_free(m->env, m->x);
    reel_params_free(&m->params);
    reel_safetensors_close(&m->file);
    reel_free(m->env, m);
    *model = NULL;
}

const reel_judge_config *reel_judge_config_of(const reel_judge_model *m) {
    return &m->config;
}

static int32_t greatest(const float *x, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return (int32_t)best;
}

reel_status reel_judge_look(reel_judge_model *m, const uint8_t *rgb, int32_t *answer,
                            float *features) {
    const reel_judge_config *c = &m->config;
    const int64_t n = c->frames * c->height * c->width * 3;
    for (int64_t i = 0; i < n; i++)
        m->x[i] = (float)rgb[i] * (2.0f / 255.0f) - 1.0f;
    const reel_status status = reel_plan_run(m->plan, NULL);
    if (status != REEL_OK) return status;
    for (int64_t i = 0; answer && i < c->n_questions; i++)
        answer[i] =
            greatest(reel_plan_data(m->plan, m->output.answer[i]), c->question[i].n_answers);
    if (features)
        memcpy(features, reel_plan_data(m->plan, m->output.features),
               (size_t)c->features * sizeof *features);
    return REEL_OK;
}
